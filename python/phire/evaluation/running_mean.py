"""Running mean over time, by which series of scores are smoothed.

pandas has running means of tables only; here arrays have any number of axes.
``tests/evaluation/test_point_scores.py`` checks them against ``pandas.DataFrame.rolling``.
"""

from __future__ import annotations

import numpy as np


def smoothing_window(count: int) -> int:
    """Returns the window of the running mean: about a twentieth of ``count`` times, odd, ≥ 3."""
    return max(3, count // 20 | 1)


def smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """Returns the centred running mean along the first axis.

    The window is truncated at both ends of the series. Missing values are left out.

    Args:
        values: (T, ...).
        window: Number of times of the window, odd.
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
