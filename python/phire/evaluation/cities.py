"""Cities of over a million inhabitants, and the grid points around them.

The list ``phire/data/cities.csv`` was written for this project from general knowledge. It covers
the inhabited continents and is not a ranking. Positions are accurate to about 0.05°; populations
are those of the urban areas about 2023, in millions.
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
"""A candidate is better at a city if its distance is smaller by at least this fraction."""
MARGIN_TEXT = f"{100 * MARGIN:g} %"


@dataclasses.dataclass(frozen=True)
class City:
    """A city.

    Attributes:
        name: Name in the usual English spelling.
        country: Country in the usual English spelling.
        latitude: Degrees north.
        longitude: Degrees east, −180…180.
        population: Inhabitants of the urban area in millions, approximate.
    """

    name: str
    country: str
    latitude: float
    longitude: float
    population: float


@functools.cache
def read_cities() -> tuple[City, ...]:
    """Reads the list of cities that phire ships, sorted by continent."""
    text = importlib.resources.files("phire").joinpath("data/cities.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        City(
            row["name"],
            row["country"],
            float(row["latitude"]),
            float(row["longitude"]),
            float(row["population"]),
        )
        for row in rows
    )


def cities_within(grid: Grid, cities: Sequence[City] | None = None) -> tuple[City, ...]:
    """Returns the cities that lie in one of the grid's cells.

    A cell extends half a spacing from its grid point in each direction.

    Args:
        grid: A grid with coordinates, its longitudes counted 0…360 or −180…180.
        cities: The cities to choose from; None means all cities that phire ships.

    Returns:
        The cities within the grid, in the order of ``cities``.

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
    """Returns the indices of the square of grid points around a place.

    A square of odd size is centred on the nearest grid point, one of even size on the four grid
    points that surround the place. On a grid that spans all longitudes the square may cross the
    grid's seam; at all other edges it is shifted inward.

    Args:
        grid: A grid with coordinates.
        latitude: Degrees north.
        longitude: Degrees east, −180…180 or 0…360: −90 and 270 are the same on any grid.
        size: Number of points along a side.

    Returns:
        Rows and columns, each (size, size), to index a field with.

    Raises:
        InputError: The grid has no coordinates, or a side of fewer points than ``size``.
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
        # Squares across the seam continue with the first columns, 360° further east.
        longitudes = np.concatenate([longitudes, longitudes[: size - 1] + 360])
    offset = (_centres(longitudes, size) - longitude + 180) % 360 - 180
    first_column = np.abs(offset).argmin()
    rows = first_row + np.arange(size)
    columns = (first_column + np.arange(size)) % grid.shape[1]
    return np.repeat(rows[:, None], size, axis=1), np.repeat(columns[None, :], size, axis=0)


def neighbourhoods(
    grid: Grid, cities: Sequence[City], *, size: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the squares around several cities: rows and columns, each (n, size, size)."""
    squares = [neighbourhood(grid, city.latitude, city.longitude, size=size) for city in cities]
    empty = np.empty((0, size, size), dtype=np.int64)
    rows = np.stack([square[0] for square in squares]) if squares else empty
    columns = np.stack([square[1] for square in squares]) if squares else empty.copy()
    return rows, columns


def _centres(coordinates: np.ndarray, size: int) -> np.ndarray:
    """Returns the centre of each run of ``size`` neighbouring coordinates."""
    starts = np.arange(len(coordinates) - size + 1)
    return (coordinates[starts + (size - 1) // 2] + coordinates[starts + size // 2]) / 2
