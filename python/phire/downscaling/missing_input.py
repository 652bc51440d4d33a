"""Missing input of a network: filled for the network, marked again in its output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid

FILLS = ("nearest", "mean")
"""Values that stand for missing input: the nearest valid one, or the channel's mean."""


class Filler:
    """Filling of missing values, channel by channel, over whole fields.

    Args:
        fill: ``nearest``: the value of the valid point nearest in rows and columns, around the
            globe where the columns close the circle. ``mean``: the mean of the channel.
        means: (C,) means of the channels in physical units. Fields without any valid value get
            them by either way; None where they are unknown: such fields get 0.

    Raises:
        InputError: ``fill`` is unknown, or ``mean`` where the means are unknown.
    """

    def __init__(self, fill: str = "nearest", means: Sequence[float] | None = None) -> None:
        if fill not in FILLS:
            raise InputError(f"--fill {fill} must be one of {', '.join(FILLS)}.")
        if fill == "mean" and means is None:
            raise InputError(
                "--fill mean needs the means of the training data, which are not known here: give "
                "--fill nearest."
            )
        self.fill = fill
        self.means = means

    def __call__(self, fields: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Fills physical fields.

        Args:
            fields: (n, h, w, C); NaN and infinite values are missing.
            grid: Their grid.

        Returns:
            The filled fields, and (n, h, w) True where a channel was missing.
        """
        absent = ~np.isfinite(fields)
        missing = absent.any(-1)
        if not missing.any():
            return fields, missing
        filled = fields.copy()
        last, places = None, None
        for i, c in zip(*np.nonzero(absent.any((1, 2)))):
            mask, field = absent[i, ..., c], filled[i, ..., c]
            if self.fill == "mean" or mask.all():
                field[mask] = 0 if self.means is None else self.means[c]
                continue
            # Masks of land or of a radar's reach are the same from field to field.
            if last is None or not np.array_equal(mask, last):
                last, places = mask, _nearest_valid(mask, grid.wraps)
            field[mask] = field[places]
        return filled, missing


def mark_missing(fine: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Marks as missing, in place, the block of every coarse point whose input was missing.

    Args:
        fine: (n, h·s, w·s, C).
        missing: (n, h, w).

    Returns:
        ``fine``.
    """
    if missing.any():
        scale = fine.shape[1] // missing.shape[1]
        fine[missing.repeat(scale, 1).repeat(scale, 2)] = np.nan
    return fine


def _nearest_valid(mask: np.ndarray, wraps: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the valid points nearest to the points of a mask, in its order."""
    from scipy.ndimage import distance_transform_edt

    width = mask.shape[1]
    # Half a turn on either side: no point is farther off around the circle.
    around = width // 2 + 1 if wraps else 0
    wide = np.pad(mask, ((0, 0), (around, around)), mode="wrap")
    rows, columns = distance_transform_edt(wide, return_distances=False, return_indices=True)
    rows, columns = (places[:, around : around + width][mask] for places in (rows, columns))
    return rows, (columns - around) % width
