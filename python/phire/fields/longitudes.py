"""Rotation of columns between grids that start at different longitudes, such as −180° and 0°."""

from __future__ import annotations

import numpy as np

from phire.fields.grid import TOLERANCE, Grid
from phire.fields.source import Source, Times, close, indices


def shared_columns(grid: Grid, wanted: Grid) -> np.ndarray | None:
    """Returns the order of a grid's columns that gives another grid with the same points.

    Args:
        grid: Grid whose columns are reordered.
        wanted: Grid with the wanted order.

    Returns:
        (W,) indices of columns: consecutive, and cyclic if the grids start at different longitudes.
        None if the grids have different points.
    """
    if not (grid.has_coordinates and wanted.has_coordinates) or grid.shape != wanted.shape:
        return np.arange(grid.shape[1]) if grid.equals(wanted) else None
    if not np.allclose(grid.latitudes, wanted.latitudes, rtol=0, atol=TOLERANCE):
        return None
    # Differences of longitudes from −180 to 180, so that 359.99° and 0° are close.
    offset = (grid.longitudes - wanted.longitudes[0] + 180) % 360 - 180
    first = int(np.abs(offset).argmin())
    columns = (np.arange(grid.shape[1]) + first) % grid.shape[1]
    if first and not grid.wraps:  # columns of a region cannot be rotated
        return None
    apart = (grid.longitudes[columns] - wanted.longitudes + 180) % 360 - 180
    return columns if np.abs(apart).max() <= TOLERANCE else None


class TurnedSource:
    """Source of another source's fields with the columns rotated to another first longitude.

    Args:
        source: Source whose grid closes the circle of longitudes.
        grid: Grid with the same points in the wanted order; see :func:`shared_columns`.
    """

    def __init__(self, source: Source, grid: Grid) -> None:
        self.source, self.grid = source, grid
        self._columns = shared_columns(source.grid, grid)
        self.channels, self.units, self.time = source.channels, source.units, source.time
        self.time_chunk = getattr(source, "time_chunk", 1)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        return self.read_window(times, slice(None), slice(None))

    def read_window(self, times: Times, rows: slice, columns: slice) -> np.ndarray:
        """Reads a window of fields.

        Args:
            times: Indices of the times.
            rows, columns: The window, in the order of :attr:`grid`.

        Returns:
            (n, h, w, C) float32.
        """
        fields = self.source.read(indices(times, len(self.time)))
        return fields[:, rows][:, :, self._columns[columns]]

    def close(self) -> None:
        """Closes the source."""
        close(self.source)
