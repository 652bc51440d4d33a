"""Linear maps between grids as sparse matrices, applied to fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy  # loads its submodules when they are used


@dataclasses.dataclass(frozen=True)
class AxisProduct:
    """Map between grids that is the product of a map of rows and a map of columns.

    Attributes:
        rows: (H', H) weights of the rows.
        columns: (W', W) weights of the columns.
    """

    rows: scipy.sparse.csr_array
    columns: scipy.sparse.csr_array

    def __call__(self, field: np.ndarray) -> np.ndarray:
        """Maps a field (H, W, C) to (H', W', C)."""
        height, width, channels = field.shape
        mapped = self.rows @ np.ascontiguousarray(field).reshape(height, width * channels)
        # A sparse matrix acts on the first axis, so the columns are moved there.
        turned = mapped.reshape(-1, width, channels).transpose(1, 0, 2).reshape(width, -1)
        mapped = (self.columns @ turned).reshape(self.columns.shape[0], -1, channels)
        return mapped.transpose(1, 0, 2)


class SeparableMap:
    """Map between grids that is a sum of products of row and column maps.

    Args:
        products: The products, whose results are added. Interpolation across a pole has a second
            one, for the rows beyond the pole, with columns shifted by 180°.
        dtype: Type of the computation.
    """

    def __init__(self, products: Sequence[AxisProduct], dtype: type = np.float64) -> None:
        self.dtype = dtype
        self.products = tuple(products)
        self.shape = (products[0].rows.shape[0], products[0].columns.shape[0])
        self._first = _cast(products[0], dtype)
        # The products after the first read only few rows of the field.
        self._others = []
        for product in products[1:]:
            used = np.flatnonzero(
                np.bincount(product.rows.indices, minlength=product.rows.shape[1])
            )
            if len(used):
                part = AxisProduct(product.rows[:, used], product.columns)
                self._others.append((used, _cast(part, dtype)))

    def __call__(self, fields: np.ndarray) -> np.ndarray:
        """Maps fields (n, H, W, C) to (n, H', W', C); NaN where a value with a weight is NaN."""
        mapped = np.empty((len(fields), *self.shape, fields.shape[-1]), self.dtype)
        for i, field in enumerate(fields):
            field = field.astype(self.dtype, copy=False)
            mapped[i] = self._first(field)
            for rows, product in self._others:
                mapped[i] += product(field[rows])
        return mapped


class MatrixMap:
    """Map between grids with one sparse matrix of weights for all pairs of points.

    Args:
        matrix: (H'·W', H·W) weights.
        shape: Shape (H', W') of the target grid.
    """

    def __init__(self, matrix: scipy.sparse.csr_array, shape: tuple[int, int]) -> None:
        self.matrix = matrix
        self.shape = shape

    def __call__(self, fields: np.ndarray) -> np.ndarray:
        """Maps fields (n, H, W, C) to (n, H', W', C); NaN where a value with a weight is NaN."""
        channels = fields.shape[-1]
        mapped = [self.matrix @ f.reshape(-1, channels).astype(np.float64) for f in fields]
        return np.stack(mapped).reshape(-1, *self.shape, channels)


def _cast(product: AxisProduct, dtype: type) -> AxisProduct:
    return AxisProduct(product.rows.astype(dtype), product.columns.astype(dtype))


def overlaps(
    edges: np.ndarray, target_edges: np.ndarray, turn: float = 0.0
) -> scipy.sparse.csr_array:
    """Returns the shares of the target cells of an axis that the cells of another axis cover.

    Args:
        edges: (n + 1,) monotonic edges of the cells.
        target_edges: (m + 1,) monotonic edges of the target cells.
        turn: Period of the axis, 360 for longitudes; 0 for an axis that is not periodic.

    Returns:
        (m, n) length of each overlap divided by the length of the target cell. A row sums to 1 if
        the target cell is covered completely.
    """
    starts, index = _ascending(edges)
    target, target_index = _ascending(target_edges)
    low, high = target[0], target[-1]
    turns = [0.0]
    if turn:
        first = np.floor((low - starts[-1]) / turn)
        turns = turn * np.arange(first, np.ceil((high - starts[0]) / turn) + 1)
    parts = []
    for shift in turns:
        shifted = starts + shift
        cuts = np.unique(np.concatenate([shifted, target]))
        cuts = cuts[(cuts >= max(low, shifted[0])) & (cuts <= min(high, shifted[-1]))]
        if len(cuts) < 2:
            continue
        middle, length = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
        cell = np.searchsorted(target, middle) - 1
        share = length / np.diff(target)[cell]
        # An overlap that is zero up to rounding would make the result NaN if its value is missing.
        used = share > 1e-9
        source = index[np.searchsorted(shifted, middle) - 1]
        parts.append(np.stack([share, target_index[cell], source])[:, used])
    share, rows, columns = np.concatenate(parts, axis=1) if parts else np.empty((3, 0))
    return scipy.sparse.csr_array(
        (share, (rows.astype(int), columns.astype(int))), shape=(len(target) - 1, len(index))
    )


def _ascending(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns edges in ascending order, and the index of the cell in each interval between them."""
    cells = np.arange(len(edges) - 1)
    return (edges, cells) if edges[0] < edges[-1] else (edges[::-1], cells[::-1])
