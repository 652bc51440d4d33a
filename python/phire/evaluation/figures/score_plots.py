"""Figures of scores over time."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from phire.errors import InputError
from phire.evaluation.catalogue import definition
from phire.evaluation.figures.figure_plan import Plan, figure_name, in_region
from phire.evaluation.figures.label_text import pretty_units, readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.results_reading import (
    Datasets,
    ResultsFolder,
    has_values,
    opened,
    over_all_but,
    units_of,
    values_of,
)
from phire.evaluation.figures.style import OF_MEMBERS, Style, candidate_styles, panel_grid, styled
from phire.evaluation.figures.time_axes import broken_at_gaps, label_time, time_axis
from phire.evaluation.member_ranges import HIGH, LOW, member_ends
from phire.evaluation.results import TRUTH
from phire.evaluation.running_mean import smoothed, smoothing_window

SMOOTHED = "_smoothed"
"""Ending of the variable with the running mean of a series."""


@styled
def score_figure(
    scores: Datasets,
    *,
    channel: str | None = None,
    variables: Sequence[str] | None = None,
    styles: Mapping[str, Style] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws scores over time, with a panel for each score.

    Thin, pale lines are the scores of the fields, thick lines their running means. The title of a
    panel shows the better direction.

    Args:
        scores: Data sets or paths of ``scores.nc`` by candidate, with variables over ``time`` and
            perhaps ``channel``.
        channel: The channel, for variables with this dimension.
        variables: The scores; None means all variables over time.
        styles: Styles by candidate; None means styles in the order of the candidates.
        title: Title of the figure.

    Raises:
        InputError: No data set has a variable over time.
    """
    datasets = opened(scores)
    styles = styles or candidate_styles(datasets)
    datasets = {name: dataset for name, dataset in datasets.items() if name != TRUTH}
    variables = list(variables) if variables is not None else series_of(datasets, channel)
    if not variables or not datasets:
        raise InputError("none of the scores has the dimension time: there is nothing to draw.")
    columns = min(len(variables), 3)
    of = f" of {readable(channel)}" if channel else ""
    figure, panels = panel_grid(
        len(variables), panel=(3.6, 2.3), margin=(1, 0.9), most_columns=columns, least_width=7,
        title=title or f"Scores{of} over time",
    )  # fmt: skip
    for axes in panels[1:]:
        axes.sharex(panels[0])
    raw = False
    for i, (axes, variable) in enumerate(zip(panels, variables)):
        units = time_label = ""
        for name, dataset in datasets.items():
            if variable in dataset:
                drawn, time_label = _draw_series(axes, dataset, variable, channel, styles[name])
                raw |= drawn
                units = units or units_of(dataset, variable, channel)
        _label_panel(axes, variable, units)
        if i + columns < len(variables):
            axes.tick_params(labelbottom=False)
        else:
            label_time(axes, time_label)
    thin = Line2D([], [], color="#888888", linewidth=0.7, label="each field (thick: running mean)")
    legend_below(figure, list(datasets), styles, extra=[thin] if raw else [])
    return figure


def _draw_series(
    axes: Axes, dataset: xr.Dataset, variable: str, channel: str | None, style: Style
) -> tuple[bool, str]:
    """Draws one candidate's series and the range of its members.

    Returns:
        True if there is a running mean beside the values, and the label of the time axis.
    """
    series = _series(dataset[variable], channel)
    times, label = time_axis(series["time"])
    values = series.values.astype(float)
    raw = len(values) > 4
    if raw:
        line = {"color": style.colour, "linewidth": 0.7, "alpha": 2.2 * style.opacity}
        axes.plot(*broken_at_gaps(times, values), **line)
        if variable + SMOOTHED in dataset:
            smooth = _series(dataset[variable + SMOOTHED], channel).values
        else:
            smooth = smoothed(values, smoothing_window(len(values)))
        axes.plot(*broken_at_gaps(times, smooth), **style.line())
    else:
        axes.plot(times, values, marker=style.marker, **style.line())
    for ends in ((variable + LOW, variable + HIGH), member_ends(variable)):
        if all(end in dataset for end in ends):
            edges = [_series(dataset[end], channel).values for end in ends]
            if raw:  # smoothed like the line, to not hide it
                edges = [smoothed(edge, smoothing_window(len(edge))) for edge in edges]
            band = broken_at_gaps(times, *edges)
            axes.fill_between(
                *band, color=style.colour, alpha=style.opacity, linewidth=0, label=OF_MEMBERS
            )
            break
    return raw, label


def _label_panel(axes: Axes, variable: str, units: str) -> None:
    """Writes the title and units of a panel, and marks zero if it is the best value."""
    known = definition(variable)
    axes.set_title(known.title + (f"  ({known.direction})" if known.direction else ""))
    axes.set_ylabel(pretty_units(units))
    if known.better == "zero":
        axes.axhline(0, color="#777777", linewidth=0.8, zorder=1)


def series_of(datasets: Mapping[str, xr.Dataset], channel: str | None) -> list[str]:
    """Returns the names of the variables over time that have values.

    Args:
        datasets: Data sets by candidate.
        channel: The channel; None means variables without the dimension ``channel``.
    """
    found: dict[str, None] = {}
    for dataset in datasets.values():
        for name, array in dataset.data_vars.items():
            spare = set(array.dims) - {"time", "channel", "member"}
            if (
                "time" in array.dims
                and not spare
                and not str(name).endswith((SMOOTHED, LOW, HIGH))
                and ("channel" in array.dims) == (channel is not None)
                and np.issubdtype(array.dtype, np.number)
                and has_values({"": dataset}, str(name), channel)
            ):
                found[str(name)] = None
    return list(found)


def _series(array: xr.DataArray, channel: str | None) -> xr.DataArray:
    """Returns a series over time of one channel, averaged over other dimensions."""
    if channel is not None and "channel" in array.dims:
        array = array.sel(channel=channel)
    return over_all_but(array, "time")


def time_series_plans(folder: ResultsFolder, metric: str, title: str) -> Iterator[Plan]:
    """Yields a figure for each region and channel, with all time series of a metric.

    Args:
        folder: Results folder.
        metric: Name of the statistic.
        title: Title of the figures, to which channel and region are appended; the name of the
            statistic in words if empty.
    """
    title = title or readable(metric)
    caption = (
        "Thin: each field; thick: running mean. The arrow of each panel shows the better "
        "direction. Point-by-point scores penalise slightly displaced detail twice, where it is "
        "and where it should be: compare them with the spectra. Shaded: range of the scores of an "
        "ensemble's members; the line is the score of their mean."
    )
    for region in folder.regions_of(metric):
        data = folder.metric(metric, region)
        for channel in [*values_of(data, "channel"), None]:
            if not series_of(data, channel):
                continue
            of = f" of {readable(channel)}" if channel is not None else ""
            whole = f"{title}{of} over time{in_region(region)}"
            yield Plan(
                figure_name(metric, "time", channel or "", region),
                "scores",
                whole,
                caption,
                functools.partial(
                    score_figure, data, channel=channel, styles=folder.styles, title=whole
                ),
                channel or "",
                region,
            )
