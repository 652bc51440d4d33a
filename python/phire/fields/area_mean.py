"""Area means of whole fields over a small number of cells.

``xarray.coarsen`` averages whole blocks without weights; here cells may contain parts of points.
``tests/fields/test_area_mean.py`` checks the means against points split into parts, one by one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from phire.fields.grid import Grid


@dataclasses.dataclass(frozen=True)
class AreaMean:
    """Area-weighted means over cells that divide a grid into equal numbers of rows and columns.

    Cells may have edges within points, which then count by the part inside the cell.

    Attributes:
        rows: Part of each row of the grid in each row of cells, (h', h).
        columns: Part of each column of the grid in each column of cells, (w', w).
        areas: Relative areas of the points, (h, w) or (h, 1).
    """

    rows: np.ndarray
    columns: np.ndarray
    areas: np.ndarray

    @classmethod
    def of(cls, grid: Grid, cells: Sequence[int]) -> AreaMean:
        """Returns the means over ``cells``, numbers of rows and columns of cells, on a grid."""
        rows, columns = (_parts(size, count) for size, count in zip(grid.shape, cells))
        return cls(rows, columns, grid.area_weights())

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        return self.rows.shape[1], self.columns.shape[1]

    def __call__(self, fields: np.ndarray) -> np.ndarray:
        """Computes the means of present values, (…, h, w, C) → (…, h', w', C) float32.

        Missing values (NaN) are left out. A cell without any present value has the mean 0, which
        stands for missing values in normalised arrays.
        """
        present = np.isfinite(fields)
        values = np.moveaxis(np.where(present, fields, 0), -1, -3)
        weights = self.areas * np.moveaxis(present, -1, -3)
        total, weight = (self.rows @ x @ self.columns.T for x in (weights * values, weights))
        means = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
        return np.moveaxis(means, -3, -1).astype(np.float32)


def _parts(size: int, count: int) -> np.ndarray:
    """Returns the part of each point in each of ``count`` equal cells, (count, size)."""
    edges = np.arange(count + 1)[:, None] * size / count
    points = np.arange(size)
    inside = np.minimum(edges[1:], points + 1) - np.maximum(edges[:-1], points)
    return np.maximum(inside, 0)
