"""Missing values of a network's input, filled before the network and marked in its output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid

FILLS = ("nearest", "mean")
"""Ways to fill missing input: the nearest valid value, or the channel's mean."""


class Filler:
    """Filler of missing values in whole fields, channel by channel.

    Args:
        fill: ``nearest``, the value of the valid point nearest in rows and columns (periodic in
            longitude on a global grid), or ``mean``, the mean of the channel.
        means: Means of the channels in physical units, (C,); None if they are unknown. They also
            fill fields without any valid value; without them such fields become 0.

    Raises:
        InputError: ``fill`` is unknown, or is ``mean`` without ``means``.
    """

    def __init__(self, fill: str = "nearest", means: Sequence[float] | None = None) -> None:
        if fill not in FILLS:
            raise InputError(f"--fill {fill} must be one of {', '.join(FILLS)}.")
        if fill == "mean" and means is None:
            raise InputError(
                "--fill mean needs the means of the training data, which are unknown: give "
                "--fill nearest."
            )
        self.fill = fill
        self.means = means

    def __call__(self, fields: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Fills missing values of physical fields.

        Args:
            fields: Physical fields, (n, h, w, C); NaN and infinite values are missing.
            grid: Grid of the fields.

        Returns:
            The filled fields, and a mask (n, h, w) of the points at which any channel was missing.
        """
        absent = ~np.isfinite(fields)
        missing = absent.any(-1)
        if not missing.any():
            return fields, missing
        filled = fields.copy()
        last_mask, nearest = None, None
        for i, c in zip(*np.nonzero(absent.any((1, 2)))):
            mask, field = absent[i, ..., c], filled[i, ..., c]
            if self.fill == "mean" or mask.all():
                field[mask] = 0 if self.means is None else self.means[c]
                continue
            # Masks of land or of a radar's range repeat, so the last search is reused.
            if last_mask is None or not np.array_equal(mask, last_mask):
                last_mask, nearest = mask, _nearest_valid(mask, grid.wraps)
            field[mask] = field[nearest]
        return filled, missing


def mark_missing(fine: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Sets the block of fine points of every missing coarse point to NaN, in place.

    Args:
        fine: Fine fields, (n, h·scale, w·scale, C).
        missing: Mask of the missing coarse points, (n, h, w).

    Returns:
        ``fine``.
    """
    if missing.any():
        scale = fine.shape[1] // missing.shape[1]
        fine[missing.repeat(scale, 1).repeat(scale, 2)] = np.nan
    return fine


def _nearest_valid(mask: np.ndarray, wraps: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows and columns of the valid points nearest to the missing points.

    Args:
        mask: True at missing points, (h, w).
        wraps: True if the columns span all longitudes.
    """
    from scipy.ndimage import distance_transform_edt

    width = mask.shape[1]
    # On a periodic axis no point is farther than half the circle.
    around = width // 2 + 1 if wraps else 0
    wide = np.pad(mask, ((0, 0), (around, around)), mode="wrap")
    rows, columns = distance_transform_edt(wide, return_distances=False, return_indices=True)
    rows, columns = (index[:, around : around + width][mask] for index in (rows, columns))
    return rows, (columns - around) % width
