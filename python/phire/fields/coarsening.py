"""Coarsening by area-weighted block means, and the grids on either side of it."""

from __future__ import annotations

import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.source import Source, Times

ALIGNMENTS = ("cell", "corner")


def remainder(grid: Grid, scale: int) -> tuple[int, int]:
    """Rows at the south and columns at the east that coarsening by ``scale`` drops."""
    return grid.shape[0] % scale, grid.shape[1] % scale


def _kept(grid: Grid, scale: int) -> tuple[slice, slice]:
    rows, columns = (size - size % scale for size in grid.shape)
    if not (rows and columns):
        raise InputError(
            f"scale {scale} is larger than the {grid.describe()}: choose a smaller one."
        )
    south = grid.shape[0] - rows
    # The remainder is dropped at the south, wherever the south is.
    first = 0 if grid.descending else south
    return slice(first, first + rows), slice(0, columns)


def kept_window(grid: Grid, scale: int) -> tuple[slice, slice]:
    """The rows and columns of a fine grid that coarsening by ``scale`` keeps."""
    return _kept(grid, scale)


def coarsen_grid(grid: Grid, scale: int, alignment: str = "cell") -> Grid:
    """The grid of ``scale`` × ``scale`` blocks.

    Args:
        grid: The fine grid; a remainder at its southern or eastern edge is dropped.
        scale: Points of a block along each side.
        alignment: ``cell``: a coarse point is the centre of its block. ``corner``: it is the
            block's first point (every ``scale``-th fine point), as where a coarse grid takes some
            of the points of a fine one.

    Raises:
        InputError: The scale is larger than the grid, or the alignment unknown.
    """
    rows, columns = _kept(grid, scale)
    if alignment not in ALIGNMENTS:
        raise InputError(f"alignment {alignment!r} must be one of {', '.join(ALIGNMENTS)}.")
    fine = grid.subgrid(rows, columns)
    if scale == 1:
        return fine
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
    """The grid with ``scale`` × ``scale`` points for each of ``grid``'s; inverts coarsening.

    Rows are spaced evenly within the (mean) spacing; what this puts beyond a pole is kept in
    order just short of it.
    """
    if scale == 1:
        return grid
    if not grid.has_coordinates:
        return Grid.pixels(grid.shape[0] * scale, grid.shape[1] * scale)
    index = np.arange(scale) / scale
    if alignment == "cell":
        index = index - (scale - 1) / (2 * scale)
    elif alignment != "corner":
        raise InputError(f"alignment {alignment!r} must be one of {', '.join(ALIGNMENTS)}.")
    latitudes, longitudes = (
        (values[:, None] + np.gradient(values)[:, None] * index).ravel()
        if len(values) > 1
        else values + index
        for values in (grid.latitudes, grid.longitudes)
    )
    return Grid.from_coordinates(np.clip(latitudes, -90, 90), longitudes)


def block_mean(fields: np.ndarray, grid: Grid, scale: int) -> np.ndarray:
    """Area-weighted means over blocks; a block with a missing value is missing.

    Args:
        fields: (n, H, W, C) on ``grid``, in physical units.
        grid: The fine grid.
        scale: Points of a block along each side; a remainder at the south and east is dropped.

    Returns:
        (n, H // scale, W // scale, C) float32.
    """
    rows, columns = _kept(grid, scale)
    weights = block_weights(grid, scale)
    kept = fields[:, rows, columns]
    n, height, width, channels = kept.shape
    # Columns first: they weigh alike, and it leaves little for the weighted sum over rows.
    means = kept.reshape(n, height, width // scale, scale, channels).mean(3, dtype=np.float64)
    means = means.reshape(n, height // scale, scale, width // scale, channels)
    return np.einsum("nhswc,hs->nhwc", means, weights).astype(np.float32)


def block_weights(grid: Grid, scale: int) -> np.ndarray:
    """(H // scale, scale) weights of the rows within each row of blocks; they sum to 1.

    On grids with a row on the pole the quadrature weight of that row may be 0; the cell's area is
    taken instead.
    """
    rows, _ = _kept(grid, scale)
    if grid.has_coordinates:
        edges = np.sin(np.deg2rad(grid.row_edges()))
        weights = np.abs(np.diff(edges))
    else:
        weights = np.ones(grid.shape[0])
    weights = weights[rows].reshape(-1, scale)
    return weights / weights.sum(1, keepdims=True)


class CoarsenedSource:
    """A source coarsened by area-weighted block means, in physical units.

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
        self.grid = coarsen_grid(source.grid, scale)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        return block_mean(self.source.read(times), self.source.grid, self.scale)


class CroppedSource:
    """The window of a fine source that coarsening by ``scale`` keeps.

    Args:
        source: The fine source.
        scale: Points of a block along each side.
    """

    def __init__(self, source: Source, scale: int) -> None:
        self.source = source
        self.window = _kept(source.grid, scale)
        self.channels = source.channels
        self.units = source.units
        self.time = source.time
        self.grid = source.grid.subgrid(*self.window)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        rows, columns = self.window
        return np.ascontiguousarray(self.source.read(times)[:, rows, columns])
