"""Figures of the statistics at cities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from phire.errors import InputError
from phire.evaluation.cities import MARGIN, MARGIN_TEXT
from phire.evaluation.figures.coastlines import draw_coastlines
from phire.evaluation.figures.images import latitude_text, longitude_text
from phire.evaluation.figures.member_bands import OPACITY, member_edges
from phire.evaluation.figures.reading import Datasets, opened, units_of
from phire.evaluation.figures.style import (
    TRUTH,
    Style,
    candidate_styles,
    labelled,
    legend_below,
    new_figure,
    number_text,
    pretty_units,
    readable,
    styled,
)

MOST_NAMED = 20
"""So few cities get their names on the map."""

EQUAL_COLOUR = "#9a9a9a"


@styled
def city_map_figure(
    cities: Datasets,
    *,
    channel: str,
    size: int = 1,
    styles: Mapping[str, Style] | None = None,
) -> Figure:
    """Draws where each candidate has the distribution nearest to the truth's.

    Args:
        cities: By candidate: data sets or paths of ``cities.nc`` with ``wasserstein`` over
            ``channel``, ``size`` and ``city``, and the cities' ``city_latitude`` and
            ``city_longitude``.
        channel: The channel.
        size: Points along a side of the square around each city.
        styles: By candidate; by their order if None.

    Returns:
        The figure: a city has the colour and marker of the candidate whose Wasserstein-1 distance
        is the least by more than MARGIN, and is grey where two or more are within it. With one
        candidate, markers grow with its distance.

    Raises:
        InputError: No data set holds distances at cities.
    """
    datasets = opened(cities)
    styles = styles or candidate_styles(datasets)
    distances = _distances(datasets, channel, size)
    names = list(distances)
    some = next(dataset for name, dataset in datasets.items() if name in distances)
    latitudes = np.asarray(some["city_latitude"].values, float)
    longitudes = (np.asarray(some["city_longitude"].values, float) + 180) % 360 - 180
    table = np.stack([distances[name] for name in names])
    known = np.isfinite(table).any(0)
    some, table = some.isel(city=known), table[:, known]
    latitudes, longitudes = latitudes[known], longitudes[known]
    units = units_of(some, "wasserstein", channel)

    figure, axes = _map_panel(_extent(latitudes, longitudes))
    if len(names) == 1:
        subtitle = "size: Wasserstein-1 distance to the truth"
        style = styles[names[0]]
        handles = _scatter_sizes(axes, longitudes, latitudes, table[0], style, units)
    else:
        subtitle = (
            f"which candidate has the least Wasserstein-1 distance, by more than {MARGIN_TEXT}"
        )
        handles = _scatter_winners(axes, longitudes, latitudes, table, names, styles)
    if len(latitudes) <= MOST_NAMED:
        for name, x, y in zip(some["city"].values, longitudes, latitudes):
            axes.annotate(str(name), (x, y), (6, 3), textcoords="offset points", fontsize=8)
    axes.set_title(subtitle, fontsize=9)
    text = f"Distribution of {readable(channel)} at {len(latitudes)} cities"
    figure.suptitle(f"{text}, {size} × {size} points", x=0.01, ha="left", fontsize=12)
    legend_below(figure, [], styles, extra=handles)
    return figure


def _map_panel(extent: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """A figure with a map of coastlines; degrees of longitude as long as in its middle."""
    west, east, south, north = extent
    stretch = 1 / np.cos(np.deg2rad(min(abs(south + north) / 2, 60)))
    height = 9.2 * (north - south) * stretch / (east - west)
    figure = new_figure(10, float(np.clip(height, 3, 5)) + 1.5)
    axes = figure.add_subplot()
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    axes.set_aspect(stretch)
    draw_coastlines(axes, extent)
    axes.xaxis.set_major_formatter(longitude_text)
    axes.yaxis.set_major_formatter(latitude_text)
    return figure, axes


def _scatter_sizes(
    axes: Axes, x: np.ndarray, y: np.ndarray, distances: np.ndarray, style: Style, units: str
) -> list[Line2D]:
    """Draws one candidate's cities, larger where its distance is; returns the legend's entries."""
    largest = np.max(distances, where=np.isfinite(distances), initial=0.0) or 1.0
    area = 20 + 160 * np.nan_to_num(distances) / largest
    _scatter(axes, x, y, area, style.colour, "o")
    handles = []
    for share in (0.25, 1.0):
        value = f"{number_text(float(f'{share * largest:.2g}'))} {pretty_units(units)}"
        handles.append(_handle(value, style.colour, "o", np.sqrt(20 + 160 * share)))
    return handles


def _scatter_winners(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    distances: np.ndarray,
    names: Sequence[str],
    styles: Mapping[str, Style],
) -> list[Line2D]:
    """Draws each city in the style of its best candidate; returns the legend's entries."""
    handles = []
    winners = best_candidates(distances)
    for place, name in [*enumerate(names), (-1, "")]:
        here = winners == place
        style = styles.get(name)
        colour = style.colour if style else EQUAL_COLOUR
        marker = style.marker if style else "o"
        _scatter(axes, x[here], y[here], 34, colour, marker)
        label = f"{name} best" if name else f"within {MARGIN_TEXT} of each other"
        handles.append(_handle(f"{label}: {int(here.sum())}", colour, marker, 6.5))
    return handles


@styled
def city_distance_figure(
    cities: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws how the distances of the cities are distributed, for each size of square.

    Args:
        cities: As for :func:`city_map_figure`.
        channel: The channel.
        styles: By candidate; by their order if None.

    Returns:
        The figure: the share of the cities (vertical) at which a candidate's Wasserstein-1 distance
        is below a value (horizontal); further left is better. Shaded: between the least and the
        greatest distances that members of an ensemble have at each city.

    Raises:
        InputError: No data set holds distances at cities.
    """
    datasets = opened(cities)
    styles = styles or candidate_styles(datasets)
    some = next((d for n, d in datasets.items() if n != TRUTH and "wasserstein" in d), None)
    if some is None:
        raise InputError("none of the data sets holds distances at cities: nothing to draw.")
    sizes = [int(size) for size in np.atleast_1d(some["size"].values)]
    figure = new_figure(1 + 3.3 * len(sizes), 4)
    panels = figure.subplots(1, len(sizes), sharey=True, sharex=True, squeeze=False)[0]
    names: list[str] = []
    for axes, size in zip(panels, sizes):
        distances = _distances(datasets, channel, size)
        names = list(distances)
        for name, values in distances.items():
            values, share = _cumulated(values)
            axes.plot(values, share, drawstyle="steps-post", **styles[name].line())
            edges = member_edges(
                datasets[name], "wasserstein",
                lambda array, size=size: array.sel(channel=channel, size=size),
            )  # fmt: skip
            if edges is not None:
                (low, share), (high, _) = map(_cumulated, edges)
                axes.fill_betweenx(share, low, high, color=styles[name].colour, alpha=OPACITY,
                                   linewidth=0, step="pre")  # fmt: skip
        axes.set_title(f"{size} × {size} points")
        axes.set_xlabel(labelled("Wasserstein-1 distance", units_of(some, "wasserstein", channel)))
        axes.set_ylim(0, 1)
        axes.set_xlim(left=0)
    panels[0].set_ylabel("Share of the cities below")
    figure.suptitle(f"Cities: distance of {readable(channel)}", x=0.01, ha="left", fontsize=12)
    legend_below(figure, names, styles)
    return figure


def _cumulated(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns distances in ascending order, and the shares of the cities below them."""
    values = np.sort(values[np.isfinite(values)])
    share = np.arange(len(values) + 1) / max(len(values), 1)
    # From 0 on: the step up to the first city's share is all that one city has.
    values = np.append(values[:1], values)
    return values, share[: len(values)]


def cities_with_values(cities: Mapping[str, xr.Dataset], channel: str, size: int) -> int:
    """Number of cities at which a candidate has a distance."""
    distances = _distances(cities, channel, size)
    return int(np.isfinite(np.stack(list(distances.values()))).any(0).sum())


def best_candidates(distances: np.ndarray, margin: float = MARGIN) -> np.ndarray:
    """At each city, the candidate whose distance is smaller than all others' by a margin.

    Args:
        distances: (candidates, cities); missing ones do not compete.
        margin: The share of the second least distance by which the least one must be smaller.

    Returns:
        (cities,) places of candidates, −1 where none is better than all others.
    """
    filled = np.where(np.isfinite(distances), distances, np.inf)
    order = np.sort(filled, axis=0)
    with np.errstate(invalid="ignore"):
        ahead = order[0] < (1 - margin) * order[1]
    return np.where(ahead, filled.argmin(0), -1)


def _distances(
    datasets: Mapping[str, xr.Dataset], channel: str, size: int
) -> dict[str, np.ndarray]:
    found = {
        name: np.asarray(
            dataset["wasserstein"].sel(channel=channel, size=size).transpose("city").values, float
        )
        for name, dataset in datasets.items()
        if name != TRUTH and "wasserstein" in dataset
    }
    if not found:
        raise InputError("none of the data sets holds distances at cities: nothing to draw.")
    return found


def _extent(latitudes: np.ndarray, longitudes: np.ndarray) -> tuple[float, float, float, float]:
    if np.ptp(longitudes) > 120:
        return -180.0, 180.0, -60.0, 75.0
    margin = 3.0
    return (
        longitudes.min() - margin,
        longitudes.max() + margin,
        latitudes.min() - margin,
        latitudes.max() + margin,
    )


def _scatter(
    axes: Axes, x: np.ndarray, y: np.ndarray, area: float | np.ndarray, colour: str, marker: str
) -> None:
    axes.scatter(
        x, y, s=area, c=colour, marker=marker, edgecolors="white", linewidths=0.5, zorder=4
    )


def _handle(label: str, colour: str, marker: str, size: float) -> Line2D:
    return Line2D([], [], linestyle="", label=label, color=colour, marker=marker, markersize=size)
