"""Figures of scores at stations, by station and by the height difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.label_text import labelled, readable
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
from phire.evaluation.member_ranges import member_ends
from phire.evaluation.results import TRUTH

GRIDDED = "gridded truth"

VALUES = ("site_value", *member_ends("site_value"))
"""Variables at sites that have a counterpart in the results at stations."""

NAMED = 30
"""Largest number of stations whose names fit below a figure."""


def as_sites(stations: Datasets) -> dict[str, xr.Dataset]:
    """Returns results at stations in the form of results at sites, with observations as truth.

    Args:
        stations: Data sets or paths of ``stations.nc`` by candidate.
    """
    names = {"station": "site", "station_member": "site_member"}
    names |= {name.replace("site", "station"): name for name in VALUES}
    found, observed = {}, None
    for name, dataset in opened(stations).items():
        label = GRIDDED if name == TRUTH else name
        renamed = {old: new for old, new in names.items() if old in dataset.variables}
        found[label] = dataset.rename(renamed)
        observed = dataset[["station_observed"]].rename(
            {"station": "site", "station_observed": "site_value"}
        )
    return {TRUTH: observed, **found}


def observation_styles(styles: Mapping[str, Style]) -> dict[str, Style]:
    """Returns the styles of the candidates, and the grey style of the gridded truth."""
    return {**styles, GRIDDED: dataclasses.replace(TRUTH_STYLE, colour="#888888")}


@styled
def station_figure(
    stations: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws RMSE and bias by station, and the bias by the height difference of grid and station.

    Stations are in the order of the gridded truth's RMSE. The range of an ensemble's members is
    shaded.

    Args:
        stations: Data sets or paths of ``stations.nc`` by candidate, the truth under ``truth``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has scores of the channel.
    """
    datasets = {
        name: dataset.sel(channel=channel)
        for name, dataset in opened(stations).items()
        if "station_rmse" in dataset
    }
    if not datasets:
        raise InputError("none of the data sets holds scores at stations: nothing to draw.")
    styles = dict(styles or candidate_styles(datasets)) | {TRUTH: TRUTH_STYLE}
    some = datasets.get(TRUTH, next(iter(datasets.values())))
    order = np.argsort(some["station_rmse"].values, kind="stable")
    heights = some.get("height_difference")
    figure = new_figure(11, 4 if heights is None else 6.5)
    grid = figure.add_gridspec(1 if heights is None else 2, 2)
    units = units_of(opened(stations)[next(iter(datasets))], "station_rmse", channel)
    for column, (variable, label) in enumerate(
        (("station_rmse", "RMSE"), ("station_bias", "Bias"))
    ):
        axes = figure.add_subplot(grid[0, column])
        _draw_by_station(axes, datasets, variable, order, styles)
        axes.set_ylabel(labelled(label, units))
        if column:
            axes.axhline(0, color="black", linewidth=0.8)
        else:
            axes.set_ylim(bottom=0)
        if len(order) <= NAMED:
            axes.set_xticks(
                range(len(order)), some["station"].values[order], rotation=60, ha="right"
            )
        else:
            axes.set_xlabel("Station, by RMSE of the gridded truth")
    if heights is not None:
        axes = figure.add_subplot(grid[1, :])
        for name, dataset in datasets.items():
            axes.plot(heights.values, dataset["station_bias"].values, linestyle="none", ms=5,
                      marker=styles[name].marker or "o", color=styles[name].colour)  # fmt: skip
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xlabel("Height of the grid minus the station's (m)")
        axes.set_ylabel(labelled("Bias", units))
    figure.suptitle(f"Errors of {readable(channel)} at stations", x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(datasets), styles, markers=True)
    return figure


def _draw_by_station(
    axes: Axes,
    datasets: Datasets,
    variable: str,
    order: np.ndarray,
    styles: Mapping[str, Style],
) -> None:
    """Draws a score of all candidates by station.

    Args:
        axes: Axes to draw in.
        datasets: Data sets by candidate.
        variable: Variable over ``station``.
        order: Indices of the stations from left to right.
        styles: Styles by candidate.
    """
    places = np.arange(len(order))
    for name, dataset in datasets.items():
        axes.plot(places, dataset[variable].values[order], linestyle="none", ms=5,
                  marker=styles[name].marker or "o", color=styles[name].colour)  # fmt: skip
        edges = member_edges(dataset, variable, lambda array: array[order])
        if edges is not None:
            axes.vlines(places, *edges, color=styles[name].colour, linewidth=5,
                        alpha=styles[name].opacity, label=OF_MEMBERS)  # fmt: skip
