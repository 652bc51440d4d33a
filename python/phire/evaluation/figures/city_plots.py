"""Figures of the statistic ``cities``: best candidates, distances, and errors of quantiles."""

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
from phire.evaluation.figures.curve_plots import Panel, curve_figure
from phire.evaluation.figures.images import latitude_text, longitude_text
from phire.evaluation.figures.label_text import labelled, number_text, pretty_units, readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.member_bands import member_edges
from phire.evaluation.figures.results_reading import Datasets, opened, units_of
from phire.evaluation.figures.style import OF_MEMBERS, Style, candidate_styles, new_figure, styled
from phire.evaluation.member_ranges import member_ends
from phire.evaluation.results import TRUTH

MOST_NAMED = 20
"""Largest number of cities whose names are written on the map."""

MOST_PANELS = 8
"""Largest number of cities in the figure of quantiles."""

QUANTILE = "quantile_value"

EQUAL_COLOUR = "#9a9a9a"


@styled
def city_map_figure(
    cities: Datasets,
    *,
    channel: str,
    size: int = 1,
    styles: Mapping[str, Style] | None = None,
) -> Figure:
    """Draws a map of the cities with the best candidate at each city.

    A city has the colour and marker of the candidate whose Wasserstein-1 distance is smaller than
    all others' by more than :data:`~phire.evaluation.cities.MARGIN`, and is grey if there is no
    such candidate. With a single candidate, the area of the marker shows its distance.

    Args:
        cities: Data sets or paths of ``cities.nc`` by candidate, with ``wasserstein`` over
            ``channel``, ``size`` and ``city``, and the cities' ``city_latitude`` and
            ``city_longitude``.
        channel: The channel.
        size: Side in points of the square around each city.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has distances at cities.
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
        subtitle = f"candidate with the smallest Wasserstein-1 distance, by more than {MARGIN_TEXT}"
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
    """Returns a figure with a map of coastlines, true to scale at its central latitude."""
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
    """Draws one candidate's cities with the distance as area; returns the legend's entries."""
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
        won = winners == place
        style = styles.get(name)
        colour = style.colour if style else EQUAL_COLOUR
        marker = style.marker if style else "o"
        _scatter(axes, x[won], y[won], 34, colour, marker)
        label = f"{name} best" if name else f"within {MARGIN_TEXT} of each other"
        handles.append(_handle(f"{label}: {int(won.sum())}", colour, marker, 6.5))
    return handles


@styled
def city_distance_figure(
    cities: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws the cumulative distribution over cities of the distances, for each size of square.

    Curves are the share of the cities (vertical) at which a candidate's Wasserstein-1 distance is
    below a value (horizontal); further left is better. The band of an ensemble lies between the
    curves of the smallest and of the largest distance of its members at each city.

    Args:
        cities: As for :func:`city_map_figure`.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has distances at cities.
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
                axes.fill_betweenx(share, low, high, color=styles[name].colour,
                                   alpha=styles[name].opacity, linewidth=0, step="pre",
                                   label=OF_MEMBERS)  # fmt: skip
        axes.set_title(f"{size} × {size} points")
        axes.set_xlabel(labelled("Wasserstein-1 distance", units_of(some, "wasserstein", channel)))
        axes.set_ylim(0, 1)
        axes.set_xlim(left=0)
    panels[0].set_ylabel("Share of the cities below")
    figure.suptitle(f"Cities: distance of {readable(channel)}", x=0.01, ha="left", fontsize=12)
    legend_below(figure, names, styles)
    return figure


@styled
def city_quantile_figure(
    cities: Datasets,
    *,
    channel: str,
    size: int = 1,
    styles: Mapping[str, Style] | None = None,
    title: str = "",
) -> Figure:
    """Draws the error of each quantile at the most populous cities, one panel per city.

    The band of an ensemble lies between the errors of the smallest and the largest quantile of its
    members.

    Args:
        cities: Data sets or paths of ``cities.nc`` by candidate and of the truth, with
            ``quantile_value`` over ``channel``, ``size``, ``city`` and ``quantile``.
        channel: The channel.
        size: Side in points of the square around each city.
        styles: Styles by candidate; None means styles in the order of the candidates.
        title: Title of the figure.

    Raises:
        InputError: The truth or all candidates have no quantiles.
    """
    datasets = opened(cities)
    truth = datasets.get(TRUTH)
    if truth is None or QUANTILE not in truth:
        raise InputError("the truth has no quantiles at cities: nothing to draw.")
    errors = {
        name: _quantile_errors(dataset, truth)
        for name, dataset in datasets.items()
        if name != TRUTH and QUANTILE in dataset
    }
    if not errors:
        raise InputError("none of the candidates has quantiles at cities: nothing to draw.")
    names = _most_populous(truth.sel(channel=channel, size=size))
    panels = [
        Panel(name, QUANTILE, "quantile", "Quantile (level)", "Candidate minus truth",
              {"size": size, "city": name}, reference=0)
        for name in names
    ]  # fmt: skip
    styles = styles or candidate_styles(datasets)
    return curve_figure(errors, panels, channel=channel, styles=styles, title=title)


def _quantile_errors(dataset: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """Returns the quantiles, and their range over members, minus those of the truth."""
    found = dataset.copy()
    for name in (QUANTILE, *member_ends(QUANTILE)):
        if name in found:
            found[name] = found[name].copy(data=found[name].values - truth[QUANTILE].values)
    return found


def _most_populous(cities: xr.Dataset) -> list[str]:
    """Returns the names of the most populous cities with quantiles, at most ``MOST_PANELS``."""
    known = cities.isel(city=cities[QUANTILE].notnull().all("quantile").values)
    order = np.argsort(-known["city_population"].values, kind="stable")
    return [str(name) for name in known["city"].values[order[:MOST_PANELS]]]


def _cumulated(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns distances in ascending order, and the share of the cities below each.

    The smallest distance comes twice, so that the curve has a first step from the share 0.
    """
    values = np.sort(values[np.isfinite(values)])
    share = np.arange(len(values) + 1) / max(len(values), 1)
    values = np.append(values[:1], values)
    return values, share[: len(values)]


def cities_with_values(cities: Mapping[str, xr.Dataset], channel: str, size: int) -> int:
    """Returns the number of cities at which at least one candidate has a distance."""
    distances = _distances(cities, channel, size)
    return int(np.isfinite(np.stack(list(distances.values()))).any(0).sum())


def best_candidates(distances: np.ndarray, margin: float = MARGIN) -> np.ndarray:
    """Returns the candidate with the smallest distance at each city, if it leads by a margin.

    Args:
        distances: (candidates, cities) distances; NaN where one is missing.
        margin: Share of the second smallest distance by which the smallest one must be smaller.

    Returns:
        (cities,) indices of candidates; −1 if no candidate leads by the margin.
    """
    filled = np.where(np.isfinite(distances), distances, np.inf)
    order = np.sort(filled, axis=0)
    with np.errstate(invalid="ignore"):
        ahead = order[0] < (1 - margin) * order[1]
    return np.where(ahead, filled.argmin(0), -1)


def _distances(
    datasets: Mapping[str, xr.Dataset], channel: str, size: int
) -> dict[str, np.ndarray]:
    """Returns the distances (cities,) by candidate.

    Raises:
        InputError: No data set has distances at cities.
    """
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
    """Returns west, east, south, north of the map: the world if cities span over 120 degrees."""
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
