"""Rows and columns of a grid at the points of another grid."""

from __future__ import annotations

import numpy as np

from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import TOLERANCE, Grid

SAME_PLACE = 0.02
"""Tolerance for equal points, as a share of the grid's spacing."""

Points = tuple[np.ndarray, np.ndarray]
"""Row indices and column indices of points of a grid."""


def matching_points(grid: Grid, wanted: Grid) -> Points | None:
    """Finds the rows and columns of a grid at the points of another; None if a point is missing.

    Projected and curvilinear grids are compared by latitude and longitude, or by y and x if no
    projection is known. If either grid has no coordinates, only their sizes are compared.
    """
    if grid.has_coordinates != wanted.has_coordinates:
        return None
    if isinstance(grid, CurvilinearGrid) and isinstance(wanted, CurvilinearGrid):
        return _curvilinear_points(grid, wanted)
    if not grid.has_coordinates:
        same = grid.shape == wanted.shape
        return (np.arange(grid.shape[0]), np.arange(grid.shape[1])) if same else None
    rows, columns = (positions_on_axis(*axes) for axes in axes_to_match(grid, wanted))
    return None if (rows < 0).any() or (columns < 0).any() else (rows, columns)


def _curvilinear_points(grid: CurvilinearGrid, wanted: CurvilinearGrid) -> Points | None:
    """Finds the rows and columns of a projected grid; see :func:`matching_points`."""
    if grid.has_points and wanted.has_points:
        window = grid.find(wanted)
        if window is None:
            return None
        return tuple(np.arange(part.start, part.stop) for part in window)
    places = []
    for values, wanted_values in ((grid.y, wanted.y), (grid.x, wanted.x)):
        step = np.abs(np.diff(values)).min() if len(values) > 1 else 1.0
        places.append(positions_on_axis(values, wanted_values, 0.0, SAME_PLACE * step))
    return None if any((found < 0).any() for found in places) else (places[0], places[1])


def fine_points(grid: Grid, fine: Grid, window: tuple[slice, slice]) -> Points | None:
    """Finds the rows and columns of a grid in a window of the fine grid.

    With coordinates the grid may extend beyond the window; without, its size must be that of the
    window or of the fine grid. In the padding, where the window reaches beyond the fine grid, the
    last row and column are repeated. Returns None if a point of the window is missing.
    """
    inside = tuple(slice(s.start, min(s.stop, n)) for s, n in zip(window, fine.shape))
    if fine.has_distances and grid.has_distances:
        points = matching_points(grid, fine.subgrid(*inside))
    else:
        points = matching_points(grid, fine)
        points = points and (points[0][inside[0]], points[1][inside[1]])
    if points is None:
        return None
    rows, columns = (
        np.pad(places, (0, s.stop - i.stop), mode="edge")
        for places, s, i in zip(points, window, inside)
    )
    return rows, columns


def axes_to_match(grid: Grid, wanted: Grid) -> list[tuple[np.ndarray, np.ndarray, float, float]]:
    """Returns, for rows and columns each: coordinates, wanted coordinates, period, tolerance."""
    near = [max(TOLERANCE, SAME_PLACE * s) if np.isfinite(s) else TOLERANCE for s in grid.spacing]
    return [
        (grid.latitudes, wanted.latitudes, 0.0, near[0]),
        (grid.longitudes, wanted.longitudes, 360.0, near[1]),
    ]


def positions_on_axis(
    values: np.ndarray, wanted: np.ndarray, turn: float, near: float
) -> np.ndarray:
    """Finds the index of each wanted coordinate, (len(wanted),); -1 where it is missing."""
    order = np.argsort(values)
    base = values[order]
    if turn:
        base = np.concatenate([base - turn, base, base + turn])
        order = np.tile(order, 3)
        wanted = base[len(values)] + (wanted - base[len(values)]) % turn
    right = np.clip(np.searchsorted(base, wanted), 1, len(base) - 1) if len(base) > 1 else 0
    left = np.maximum(right - 1, 0)
    nearest = np.where(np.abs(base[left] - wanted) < np.abs(base[right] - wanted), left, right)
    return np.where(np.abs(base[nearest] - wanted) <= near, order[nearest], -1)


def aligned_points(grid: Grid, wanted: Grid) -> Points | None:
    """Finds the rows and columns of a grid at another's points, repeating the outermost ones.

    Wanted points beyond the grid get its outermost row or column. Returns None if the grid lies
    on other points.
    """
    if not (grid.has_coordinates and wanted.has_coordinates):
        return None
    aligned = []
    for values, places, turn, near in axes_to_match(grid, wanted):
        found = positions_on_axis(values, places, turn, near)
        matched = np.flatnonzero(found >= 0)
        if not len(matched):
            return None
        inner = found[matched[0] : matched[-1] + 1]
        beyond = matched[0], len(found) - 1 - matched[-1]
        same_order = (values[-1] > values[0]) == (places[-1] > places[0])
        ends = (0, len(values) - 1) if same_order else (len(values) - 1, 0)
        # Unmatched points may lie only beyond the outermost ones; otherwise the grids differ and
        # a few of their points coincide by chance.
        if (inner < 0).any() or any(n and i != e for n, i, e in zip(beyond, inner[[0, -1]], ends)):
            return None
        aligned.append(np.pad(inner, beyond, mode="edge"))
    return aligned[0], aligned[1]
