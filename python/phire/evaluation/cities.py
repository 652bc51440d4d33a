"""Cities of over a million inhabitants, and the grid points around them.

Statistics of predictions are also wanted where people live. The list ``phire/data/cities.csv`` was
written for this project from general knowledge: a spread over the inhabited continents, not a
ranking; positions good to about 0.05°, populations of the urban areas in millions, about 2023.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.resources
from collections.abc import Sequence

import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid

MARGIN = 0.1
"""Share by which a distance must be smaller than another for a candidate to be better at a city."""
MARGIN_TEXT = f"{100 * MARGIN:g} %"


@dataclasses.dataclass(frozen=True)
class City:
    """A city.

    Attributes:
        name: In the spelling most used in English.
        country: The country, alike.
        continent: Africa, Asia, Europe, North America, South America or Oceania.
        latitude: Degrees north.
        longitude: Degrees east, −180…180.
        population: Inhabitants of the urban area in millions, approximate.
    """

    name: str
    country: str
    continent: str
    latitude: float
    longitude: float
    population: float


@functools.cache
def read_cities() -> tuple[City, ...]:
    """The cities that phire ships, by continent."""
    text = importlib.resources.files("phire").joinpath("data/cities.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        City(
            row["name"],
            row["country"],
            row["continent"],
            float(row["latitude"]),
            float(row["longitude"]),
            float(row["population"]),
        )
        for row in rows
    )


def cities_within(grid: Grid, cities: Sequence[City] | None = None) -> tuple[City, ...]:
    """The cities that lie in one of the grid's cells.

    Args:
        grid: A grid with coordinates, its longitudes counted 0…360 or −180…180.
        cities: The cities to choose from; those that phire ships if None.

    Returns:
        The cities inside, in their order; a cell reaches half a spacing around its point.

    Raises:
        InputError: The grid has no coordinates.
    """
    grid.require_coordinates("looking up cities")
    edges = grid.row_edges()
    south, north = edges.min(), edges.max()
    half = grid.spacing[1] / 2
    west, east = grid.longitudes[0] - half, grid.longitudes[-1] + half
    return tuple(
        city
        for city in (read_cities() if cities is None else cities)
        if south <= city.latitude <= north
        and (grid.wraps or (city.longitude - west) % 360 <= east - west)
    )


def neighbourhood(
    grid: Grid, latitude: float, longitude: float, *, size: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The square of grid points around a place.

    With an odd size the square is centred on the nearest grid point, with an even one on the cell
    whose corners surround the place. Squares run across the date line and Greenwich on grids that
    close the circle, and stop at the other edges of a grid: they are shifted inward.

    Args:
        grid: A grid with coordinates.
        latitude: Degrees north.
        longitude: Degrees east; −180…180 and 0…360 mean the same places, so that 90° W is −90 or
            270 on any grid.
        size: Points along a side.

    Returns:
        Rows and columns, each (size, size), to index a field with.

    Raises:
        InputError: The grid has no coordinates or fewer points than the square.
    """
    grid.require_coordinates("the neighbourhood of a place")
    if not 1 <= size <= min(grid.shape):
        raise InputError(
            f"a neighbourhood of {size} × {size} points does not fit the {grid.describe()}: "
            "ask for a size between 1 and the shorter side."
        )
    first_row = np.abs(_centres(grid.latitudes, size) - latitude).argmin()
    longitudes = grid.longitudes
    if grid.wraps:
        # The squares that run across the seam go on with the first columns, one circle further.
        longitudes = np.concatenate([longitudes, longitudes[: size - 1] + 360])
    offset = (_centres(longitudes, size) - longitude + 180) % 360 - 180
    first_column = np.abs(offset).argmin()
    rows = first_row + np.arange(size)
    columns = (first_column + np.arange(size)) % grid.shape[1]
    return np.repeat(rows[:, None], size, axis=1), np.repeat(columns[None, :], size, axis=0)


def neighbourhoods(
    grid: Grid, cities: Sequence[City], *, size: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The squares of grid points around many cities: rows and columns, each (n, size, size)."""
    squares = [neighbourhood(grid, city.latitude, city.longitude, size=size) for city in cities]
    empty = np.empty((0, size, size), dtype=np.int64)
    rows = np.stack([square[0] for square in squares]) if squares else empty
    columns = np.stack([square[1] for square in squares]) if squares else empty.copy()
    return rows, columns


def _centres(coordinates: np.ndarray, size: int) -> np.ndarray:
    """The middle of each run of ``size`` neighbouring coordinates."""
    starts = np.arange(len(coordinates) - size + 1)
    return (coordinates[starts + (size - 1) // 2] + coordinates[starts + size // 2]) / 2
