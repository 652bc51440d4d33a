"""Linear maps from one grid to another as sparse matrices, and fields put through them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy  # loads its submodules when they are used


@dataclasses.dataclass(frozen=True)
class AxisProduct:
    """Product of a map along the rows and a map along the columns.

    Attributes:
        rows: (H', H) weights.
        columns: (W', W) weights.
    """

    rows: scipy.sparse.csr_array
    columns: scipy.sparse.csr_array

    def __call__(self, field: np.ndarray) -> np.ndarray:
        """Maps a field (H, W, C) to (H', W', C)."""
        height, width, channels = field.shape
        mapped = self.rows @ np.ascontiguousarray(field).reshape(height, width * channels)
        # A sparse matrix acts on the first axis.
        turned = mapped.reshape(-1, width, channels).transpose(1, 0, 2).reshape(width, -1)
        mapped = (self.columns @ turned).reshape(self.columns.shape[0], -1, channels)
        return mapped.transpose(1, 0, 2)


class SeparableMap:
    """Map between grids whose weights are products of weights along rows and along columns.

    Args:
        products: The products, whose results are added up: a second one holds what lies beyond a
            pole, where the columns are 180° further on.
        dtype: Type of the computation.
    """

    def __init__(self, products: Sequence[AxisProduct], dtype: type = np.float64) -> None:
        self.dtype = dtype
        self.products = tuple(products)
        self.shape = (products[0].rows.shape[0], products[0].columns.shape[0])
        self._first = _cast(products[0], dtype)
        # Products that concern few rows read only these.
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
    """Map between grids by one sparse matrix over all their points.

    Args:
        matrix: (H'·W', H·W) weights.
        shape: (H', W').
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
    """Shares of the cells of one axis in those of another.

    Args:
        edges: (n + 1,) monotonic edges of the first axis's cells.
        target_edges: (m + 1,) of the second's.
        turn: Period of the axis, 360 for longitudes; 0 where there is none.

    Returns:
        (m, n) length of the overlap over that of the second axis's cell: a row sums to 1 where the
        first axis covers the cell.
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
        # Slivers of rounding would let a missing neighbour count.
        kept = share > 1e-9
        source = index[np.searchsorted(shifted, middle) - 1]
        parts.append(np.stack([share, target_index[cell], source])[:, kept])
    share, rows, columns = np.concatenate(parts, axis=1) if parts else np.empty((3, 0))
    return scipy.sparse.csr_array(
        (share, (rows.astype(int), columns.astype(int))), shape=(len(target) - 1, len(index))
    )


def _ascending(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges in ascending order, and the cell that each interval between them is."""
    cells = np.arange(len(edges) - 1)
    return (edges, cells) if edges[0] < edges[-1] else (edges[::-1], cells[::-1])
