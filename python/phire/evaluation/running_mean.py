"""The running mean over time that series of scores are smoothed with."""

from __future__ import annotations

import numpy as np


def smoothing_window(count: int) -> int:
    """Returns the length of the running mean over ``count`` times: a twentieth, odd, at least 3."""
    return max(3, count // 20 | 1)


def smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """Returns the centred running mean along the first axis, shorter at the ends.

    Missing values are left out.
    """
    present = np.isfinite(values)
    kernel = np.ones(min(window, 2 * len(values) - 1))
    filled = np.where(present, values, 0.0)

    def run(column: np.ndarray) -> np.ndarray:
        full = np.convolve(column, kernel, mode="full")
        start = (len(kernel) - 1) // 2
        return full[start : start + len(column)]

    sums = np.apply_along_axis(run, 0, filled)
    counts = np.apply_along_axis(run, 0, present.astype(float))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts > 0.5, sums / counts, np.nan)
