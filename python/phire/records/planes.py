"""A field in memory, at one of its resolutions: as it is, or as block means of another."""

from __future__ import annotations

import functools

import numpy as np

from phire.fields.coarsening import weighted_block_mean


class Planes:
    """One resolution of a field.

    Args:
        values: (C, H, W) physical, float32.

    Attributes:
        shape: C, H and W.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.shape = values.shape
        self._values = values

    def whole(self) -> np.ndarray:
        """(C, H, W) values."""
        return self._values

    def patches(self, patch: tuple[int, int], places: np.ndarray) -> np.ndarray:
        """Cuts patches, one below another; beyond the last column they go on with the first.

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
        """Whether no value is missing or infinite."""
        with np.errstate(over="ignore", invalid="ignore"):
            # A sum passes on what is not finite; only if it is not must one look closer.
            return bool(np.isfinite(self._values.sum()) or np.isfinite(self._values).all())


class BlockMeans:
    """The block means of a resolution, worked out for the patches alone where these are asked for.

    Args:
        fine: The resolution.
        weights: (H // scale, scale) of its rows, see
            :func:`~phire.fields.coarsening.block_weights`.

    Attributes:
        shape: C, H and W.
    """

    def __init__(self, fine: Planes, weights: np.ndarray) -> None:
        self._fine = fine
        self._weights = weights
        self._scale = weights.shape[1]
        channels, _, width = fine.shape
        self.shape = channels, len(weights), width // self._scale

    def whole(self) -> np.ndarray:
        """(C, H, W) values; missing where a value of the block is."""
        planes = self._fine.whole()[:, None, :, :, None]
        # One by one: the sums are in float64.
        return np.stack([weighted_block_mean(p, self._weights)[0, :, :, 0] for p in planes])

    def patches(self, patch: tuple[int, int], places: np.ndarray) -> np.ndarray:
        """See :meth:`Planes.patches`."""
        size = patch[0] * self._scale, patch[1] * self._scale
        stack = self._fine.patches(size, places * self._scale)
        rows = places[:, :1] + np.arange(patch[0])
        return weighted_block_mean(stack[..., None], self._weights[rows.ravel()])[..., 0]

    @property
    def finite(self) -> bool:
        """Whether no value is missing or infinite."""
        return self._fine.finite


Resolution = Planes | BlockMeans
