"""Field in memory, either as read or as block means of a finer field."""

from __future__ import annotations

import functools

import numpy as np

from phire.fields.coarsening import present_block_mean, weighted_block_mean


class Planes:
    """Values of one field at one resolution.

    Args:
        values: (C, H, W) physical values, float32.
        strict: Number of leading channels that :attr:`finite` checks; all by default.

    Attributes:
        shape: C, H and W.
    """

    def __init__(self, values: np.ndarray, strict: int | None = None) -> None:
        self.shape = values.shape
        self._values = values
        self._strict = strict

    def whole(self) -> np.ndarray:
        """Returns (C, H, W) values."""
        return self._values

    def patches(self, patch: tuple[int, int], places: np.ndarray) -> np.ndarray:
        """Cuts patches and stacks them along the rows; columns continue from the last to the first.

        Args:
            patch: (H, W).
            places: (n, 2) first rows and columns.

        Returns:
            (C, n · H, W) values.
        """
        height, width = patch
        stack = np.empty((self.shape[0], len(places) * height, width), self._values.dtype)
        for i, (row, column) in enumerate(places.tolist()):
            band = self._values[:, row : row + height]
            piece = band[:, :, column : column + width]
            target = stack[:, i * height : (i + 1) * height]
            target[:, :, : piece.shape[2]] = piece
            target[:, :, piece.shape[2] :] = band[:, :, : width - piece.shape[2]]
        return stack

    @functools.cached_property
    def finite(self) -> bool:
        """True if no value is missing or infinite."""
        with np.errstate(over="ignore", invalid="ignore"):
            # The sum is fast and finite only if all values are. It may also overflow: check again.
            values = self._values[: self._strict]
            return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


class BlockMeans:
    """Block means of a finer field, computed only for the patches requested.

    Args:
        fine: The finer field.
        weights: Weights of its rows or points, see
            :func:`~phire.fields.coarsening.block_weights`.
        skip_missing: True averages the present points of a block; by default the mean is missing
            if any point is.

    Attributes:
        shape: C, H and W.
    """

    def __init__(self, fine: Planes, weights: np.ndarray, skip_missing: bool = False) -> None:
        self._fine = fine
        self._mean = present_block_mean if skip_missing else weighted_block_mean
        self._weights = weights
        self._scale = weights.shape[1]
        channels, _, width = fine.shape
        self.shape = channels, len(weights), width // self._scale

    def whole(self) -> np.ndarray:
        """Returns (C, H, W) values."""
        planes = self._fine.whole()[:, None, :, :, None]
        # One plane at a time limits memory, because the sums are in float64.
        return np.stack([self._mean(p, self._weights)[0, :, :, 0] for p in planes])

    def patches(self, patch: tuple[int, int], places: np.ndarray) -> np.ndarray:
        """Cuts patches of block means; see :meth:`Planes.patches`."""
        size = patch[0] * self._scale, patch[1] * self._scale
        stack = self._fine.patches(size, places * self._scale)
        rows = places[:, :1] + np.arange(patch[0])
        weights = self._weights[rows.ravel()]
        if weights.shape[2] > 1:
            # Weights of each point: select the columns of each patch, for all rows of the patch.
            columns = (places[:, 1:] + np.arange(patch[1])) % weights.shape[2]
            columns = columns.repeat(patch[0], axis=0)[:, None, :, None]
            weights = np.take_along_axis(weights, columns, axis=2)
        return self._mean(stack[..., None], weights)[..., 0]

    @property
    def finite(self) -> bool:
        """True if no value is missing or infinite."""
        return self._fine.finite


Resolution = Planes | BlockMeans
