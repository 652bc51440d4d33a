"""Rows and columns of a grid at the points of another."""

from __future__ import annotations

import numpy as np

from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import TOLERANCE, Grid

SAME_PLACE = 0.02
"""Share of a grid's spacing by which its points may miss their places."""

Points = tuple[np.ndarray, np.ndarray]
"""Rows and columns of points of a grid."""


def matching_points(grid: Grid, wanted: Grid) -> Points | None:
    """Returns the rows and columns of a grid at another's points; None if it lacks one.

    Projected and curvilinear grids are compared by their points, or by y and x where no projection
    is stated. Where one of both has no coordinates at all, the sizes alone tell.
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
    """Returns the rows and columns of a projected grid at another's points; see above."""
    if grid.has_points and wanted.has_points:
        window = grid.find(wanted)
        if window is None:
            return None
        return tuple(np.arange(part.start, part.stop) for part in window)
    places = []
    for values, others in ((grid.y, wanted.y), (grid.x, wanted.x)):
        step = np.abs(np.diff(values)).min() if len(values) > 1 else 1.0
        places.append(positions_on_axis(values, others, 0.0, SAME_PLACE * step))
    return None if any((found < 0).any() for found in places) else (places[0], places[1])


def fine_points(grid: Grid, fine: Grid, window: tuple[slice, slice]) -> Points | None:
    """Returns the rows and columns of a grid at a window of the fine one; None if it lacks one.

    With coordinates a grid may hold more or fewer points around; without, its size tells. Where the
    window reaches beyond the fine grid, the padding, the last row and column are repeated.
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
    """Returns for rows and columns: coordinates, wanted ones, period and tolerance."""
    near = [max(TOLERANCE, SAME_PLACE * s) if np.isfinite(s) else TOLERANCE for s in grid.spacing]
    return [
        (grid.latitudes, wanted.latitudes, 0.0, near[0]),
        (grid.longitudes, wanted.longitudes, 360.0, near[1]),
    ]


def positions_on_axis(
    values: np.ndarray, wanted: np.ndarray, turn: float, near: float
) -> np.ndarray:
    """Returns (len(wanted),) the index of each wanted coordinate; -1 for a missing one."""
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
    """Returns the rows and columns of a grid at another's points, the outermost ones beyond it.

    None where the grid lies on other points.
    """
    if not (grid.has_coordinates and wanted.has_coordinates):
        return None
    aligned = []
    for values, places, turn, near in axes_to_match(grid, wanted):
        found = positions_on_axis(values, places, turn, near)
        held = np.flatnonzero(found >= 0)
        if not len(held):
            return None
        inner = found[held[0] : held[-1] + 1]
        beyond = held[0], len(found) - 1 - held[-1]
        same_order = (values[-1] > values[0]) == (places[-1] > places[0])
        ends = (0, len(values) - 1) if same_order else (len(values) - 1, 0)
        # Points without a partner lie beyond the outermost ones; else a few coincide by chance.
        if (inner < 0).any() or any(n and i != e for n, i, e in zip(beyond, inner[[0, -1]], ends)):
            return None
        aligned.append(np.pad(inner, beyond, mode="edge"))
    return aligned[0], aligned[1]
