"""Parsing of grid names (``--grid``): ``gaussian:320``, ``degrees:0.25:60,-10,40,20``."""

from __future__ import annotations

import numpy as np

from phire.errors import InputError
from phire.fields.great_circle import latitudes_longitudes, unit_vectors
from phire.fields.grid import GEOMETRIES, Grid

MOST_POINTS = 1_000_000_000
"""Largest number of points of a field: 4 GB in float32."""


def parse_grid(text: str) -> Grid:
    """Returns the global grid ``KIND:ROWS``, such as ``gaussian:320`` or ``pole-to-pole:721``.

    Raises:
        InputError: The text has another form, or the kind does not allow this number of rows.
    """
    kind, _, rows = str(text).partition(":")
    if kind not in GEOMETRIES or not rows.isdigit() or int(rows) < 4:
        raise InputError(
            f"--grid {text} is not of the form KIND:ROWS, such as gaussian:320; the kinds are "
            f"{', '.join(GEOMETRIES)}."
        )
    if kind == "driscoll-healy" and int(rows) % 2:
        raise InputError(f"--grid {text}: a Driscoll–Healy grid must have an even number of rows.")
    return getattr(Grid, kind.replace("-", "_"))(int(rows))


def target_grid(text: str, source: Grid) -> Grid:
    """Returns the target grid of a regridding.

    Args:
        text: One of three forms. ``KIND:ROWS``: a global grid, see :func:`parse_grid`.
            ``degrees:STEP``: rows and columns every STEP degrees over the extent of ``source``.
            ``degrees:STEP:N,W,S,E``: the same over this region, with the first row at N and the
            first column at W.
        source: Grid of the fields.

    Raises:
        InputError: The text has another form, ``source`` has no extent in degrees, or the grid
            has too many points.
    """
    kind, *parts = str(text).split(":")
    if kind != "degrees":
        return parse_grid(text)
    numbers = [_numbers(part) for part in parts]
    step = numbers[0][0] if numbers and len(numbers[0]) == 1 else 0.0
    bounds = numbers[1] if len(numbers) == 2 else []
    if not step > 0 or (len(parts), len(bounds)) not in ((1, 0), (2, 4)):
        raise InputError(
            f"--grid {text} is not of the form KIND:ROWS, degrees:STEP or degrees:STEP:N,W,S,E, "
            "such as gaussian:320, degrees:0.25 or degrees:0.25:60,-10,40,20."
        )
    if not bounds:
        bounds = _extent(source, step)
    north, west, south, east = bounds
    width = (east - west) % 360 or 360.0
    if not -90 <= south < north <= 90:
        raise InputError(f"--grid {text}: the order must be N,W,S,E, in degrees, N north of S.")
    # Tolerance of 1/1000 step: rounding must not drop a last point that lies on the bound.
    rows, columns = (int(np.floor(extent / step + 1e-3)) + 1 for extent in (north - south, width))
    if (columns - 1) * step > 360 - 1e-3 * step:
        columns -= 1  # 360° further east than the first column: the same meridian
    if rows * columns > MOST_POINTS:
        raise InputError(
            f"--grid {text} has {rows} × {columns} points, more than a field may have "
            f"({MOST_POINTS:.0e}): give a larger step, or a region."
        )
    return Grid.from_coordinates(north - step * np.arange(rows), west + step * np.arange(columns))


def _extent(grid: Grid, step: float) -> list[float]:
    """Returns the north, west, south and east bounds of a grid, degrees.

    For projected and curvilinear grids the bounds are multiples of ``step`` within the extent.
    """
    if grid.is_sphere:
        return [90.0, float(grid.longitudes[0]), -90.0, float(grid.longitudes[0])]
    if grid.has_coordinates:
        south, north = np.sort(grid.latitudes[[0, -1]])
        return [float(v) for v in (north, grid.longitudes[0], south, grid.longitudes[-1])]
    latitudes, longitudes = grid.points()
    middle = latitudes_longitudes(unit_vectors(latitudes, longitudes).mean((0, 1)))[1]
    longitudes = middle + (longitudes - middle + 180) % 360 - 180
    north, west = latitudes.max(), longitudes.min()
    south, east = latitudes.min(), longitudes.max()
    # A grid that contains a pole extends to it and over all longitudes.
    for pole in (90.0, -90.0):
        inside = [0 <= p <= n - 1 for p, n in zip(grid.row_column(pole, 0.0), grid.shape)]
        if all(inside):
            north, south = max(north, pole), min(south, pole)
            west, east = 0.0, 360.0
    down, up = np.ceil(np.array([south, west]) / step), np.floor(np.array([north, east]) / step)
    return [float(v * step) for v in (up[0], down[1], down[0], up[1])]


def _numbers(text: str) -> list[float]:
    """Returns the numbers of a text ``A,B,…``; an empty list if one is not a finite number."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        return []
    return values if np.isfinite(values).all() else []
