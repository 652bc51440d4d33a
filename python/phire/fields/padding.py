"""Padding of a fine grid to whole blocks, by rows and columns without targets at its ends."""

from __future__ import annotations

import numpy as np

from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import Grid


def padding(grid: Grid, scale: int) -> tuple[int, int]:
    """Returns the numbers of rows and columns that complete the last blocks of a grid.

    Args:
        grid: The fine grid.
        scale: Points of a block along each side.

    Returns:
        (rows, columns) to add after the last ones. The number is 0 if the size is a multiple of
        ``scale``, for rows that would lie beyond a pole, for columns of a grid that closes the
        circle, and for projected and curvilinear grids.
    """
    if isinstance(grid, CurvilinearGrid):
        return 0, 0
    rows, columns = (-size % scale for size in grid.shape)
    if not grid.has_coordinates:
        return rows, columns
    if grid.wraps or len(grid.longitudes) < 2:  # further columns would repeat the first ones
        columns = 0
    if len(grid.latitudes) < 2 or np.abs(_continued(grid.latitudes, rows)).max() > 90:
        rows = 0
    return rows, columns


def padded_grid(grid: Grid, added: tuple[int, int]) -> Grid:
    """Returns a grid with rows and columns added after its last ones, at the last spacing.

    Args:
        grid: The fine grid.
        added: Numbers of rows and columns; see :func:`padding`.
    """
    if not any(added):
        return grid
    if not grid.has_coordinates:
        return Grid.pixels(*(size + n for size, n in zip(grid.shape, added)))
    return Grid.regional(
        *(_continued(values, n) for values, n in zip((grid.latitudes, grid.longitudes), added))
    )


def padding_note(grid: Grid, scale: int, added: tuple[int, int]) -> str | None:
    """Returns a sentence on the added rows and columns; None if none are added.

    Args:
        grid: The fine grid.
        scale: Points of a block along each side.
        added: Numbers of rows and columns; see :func:`padding`.
    """
    if not any(added):
        return None
    south = "south" if grid.descending else "north"
    parts = [
        f"{count} {name}{'s' * (count > 1)} at the {side}"
        for count, name, side in zip(added, ("row", "column"), (south, "east"))
        if count
    ]
    return (
        f"Note: {grid.shape[0]} × {grid.shape[1]} is not a multiple of {scale}: "
        f"{' and '.join(parts)} {'is' if sum(added) == 1 else 'are'} added, without targets."
    )


def _continued(values: np.ndarray, count: int) -> np.ndarray:
    """Returns coordinates with ``count`` more values at their last spacing."""
    step = values[-1] - values[-2] if len(values) > 1 else 0.0
    return np.concatenate([values, values[-1] + step * np.arange(1, count + 1)])
