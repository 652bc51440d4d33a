"""Figures of one site: series, errors, scatter and distributions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.reading import Datasets, opened, units_of
from phire.evaluation.figures.scores import time_axis
from phire.evaluation.figures.style import (
    TRUTH,
    TRUTH_STYLE,
    Style,
    candidate_styles,
    labelled,
    legend_below,
    new_figure,
    styled,
)

SEASONS = ("DJF", "MAM", "JJA", "SON")


@styled
def site_figure(
    sites: Datasets,
    *,
    site: str,
    channel: str,
    styles: Mapping[str, Style] | None = None,
    title: str = "",
) -> Figure:
    """Draws values and errors over time, candidates against the truth, and boxes by group of times.

    Args:
        sites: By candidate: data sets or paths of ``sites.nc`` with ``site_value(channel, site,
            time)``; the truth's under ``truth``.
        site: The site.
        channel: The channel.
        styles: By candidate; by their order if None.
        title: Above the figure.

    Returns:
        The figure. Boxes are by season where there are two, else by hour, else of all times.

    Raises:
        InputError: The truth's series is missing.
    """
    datasets = opened(sites)
    styles = dict(styles or candidate_styles(datasets)) | {TRUTH: TRUTH_STYLE}
    if TRUTH not in datasets:
        raise InputError("the truth's series is not among the data sets: nothing to compare with.")
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
    for name, here in series.items():
        times, label = time_axis(here["time"])
        values = here["site_value"].values
        theirs = truth.reindex(time=here["time"]).values
        above.plot(times, values, **styles[name].line())
        if "site_value_low" in here:
            ends = [here[f"site_value_{end}"].values for end in ("low", "high")]
            colour = {"color": styles[name].colour, "alpha": 0.15, "linewidth": 0}
            above.fill_between(times, *ends, **colour)
            below.fill_between(times, *(end - theirs for end in ends), **colour)
        if name != TRUTH:
            below.plot(times, values - theirs, **styles[name].line())
    below.axhline(0, color="black", linewidth=0.8)
    above.set_ylabel(labelled("Value", units))
    below.set_ylabel(labelled("Error", units))
    below.set_xlabel(label)
    _scatter(figure.add_subplot(grid[0, 2]), series, styles, units)
    _boxes(figure.add_subplot(grid[1, 2]), series, styles, units)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(series), styles)
    return figure


def _scatter(
    axes: Axes, series: Mapping[str, xr.Dataset], styles: Mapping[str, Style], units: str
) -> None:
    """Draws candidates against the truth."""
    truth = series[TRUTH]["site_value"]
    for name, here in series.items():
        if name != TRUTH:
            theirs = truth.reindex(time=here["time"]).values
            axes.scatter(theirs, here["site_value"].values, s=10, alpha=0.6,
                         color=styles[name].colour, marker=styles[name].marker or "o")  # fmt: skip
    everything = np.concatenate([here["site_value"].values for here in series.values()])
    ends = [np.nanmin(everything), np.nanmax(everything)]
    axes.plot(ends, ends, color="black", linewidth=1)
    axes.set_xlabel(labelled("Truth", units))
    axes.set_ylabel(labelled("Candidate", units))


def _boxes(
    axes: Axes, series: Mapping[str, xr.Dataset], styles: Mapping[str, Style], units: str
) -> None:
    """Draws boxes of each candidate by group of times."""
    groups, labels = _groups(series[TRUTH]["time"])
    width = 0.8 / len(series)
    for i, (name, here) in enumerate(series.items()):
        own = _groups(here["time"])[0] if name != TRUTH else groups
        for g in range(len(labels)):
            values = here["site_value"].values[own == g] if len(own) == here.sizes["time"] else []
            values = np.asarray(values)[np.isfinite(values)] if len(values) else []
            if not len(values):
                continue
            low, first, middle, third, high = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
            place = g + (i - (len(series) - 1) / 2) * width
            colour = styles[name].colour
            axes.plot([place] * 2, [low, high], color=colour, linewidth=1)
            axes.bar(place, third - first, 0.8 * width, first, color=colour, alpha=0.5)
            axes.plot([place - 0.4 * width, place + 0.4 * width], [middle] * 2, color=colour,
                      linewidth=2)  # fmt: skip
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylabel(labelled("", units).strip(" ()"))


def _groups(time: xr.DataArray) -> tuple[np.ndarray, list[str]]:
    """The group of each time and the groups' names: seasons, else hours, else all."""
    if np.issubdtype(time.dtype, np.datetime64) or time.dtype == object:
        seasons = time.dt.month.values % 12 // 3
        if len(np.unique(seasons)) > 1:
            return seasons, list(SEASONS)
        hours, places = np.unique(time.dt.hour.values, return_inverse=True)
        if 1 < len(hours) <= 8:
            return places, [f"{hour} h" for hour in hours]
    return np.zeros(time.size, int), ["all times"]
