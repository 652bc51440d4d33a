"""Turning fields as files hold them: rows from north to south, columns eastward without a jump."""

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
        grid: The grid as it is read: rows southward, columns eastward.
        flip_rows: True if the file's rows go northward.
        flip_columns: True if the file's columns go westward.
    """

    grid: Grid
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of_coordinates(cls, latitudes: Any, longitudes: Any) -> Orientation:
        """Finds the orientation of one-dimensional coordinates.

        Longitudes may run −180…180 or 0…360, may jump at the date line or at Greenwich, and may
        repeat their first column 360° on (as 0…360 inclusive does): the repetition is not read.

        Raises:
            InputError: The coordinates make no grid; see :meth:`Grid.from_coordinates`.
        """
        latitudes = np.asarray(latitudes, np.float64)
        longitudes = np.asarray(longitudes, np.float64)
        flip_rows = latitudes.ndim == 1 and len(latitudes) > 1 and latitudes[0] < latitudes[-1]
        flip_columns = False
        if longitudes.ndim == 1 and len(longitudes) > 2 and np.isfinite(longitudes).all():
            unwound = np.rad2deg(np.unwrap(np.deg2rad(longitudes)))
            flip_columns = bool((np.diff(unwound) < 0).all())
            if abs(abs(unwound[-1] - unwound[0]) - 360) < TOLERANCE:
                # Flipped, it is the file's first column that is left out.
                longitudes = longitudes[1:] if flip_columns else longitudes[:-1]
        grid = Grid.from_coordinates(
            latitudes[::-1] if flip_rows else latitudes,
            longitudes[::-1] if flip_columns else longitudes,
        )
        return cls(grid, bool(flip_rows), flip_columns)

    @classmethod
    def of_curvilinear(cls, grid: CurvilinearGrid) -> Orientation:
        """Finds the orientation of a projected or curvilinear grid as its file has it."""
        flip_rows = grid.shape[0] > 1 and not grid.descending
        flip_columns = grid.stated_points is None and len(grid.x) > 1 and grid.x[0] > grid.x[-1]
        turned = grid.subgrid(
            *(slice(None, None, -1 if f else 1) for f in (flip_rows, flip_columns))
        )
        return cls(turned, flip_rows, bool(flip_columns))

    def file_rows(self, rows: slice, count: int) -> slice:
        """Returns the file's rows, of ``count``, that hold the grid's ``rows`` (contiguous)."""
        return _file_range(range(self.grid.shape[0])[rows], self.flip_rows, count)

    def file_columns(self, columns: slice, count: int) -> slice:
        """Returns the file's columns, of ``count``, that hold the grid's ``columns``
        (contiguous)."""
        return _file_range(range(self.grid.shape[1])[columns], self.flip_columns, count)

    def turned(self, fields: np.ndarray) -> np.ndarray:
        """Fields (..., h, w) as the file orders them, turned as the grid orders them."""
        if self.flip_rows:
            fields = fields[..., ::-1, :]
        return fields[..., ::-1] if self.flip_columns else fields


def _file_range(chosen: range, flipped: bool, count: int) -> slice:
    if not flipped:
        return slice(chosen.start, chosen.stop)
    return slice(count - chosen.stop, count - chosen.start)
