"""Longitudes from −180 to 180 and from 0 to 360 as one grid: the order of columns of a circle."""

from __future__ import annotations

import numpy as np

from phire.fields.grid import TOLERANCE, Grid
from phire.fields.source import Source, Times, close, indices


def shared_columns(grid: Grid, wanted: Grid) -> np.ndarray | None:
    """Finds the columns of a grid in the order of another one with the same points.

    Args:
        grid: The grid to take columns of.
        wanted: The grid whose order they are to have.

    Returns:
        (W,) indices, as ``numpy.roll`` gives them where the circle begins elsewhere; None where the
        grids have other points.
    """
    if not (grid.has_coordinates and wanted.has_coordinates) or grid.shape != wanted.shape:
        return np.arange(grid.shape[1]) if grid.equals(wanted) else None
    if not np.allclose(grid.latitudes, wanted.latitudes, rtol=0, atol=TOLERANCE):
        return None
    offset = (grid.longitudes - wanted.longitudes[0] + 180) % 360 - 180
    first = int(np.abs(offset).argmin())
    columns = (np.arange(grid.shape[1]) + first) % grid.shape[1]
    if first and not grid.wraps:
        return None
    apart = (grid.longitudes[columns] - wanted.longitudes + 180) % 360 - 180
    return columns if np.abs(apart).max() <= TOLERANCE else None


class TurnedSource:
    """Source whose columns begin at another longitude of the circle.

    Args:
        source: A source whose grid closes the circle.
        grid: The grid with the same points in the order wanted; see :func:`shared_columns`.
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
        """Reads a window of fields: (n, h, w, C) float32."""
        fields = self.source.read(indices(times, len(self.time)))
        return fields[:, rows][:, :, self._columns[columns]]

    def close(self) -> None:
        """Closes the source."""
        close(self.source)
