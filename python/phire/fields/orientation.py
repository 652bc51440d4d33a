"""Reordering of fields from the file's order to rows southward and columns eastward."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import TOLERANCE, Grid


@dataclasses.dataclass(frozen=True)
class Orientation:
    """Orientation of a file's rows and columns with respect to the grid.

    Attributes:
        grid: Grid of the fields as read: rows southward, columns eastward.
        flip_rows: True if the file's rows run northward.
        flip_columns: True if the file's columns run westward.
    """

    grid: Grid
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of_coordinates(cls, latitudes: Any, longitudes: Any) -> Orientation:
        """Returns the orientation of one-dimensional coordinates.

        Longitudes may run from −180 to 180 or from 0 to 360, and may jump by 360° at the date line
        or at Greenwich. If the last column repeats the first one 360° further east (0 to 360
        inclusive), it is not read.

        Args:
            latitudes: (H,) degrees north, in the file's order.
            longitudes: (W,) degrees east, in the file's order.

        Raises:
            InputError: The coordinates do not form a grid; see :meth:`Grid.from_coordinates`.
        """
        latitudes = np.asarray(latitudes, np.float64)
        longitudes = np.asarray(longitudes, np.float64)
        flip_rows = latitudes.ndim == 1 and len(latitudes) > 1 and latitudes[0] < latitudes[-1]
        flip_columns = False
        if longitudes.ndim == 1 and len(longitudes) > 2 and np.isfinite(longitudes).all():
            unwound = np.rad2deg(np.unwrap(np.deg2rad(longitudes)))
            flip_columns = bool((np.diff(unwound) < 0).all())
            if abs(abs(unwound[-1] - unwound[0]) - 360) < TOLERANCE:
                # The repeated column is the easternmost: the first one of a westward file.
                longitudes = longitudes[1:] if flip_columns else longitudes[:-1]
        grid = Grid.from_coordinates(
            latitudes[::-1] if flip_rows else latitudes,
            longitudes[::-1] if flip_columns else longitudes,
        )
        return cls(grid, bool(flip_rows), flip_columns)

    @classmethod
    def of_curvilinear(cls, grid: CurvilinearGrid) -> Orientation:
        """Returns the orientation of a projected or curvilinear grid in its file's order."""
        flip_rows = grid.shape[0] > 1 and not grid.descending
        flip_columns = grid.stated_points is None and len(grid.x) > 1 and grid.x[0] > grid.x[-1]
        turned = grid.subgrid(
            *(slice(None, None, -1 if f else 1) for f in (flip_rows, flip_columns))
        )
        return cls(turned, flip_rows, bool(flip_columns))

    def file_rows(self, rows: slice, count: int) -> slice:
        """Returns the rows of the file that correspond to rows of the grid.

        Args:
            rows: Contiguous rows of the grid.
            count: Number of rows in the file.
        """
        return _file_range(range(self.grid.shape[0])[rows], self.flip_rows, count)

    def file_columns(self, columns: slice, count: int) -> slice:
        """Returns the columns of the file that correspond to columns of the grid.

        Args:
            columns: Contiguous columns of the grid.
            count: Number of columns in the file, possibly with a repeated one.
        """
        return _file_range(range(self.grid.shape[1])[columns], self.flip_columns, count)

    def turned(self, fields: np.ndarray) -> np.ndarray:
        """Reorders fields (..., h, w) from the order of the file to that of the grid."""
        if self.flip_rows:
            fields = fields[..., ::-1, :]
        return fields[..., ::-1] if self.flip_columns else fields


def _file_range(chosen: range, flipped: bool, count: int) -> slice:
    if not flipped:
        return slice(chosen.start, chosen.stop)
    return slice(count - chosen.stop, count - chosen.start)
