"""Figures of scores by hour of the day, month or season."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from phire.errors import InputError
from phire.evaluation.catalogue import definition
from phire.evaluation.figures.label_text import pretty_units, readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.results_reading import Datasets, has_values, opened, units_of
from phire.evaluation.figures.style import OF_MEMBERS, Style, candidate_styles, panel_grid, styled
from phire.evaluation.member_ranges import HIGH, LOW, member_ends
from phire.evaluation.results import TRUTH

MOST = 20
"""Largest number of panels of a figure; further scores are in further figures."""

LEAST_HOURS = 4
"""Smallest number of hours of the day for which a clock face is drawn."""


def numbers_of(
    datasets: Mapping[str, xr.Dataset], dimension: str, channel: str | None
) -> list[str]:
    """Returns the names of the scores over groups that have a better direction and values.

    Args:
        datasets: Data sets by candidate.
        dimension: Dimension of the groups: ``hour``, ``month`` or ``season``.
        channel: The channel; None means scores without the dimension ``channel``.
    """
    wanted = {dimension, "channel"} if channel is not None else {dimension}
    found: dict[str, None] = {}
    for dataset in datasets.values():
        for name, array in dataset.data_vars.items():
            base = str(name).split(":")[0]
            if set(array.dims) != wanted or base.endswith((LOW, HIGH)):
                continue
            if definition(base).better and has_values({"": dataset}, str(name), channel):
                found[str(name)] = None
    return list(found)


@styled
def group_figure(
    groups: Datasets,
    *,
    dimension: str,
    channel: str | None = None,
    numbers: Sequence[str] | None = None,
    styles: Mapping[str, Style] | None = None,
    title: str = "",
    polar: bool = False,
) -> Figure:
    """Draws scores over groups of times, with a panel for each score.

    Args:
        groups: Data sets or paths of ``by_hour.nc``, ``by_month.nc`` or ``by_season.nc`` by
            candidate. Variables ``NAME_low`` and ``NAME_high`` are the edges of a band, the range
            of the members.
        dimension: Dimension of the groups: ``hour``, ``month`` or ``season``.
        channel: The channel; None means scores without the dimension ``channel``.
        numbers: Names of the scores; None means the first :data:`MOST`.
        styles: Styles by candidate; None means styles in the order of the candidates.
        title: Title of the figure.
        polar: If True, hours are drawn around a clock face of 24 hours, with midnight at the top.

    Raises:
        InputError: No data set has a score over the groups, or ``polar`` is True and the groups
            are not hours.
    """
    if polar and dimension != "hour":
        raise InputError(f"polar=True needs groups of hours, not of the dimension {dimension}.")
    datasets = {name: dataset for name, dataset in opened(groups).items() if name != TRUTH}
    shown = list(numbers or numbers_of(datasets, dimension, channel)[:MOST])
    if not shown:
        raise InputError(f"none of the data sets holds a number by {dimension}: nothing to draw.")
    styles = styles or candidate_styles(opened(groups))
    figure, panels = panel_grid(
        len(shown),
        panel=(2.7, 3.0 if polar else 2.3),
        margin=(1, 0.8),
        least_width=5,
        title=title,
        subplot_kw={"projection": "polar"} if polar else {},
    )
    for axes, number in zip(panels, shown):
        units = ""
        for name, dataset in datasets.items():
            if number in dataset:
                _draw(axes, dataset, number, dimension, channel, styles[name], polar)
                units = units or units_of(dataset, number, channel)
        if polar:
            _open_centre(axes)
        _label(axes, number, pretty_units(units), polar)
    legend_below(figure, list(datasets), styles, markers=True)
    return figure


def _draw(
    axes: Axes,
    dataset: xr.Dataset,
    number: str,
    dimension: str,
    channel: str | None,
    style: Style,
    polar: bool,
) -> None:
    """Draws a score of one candidate over the groups, and the range of its members as a band."""
    labels = dataset[dimension].values
    places = labels.astype(float) if dimension == "hour" else np.arange(len(labels))
    base, separator, rest = number.partition(":")
    values, *edges = (
        (dataset[name] if channel is None else dataset[name].sel(channel=channel)).values
        for name in (number, *(f"{end}{separator}{rest}" for end in _ends_in(dataset, base)))
        if name in dataset
    )
    if polar:
        places = np.append(places, places[0] + 24)
        # A line across the part of the day without hours would suggest values there.
        if places[-1] - places[-2] <= np.diff(places[:-1]).max(initial=0):
            values, *edges = (np.append(one, one[0]) for one in (values, *edges))
        else:
            places = places[:-1]
        places = places * np.pi / 12
    axes.plot(places, values, marker=style.marker, ms=4, **style.line())
    if len(edges) == 2:
        axes.fill_between(
            places, *edges, color=style.colour, alpha=style.opacity, linewidth=0, label=OF_MEMBERS
        )
    if polar:
        axes.set_theta_zero_location("N")
        axes.set_theta_direction(-1)
        axes.set_xticks(np.arange(0, 24, 3) * np.pi / 12, [f"{hour} h" for hour in range(0, 24, 3)])
        axes.yaxis.set_major_locator(MaxNLocator(3))
    elif dimension == "hour":
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    else:
        axes.set_xticks(places, [str(label) for label in labels])


def _ends_in(dataset: xr.Dataset, base: str) -> Iterator[str]:
    """Yields the names of the variables with the minimum and maximum of a score over members.

    For scores of members they are ``NAME_low`` and ``NAME_high``, for other scores those of
    :func:`~phire.evaluation.member_ranges.member_ends`. Nothing is yielded if they are missing.
    """
    bases = {str(name).partition(":")[0] for name in dataset.data_vars}
    for ends in ((f"{base}{LOW}", f"{base}{HIGH}"), member_ends(base)):
        if bases.issuperset(ends):
            yield from ends
            return


def _open_centre(axes: Axes) -> None:
    """Sets the radial axis of a clock face such that no value lies near its centre.

    The axis begins at 0 unless values are negative, or all far from 0.
    """
    values = np.concatenate([line.get_ydata() for line in axes.lines])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low < 0 or low > 0.5 * high:
        span = (high - low) or abs(high) or 1.0
        axes.set_ylim(low - 0.6 * span, high + 0.08 * span)


def _label(axes: Axes, number: str, units: str, polar: bool) -> None:
    """Writes the title and units of a panel, and marks zero if it is the best value."""
    base, _, rest = number.partition(":")
    known = definition(base)
    words = f"{known.title}{' of ' + readable(rest) if rest else ''} "
    words += known.direction.replace(" ", "\N{NO-BREAK SPACE}")  # never "→" at the end of a line
    if polar and units:
        words += f" ({units})"
    axes.set_title("\n".join(textwrap.wrap(words, 34)), fontsize=8.5)
    if not polar:
        axes.set_ylabel(units)
    if known.better == "zero":
        around = np.linspace(0, 2 * np.pi, 100)
        if polar:
            axes.plot(around, np.zeros(100), color="#777777", linewidth=0.8, zorder=1)
        else:
            axes.axhline(0, color="#777777", linewidth=0.8, zorder=1)
