"""Coarsening by area-weighted block means, and conversion between fine and coarse grids.

``xarray.coarsen`` and scikit-image's ``block_reduce`` have no area weights and compute no grids.
``tests/fields/test_coarsening.py`` checks the means against plain loops, and that coarsening a
refined grid gives back the coarse one.
"""

from __future__ import annotations

import numpy as np

from phire.errors import InputError
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import GEOMETRIES, Grid
from phire.fields.source import Source, Times

ALIGNMENTS = ("cell", "corner")


def remainder(grid: Grid, scale: int) -> tuple[int, int]:
    """Returns the numbers of rows (south) and columns (east) that coarsening drops.

    Args:
        grid: The fine grid.
        scale: Points of a block along each side.
    """
    return grid.shape[0] % scale, grid.shape[1] % scale


def remainder_note(grid: Grid, scale: int) -> str | None:
    """Returns a sentence on the rows and columns that coarsening drops; None if it drops none.

    Args:
        grid: The fine grid.
        scale: Points of a block along each side.
    """
    rest = remainder(grid, scale)
    if not any(rest):
        return None
    parts = [
        f"the last {name if count == 1 else f'{count} {name}s'} at the {side}"
        for count, name, side in zip(rest, ("row", "column"), ("south", "east"))
        if count
    ]
    return (
        f"Note: {grid.shape[0]} × {grid.shape[1]} is not a multiple of {scale}: "
        f"{' and '.join(parts)} {'is' if sum(rest) == 1 else 'are'} dropped."
    )


def whole_blocks(grid: Grid, scale: int) -> tuple[slice, slice]:
    """Returns the rows and columns of a fine grid that coarsening keeps.

    Args:
        grid: The fine grid.
        scale: Points of a block along each side.

    Raises:
        InputError: The scale is larger than the grid.
    """
    rows, columns = (size - size % scale for size in grid.shape)
    if not (rows and columns):
        raise InputError(
            f"scale {scale} is larger than the {grid.describe()}: choose a smaller one."
        )
    south = grid.shape[0] - rows
    # The remainder is dropped at the south: the last rows of a descending grid, else the first.
    first = 0 if grid.descending else south
    return slice(first, first + rows), slice(0, columns)


def coarsen_grid(grid: Grid, scale: int, alignment: str = "cell") -> Grid:
    """Returns the grid of ``scale`` × ``scale`` blocks.

    Args:
        grid: The fine grid; a remainder at its southern or eastern edge is dropped.
        scale: Points of a block along each side.
        alignment: ``cell``: a coarse point is the centre of its block. ``corner``: it is the
            block's first point, so that every ``scale``-th fine point is a coarse point.

    Raises:
        InputError: The scale is larger than the grid, or the alignment unknown.
    """
    rows, columns = whole_blocks(grid, scale)
    if alignment not in ALIGNMENTS:
        raise InputError(f"alignment {alignment!r} must be one of {', '.join(ALIGNMENTS)}.")
    fine = grid.subgrid(rows, columns)
    if scale == 1:
        return fine
    if isinstance(fine, CurvilinearGrid):
        return fine.coarsened(scale, alignment)
    latitudes, longitudes = fine.latitudes, fine.longitudes
    if alignment == "corner":
        latitudes, longitudes = latitudes[::scale], longitudes[::scale]
    else:
        latitudes = latitudes.reshape(-1, scale).mean(1)
        longitudes = longitudes.reshape(-1, scale).mean(1)
    if not grid.has_coordinates:
        return Grid.pixels(len(latitudes), len(longitudes))
    return Grid.from_coordinates(latitudes, longitudes)


def refine_grid(grid: Grid, scale: int, alignment: str = "cell") -> Grid:
    """Returns the grid with ``scale`` × ``scale`` points for each point of a coarse grid.

    Inverts :func:`coarsen_grid`. If coarsening a global grid (of a kind in ``GEOMETRIES``) gives
    ``grid``, that fine grid is returned. Otherwise the fine points are evenly spaced within the
    coarse spacing; rows that would lie beyond a pole are moved in front of it.

    Args:
        grid: The coarse grid.
        scale: Number of fine points for each coarse point along each side.
        alignment: See :func:`coarsen_grid`.

    Raises:
        InputError: The alignment is unknown.
    """
    if alignment not in ALIGNMENTS:
        raise InputError(f"alignment {alignment!r} must be one of {', '.join(ALIGNMENTS)}.")
    if scale == 1:
        return grid
    if isinstance(grid, CurvilinearGrid):
        return grid.refined(scale, alignment)
    if not grid.has_coordinates:
        return Grid.pixels(grid.shape[0] * scale, grid.shape[1] * scale)
    offset = (scale - 1) / 2 if alignment == "cell" else 0
    within = (np.arange(scale) - offset) / scale
    latitudes, longitudes = (
        (values[:, None] + _spacings(values)[:, None] * within).ravel()
        for values in (grid.latitudes, grid.longitudes)
    )
    latitudes = _short_of_poles(latitudes)
    if grid.wraps:
        for kind in GEOMETRIES:
            fine = Grid.of_kind(
                kind, len(latitudes), longitudes, descending=latitudes[0] > latitudes[-1]
            )
            if coarsen_grid(fine, scale, alignment).equals(grid):
                return fine
    return Grid.from_coordinates(latitudes, longitudes)


def _spacings(values: np.ndarray) -> np.ndarray:
    """Returns the spacing at each value: half the distance between its two neighbours."""
    return np.gradient(values) if len(values) > 1 else np.ones(1)


def _short_of_poles(latitudes: np.ndarray) -> np.ndarray:
    """Returns latitudes with all values within the poles.

    Rows beyond a pole are spaced evenly between the pole and the last row before it.
    """
    latitudes = latitudes.copy()
    for pole in (90.0, -90.0):
        beyond = np.flatnonzero(latitudes * np.sign(pole) > 90)
        if not len(beyond):
            continue
        # Outermost row first, at either end of the grid.
        beyond = beyond if beyond[0] == 0 else beyond[::-1]
        inner = latitudes[beyond[-1] + (1 if beyond[0] == 0 else -1)]
        latitudes[beyond] = pole - (pole - inner) * np.arange(1, len(beyond) + 1) / (
            len(beyond) + 1
        )
    return latitudes


def block_mean(fields: np.ndarray, grid: Grid, scale: int) -> np.ndarray:
    """Returns the area-weighted means of the valid points in each block.

    A block without a valid point is missing (NaN). Infinite values count as missing.

    Args:
        fields: (n, H, W, C) on ``grid``, in physical units.
        grid: The fine grid.
        scale: Points of a block along each side; a remainder at the south and east is dropped.

    Returns:
        (n, H // scale, W // scale, C) float32.
    """
    rows, columns = whole_blocks(grid, scale)
    return present_block_mean(fields[:, rows, columns], block_weights(grid, scale))


def weighted_block_mean(
    fields: np.ndarray, weights: np.ndarray, dtype: type = np.float32
) -> np.ndarray:
    """Returns weighted means over blocks.

    Args:
        fields: (n, H, W, C).
        weights: Weights (H // scale, scale, 1, 1) of the rows within each row of blocks, or
            (H // scale, scale, W // scale, scale) of the points; see :func:`block_weights`.
        dtype: Type of the result; the sums are computed in float64.

    Returns:
        (n, H // scale, W // scale, C).
    """
    height, scale, width, _ = weights.shape
    if width > 1 or weights.shape[3] > 1:
        blocks = fields.reshape(len(fields), height, scale, width, scale, -1)
        return np.einsum("nhiwjc,hiwj->nhwc", blocks, weights, dtype=np.float64).astype(dtype)
    # Columns first, then rows: each sum runs over long slices of constant stride, which NumPy adds
    # faster than the many short axes of a reshaped array.
    means = sum(fields[:, :, i::scale].astype(np.float64) for i in range(scale)) / scale
    means = sum(means[:, i::scale] * weights[:, i, :] for i in range(scale))
    return means.astype(dtype)


def present_block_mean(fields: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns weighted means of the valid points in each block; NaN where no point is valid.

    Args:
        fields: (n, H, W, C), with NaN or infinity for missing values.
        weights: See :func:`weighted_block_mean`.

    Returns:
        (n, H // scale, W // scale, C) float32.
    """
    present = np.isfinite(fields)
    if present.all():
        return weighted_block_mean(fields, weights)
    share = weighted_block_mean(present, weights, np.float64)
    total = weighted_block_mean(np.where(present, fields, 0), weights, np.float64)
    means = np.divide(total, share, out=np.full_like(total, np.nan), where=share > 1e-9)
    return means.astype(np.float32)


def block_weights(grid: Grid, scale: int) -> np.ndarray:
    """Returns the weights of the points in each block, proportional to the area of their cells.

    Areas are used, not quadrature weights: the quadrature weight of a row on a pole may be 0.

    Args:
        grid: The fine grid.
        scale: Points of a block along each side.

    Returns:
        (H // scale, scale, 1, 1) weights of the rows of each block, with sum 1; all columns of a
        block have the same weight. For projected and curvilinear grids
        (H // scale, scale, W // scale, scale) weights of the points, with sum 1 in each block.
    """
    rows, columns = whole_blocks(grid, scale)
    if isinstance(grid, CurvilinearGrid) and grid.has_points and min(grid.shape) > 1:
        areas = grid.cell_areas(1.0)[rows, columns]
        areas = areas.reshape(areas.shape[0] // scale, scale, -1, scale)
        return areas / areas.sum((1, 3), keepdims=True)
    if grid.has_coordinates:
        edges = np.sin(np.deg2rad(grid.row_edges()))
        weights = np.abs(np.diff(edges))
    else:
        weights = np.ones(grid.shape[0])
    weights = weights[rows].reshape(-1, scale, 1, 1)
    return weights / weights.sum(1, keepdims=True)


class CoarsenedSource:
    """Source of the area-weighted block means of another source.

    Args:
        source: The fine source.
        scale: Points of a block along each side.
    """

    def __init__(self, source: Source, scale: int) -> None:
        self.source = source
        self.scale = scale
        self.channels = source.channels
        self.units = source.units
        self.time = source.time
        # A block mean represents the block's centre, so the alignment is always ``cell``.
        self.grid = coarsen_grid(source.grid, scale, "cell")

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        return block_mean(self.source.read(times), self.source.grid, self.scale)


class CroppedSource:
    """Source of the window of a fine source that coarsening by ``scale`` keeps.

    Args:
        source: The fine source.
        scale: Points of a block along each side.
    """

    def __init__(self, source: Source, scale: int) -> None:
        self.source = source
        self.window = whole_blocks(source.grid, scale)
        self.channels = source.channels
        self.units = source.units
        self.time = source.time
        self.grid = source.grid.subgrid(*self.window)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        rows, columns = self.window
        return np.ascontiguousarray(self.source.read(times)[:, rows, columns])
