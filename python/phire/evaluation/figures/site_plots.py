"""Figures of one site: time series, errors, scatter plot and box plots."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.figure_plan import Plan, figure_name
from phire.evaluation.figures.label_text import labelled
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.member_bands import member_edges
from phire.evaluation.figures.results_reading import Datasets, opened, units_of
from phire.evaluation.figures.style import (
    OF_MEMBERS,
    TRUTH_STYLE,
    Style,
    candidate_styles,
    new_figure,
    styled,
)
from phire.evaluation.figures.time_axes import broken_at_gaps, time_axis
from phire.evaluation.results import TRUTH
from phire.fields.time_axis import MONTHS, SEASONS


@styled
def site_figure(
    sites: Datasets,
    *,
    site: str,
    channel: str,
    styles: Mapping[str, Style] | None = None,
    title: str = "",
) -> Figure:
    """Draws values and errors over time, a scatter plot against the truth, and box plots.

    Boxes are by season if there are two seasons, otherwise by hour of the day if there are at most
    eight, otherwise of all times.

    Args:
        sites: Data sets or paths of ``sites.nc`` by candidate, the truth under ``truth``, with
            ``site_value(channel, site, time)``.
        site: The site.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.
        title: Title of the figure.

    Raises:
        InputError: The truth's series is missing.
    """
    datasets = opened(sites)
    styles = dict(styles or candidate_styles(datasets)) | {TRUTH: TRUTH_STYLE}
    if TRUTH not in datasets:
        raise InputError(f"the data sets have no {TRUTH!r}: a figure of a site needs its series.")
    series = {
        name: dataset.sel(site=site, channel=channel)
        for name, dataset in datasets.items()
        if "site_value" in dataset
    }
    units = units_of(datasets[TRUTH], "site_value", channel)
    truth = series[TRUTH]["site_value"]
    figure = new_figure(11, 6)
    grid = figure.add_gridspec(2, 3)
    above = figure.add_subplot(grid[0, :2])
    below = figure.add_subplot(grid[1, :2], sharex=above)
    for name, dataset in series.items():
        times, label = time_axis(dataset["time"])
        values = dataset["site_value"].values
        true_values = truth.reindex(time=dataset["time"]).values
        edges = member_edges(dataset, "site_value", lambda array: array)
        for axes, reference in ((above, 0), (below, true_values)):
            if edges is not None:
                band = broken_at_gaps(times, *(edge - reference for edge in edges))
                axes.fill_between(
                    *band, color=styles[name].colour, alpha=styles[name].opacity, linewidth=0,
                    label=OF_MEMBERS,
                )  # fmt: skip
            if axes is above or name != TRUTH:
                line = broken_at_gaps(times, values - reference)
                axes.plot(*line, **styles[name].line())
    below.axhline(0, color="black", linewidth=0.8)
    above.set_ylabel(labelled("Value", units))
    below.set_ylabel(labelled("Error", units))
    below.set_xlabel(label)
    _scatter(figure.add_subplot(grid[0, 2]), series, styles, units)
    grouping = _groupings(series[TRUTH]["time"])
    first = next(k for k in ("season", "hour", "all") if k in grouping and len(grouping[k][1]) <= 8)
    _boxes(figure.add_subplot(grid[1, 2]), series, styles, units, first)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(series), styles)
    return figure


def _scatter(
    axes: Axes, series: Mapping[str, xr.Dataset], styles: Mapping[str, Style], units: str
) -> None:
    """Draws the candidates' values against the truth's."""
    truth = series[TRUTH]["site_value"]
    for name, dataset in series.items():
        if name != TRUTH:
            true_values = truth.reindex(time=dataset["time"]).values
            axes.scatter(true_values, dataset["site_value"].values, s=10, alpha=0.6,
                         color=styles[name].colour, marker=styles[name].marker or "o")  # fmt: skip
    everything = np.concatenate([dataset["site_value"].values for dataset in series.values()])
    ends = [np.nanmin(everything), np.nanmax(everything)]
    axes.plot(ends, ends, color="black", linewidth=1)
    axes.set_xlabel(labelled("Truth", units))
    axes.set_ylabel(labelled("Candidate", units))


@styled
def site_box_figure(
    sites: Datasets,
    *,
    site: str,
    channel: str,
    styles: Mapping[str, Style] | None = None,
    title: str = "",
) -> Figure:
    """Draws box plots of the values at a site by hour of the day, by month and by season.

    Each grouping with at least two groups has a panel.

    Args:
        sites: Data sets or paths of ``sites.nc`` by candidate, the truth under ``truth``.
        site: The site.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.
        title: Title of the figure.

    Raises:
        InputError: The times are of one hour, month and season.
    """
    datasets = opened(sites)
    styles = dict(styles or candidate_styles(datasets)) | {TRUTH: TRUTH_STYLE}
    series = {
        name: dataset.sel(site=site, channel=channel)
        for name, dataset in datasets.items()
        if "site_value" in dataset
    }
    groupings = [k for k in _groupings(series[TRUTH]["time"]) if k != "all"]
    if not groupings:
        raise InputError(
            "all times are of one hour, month and season: there are no groups to draw."
        )
    units = units_of(datasets[TRUTH], "site_value", channel)
    figure = new_figure(11, 1 + 2.6 * len(groupings))
    panels = figure.subplots(len(groupings), 1, squeeze=False)[:, 0]
    for axes, grouping in zip(panels, groupings):
        _boxes(axes, series, styles, units, grouping)
        axes.set_title(f"By {grouping}")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(series), styles)
    return figure


def _boxes(
    axes: Axes,
    series: Mapping[str, xr.Dataset],
    styles: Mapping[str, Style],
    units: str,
    grouping: str,
) -> None:
    """Draws a box for each candidate and group of times: 25–75 %, median, and 5–95 %.

    The box of an ensemble is that of the values of all members; around each of its lines the range
    over the members is shaded.
    """
    labels = _groupings(series[TRUTH]["time"])[grouping][1]
    width = 0.8 / len(series)
    for i, (name, dataset) in enumerate(series.items()):
        # The times of a candidate may be a part of the truth's, and have fewer groups.
        groups, names = _groupings(dataset["time"]).get(grouping, ([], []))
        shift = (i - (len(series) - 1) / 2) * width
        for g in range(len(names)):
            members = dataset["site_member" if "site_member" in dataset else "site_value"]
            values = np.atleast_2d(members.transpose(..., "time").values)[:, groups == g]
            values = values[:, np.isfinite(values).all(0)]
            if names[g] in labels and values.size:
                place = labels.index(names[g]) + shift
                _box(axes, place, 0.8 * width, values, styles[name])
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylabel(labelled("", units).strip(" ()"))


def _box(axes: Axes, place: float, width: float, values: np.ndarray, style: Style) -> None:
    """Draws the box of values (members, times) at the horizontal position ``place``."""
    levels, colour = [0.05, 0.25, 0.5, 0.75, 0.95], style.colour
    low, first, middle, third, high = np.quantile(values, levels)
    if len(values) > 1:
        members = np.quantile(values, levels, axis=1)
        axes.bar([place] * 5, np.ptp(members, axis=1), 1.2 * width, members.min(1), color=colour,
                 alpha=style.opacity, linewidth=0)  # fmt: skip
    axes.plot([place] * 2, [low, high], color=colour, linewidth=1)
    axes.bar(place, third - first, width, first, color=colour, alpha=0.5)
    ends = [place - width / 2, place + width / 2]
    axes.plot(ends, [middle] * 2, color=colour, linewidth=2)


def _groupings(time: xr.DataArray) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Returns the groupings of times: ``hour``, ``month``, ``season`` and ``all``.

    Each is the index of the group of each time, and the labels of the groups. Groupings with a
    single group are left out, except ``all``, the group of all times.
    """
    found = {"all": (np.zeros(time.size, int), ["all times"])}
    if not (np.issubdtype(time.dtype, np.datetime64) or time.dtype == object):
        return found
    months = time.dt.month.values
    for name, values, label in (
        ("hour", time.dt.hour.values, "{} h".format),
        ("month", months, lambda month: MONTHS[month - 1]),
        ("season", months % 12 // 3, lambda season: SEASONS[season]),
    ):
        groups, places = np.unique(values, return_inverse=True)
        if len(groups) > 1:
            found[name] = places, [label(group) for group in groups]
    return found


def site_plans(
    sites: Mapping[str, xr.Dataset],
    site: str,
    channel: str,
    styles: Mapping[str, Style],
    name: str,
    title: str,
    caption: str,
) -> Iterator[Plan]:
    """Yields the figure of a site's series, and that of its box plots by group of times.

    Args:
        sites: Results at sites by candidate, the truth under ``truth``.
        site: The site.
        channel: The channel.
        styles: Styles by candidate.
        name: First word of the figures' names.
        title: Title of the figures.
        caption: First sentence of the captions, on the origin of the values.
    """
    draw = {"site": site, "channel": channel, "styles": styles, "title": title}
    box = "box: 25–75 %, thick line: median, whiskers: 5–95 %; shaded: the range of members"
    yield Plan(
        figure_name(name, site, channel), "sites", title,
        f"{caption} Values, errors (band: all members), candidate against truth, and distributions "
        f"by season or hour ({box}).",
        functools.partial(site_figure, sites, **draw), channel,
    )  # fmt: skip
    groups = _groupings(sites[TRUTH]["time"])
    if len(groups) > 1:
        times = [label for kind in ("month", "season") for label in groups.get(kind, ((), ()))[1]]
        yield Plan(
            figure_name(f"{name}-boxes", site, channel), "sites",
            f"{title}, by hour, month and season", f"{caption} {box.capitalize()}.",
            functools.partial(site_box_figure, sites, **draw), channel, times=tuple(times),
        )  # fmt: skip
