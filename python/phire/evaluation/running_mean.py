"""Running mean over time, by which series of scores are smoothed."""

from __future__ import annotations

import numpy as np
import pandas as pd


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
    series = pd.DataFrame(np.reshape(values, (len(values), -1)))
    means = series.rolling(window, center=True, min_periods=1).mean()
    return means.to_numpy(np.float64).reshape(np.shape(values))
