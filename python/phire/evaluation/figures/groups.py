"""Figures of scores by hour, month or season."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from phire.errors import InputError
from phire.evaluation.catalogue import definition
from phire.evaluation.figures.reading import Datasets, has_values, opened, units_of
from phire.evaluation.figures.style import (
    TRUTH,
    Style,
    candidate_styles,
    legend_below,
    new_figure,
    pretty_units,
    readable,
    styled,
)

MOST = 12
"""Panels of a figure, at most."""


def numbers_of(
    datasets: Mapping[str, xr.Dataset], dimension: str, channel: str | None
) -> list[str]:
    """Returns the numbers over the groups that have a better direction, of a channel or of none."""
    wanted = {dimension, "channel"} if channel is not None else {dimension}
    found: dict[str, None] = {}
    for dataset in datasets.values():
        for name, array in dataset.data_vars.items():
            if set(array.dims) == wanted and definition(str(name).split(":")[0]).better:
                if has_values({"": dataset}, str(name), channel):
                    found[str(name)] = None
    return list(found)


@styled
def group_figure(
    groups: Datasets,
    *,
    dimension: str,
    channel: str | None = None,
    styles: Mapping[str, Style] | None = None,
    title: str = "",
) -> Figure:
    """Draws each number over the groups of times, a panel a number.

    Args:
        groups: By candidate: data sets or paths of ``by_season.nc`` and the like.
        dimension: ``hour``, ``month`` or ``season``.
        channel: The channel; numbers of no channel if None.
        styles: By candidate; by their order if None.
        title: Above the figure.

    Returns:
        The figure; of more than twelve numbers, the first twelve.

    Raises:
        InputError: No data set holds a number over the groups.
    """
    datasets = {name: dataset for name, dataset in opened(groups).items() if name != TRUTH}
    shown = numbers_of(datasets, dimension, channel)[:MOST]
    if not shown:
        raise InputError(f"none of the data sets holds a number by {dimension}: nothing to draw.")
    styles = styles or candidate_styles(opened(groups))
    columns = min(len(shown), 4)
    rows = -(-len(shown) // columns)
    figure = new_figure(max(1 + 2.7 * columns, 5), 0.8 + 2.3 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, number in zip(grid, shown):
        base, _, rest = number.partition(":")
        known = definition(base)
        units = ""
        for name, dataset in datasets.items():
            if number not in dataset:
                continue
            values = dataset[number]
            values = values if channel is None else values.sel(channel=channel)
            units = units or units_of(dataset, number, channel)
            labels = dataset[dimension].values
            places = labels if dimension == "hour" else np.arange(len(labels))
            axes.plot(places, values.values, marker=styles[name].marker, ms=4,
                      **styles[name].line())  # fmt: skip
            if dimension == "hour":
                axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
            else:
                axes.set_xticks(places, [str(label) for label in labels])
        words = f"{known.title}{' of ' + readable(rest) if rest else ''}"
        axes.set_title(_wrapped(f"{words} {known.direction}"), fontsize=8.5)
        axes.set_ylabel(pretty_units(units))
        if known.better == "zero":
            axes.axhline(0, color="#777777", linewidth=0.8, zorder=1)
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(datasets), styles, markers=True)
    return figure


def _wrapped(text: str, width: int = 34) -> str:
    """A title over several lines."""
    return "\n".join(textwrap.wrap(text, width))
