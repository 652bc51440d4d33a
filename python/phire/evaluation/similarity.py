"""Structural similarity of fields."""

from __future__ import annotations

import numpy as np

from phire.evaluation.domain import BAND_POINTS

WINDOW = 7
"""Points along a side of the window in which fields are compared."""

K1, K2 = 0.01, 0.03


def structural_similarity(
    truth: np.ndarray,
    candidate: np.ndarray,
    data_range: float,
    *,
    wraps: bool = False,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Structural similarity around each point (Wang et al. 2004, doi:10.1109/TIP.2003.819861).

    SSIM = (2 μx μy + c₁)(2 σxy + c₂) / ((μx² + μy² + c₁)(σx² + σy² + c₂)) in uniform windows of
    7 × 7 points with sample covariances, c₁ = (0.01 R)², c₂ = (0.03 R)², as scikit-image has it.

    Args:
        truth: (H, W).
        candidate: (H, W).
        data_range: R; of the truth alone, so that a candidate cannot change it.
        wraps: Whether the last column's neighbour is the first.
        mask: (H, W) True where both fields have values; everywhere if None.

    Returns:
        The similarity (H−6, W or W−6) of the windows that lie within the fields, and where these
        hold no missing value (None: everywhere).
    """
    pad = WINDOW // 2
    if mask is not None:
        truth, candidate = np.where(mask, truth, 0), np.where(mask, candidate, 0)
    if wraps:
        sides = ((0, 0), (pad, pad))
        truth, candidate = (np.pad(field, sides, mode="wrap") for field in (truth, candidate))
        mask = None if mask is None else np.pad(mask, sides, mode="wrap")
    # Of fields about zero, as parts of the range, single precision is enough for the products.
    unit = data_range if data_range > 0 else 1.0
    mean = truth.mean(dtype=np.float64)
    height, width = truth.shape[0] - 2 * pad, truth.shape[1] - 2 * pad
    similarity = np.empty((height, width), np.float32)
    step = max(1, BAND_POINTS // truth.shape[1])
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height) + 2 * pad)
        x, y = (
            np.multiply(np.subtract(field[rows], mean, dtype=np.float64), 1 / unit)
            for field in (truth, candidate)
        )
        similarity[top : top + step] = _similarity(
            x.astype(np.float32), y.astype(np.float32), np.float32(mean / unit), data_range / unit
        )
    if mask is None:
        return similarity, None
    full = _window_mean(mask.astype(np.float32)) > 1 - 0.5 / WINDOW**2
    return similarity, full


def _similarity(x: np.ndarray, y: np.ndarray, shift: np.float32, data_range: float) -> np.ndarray:
    """The similarity of the windows within two fields from which ``shift`` was taken."""
    mean_x, mean_y, xx, yy, xy = (_window_mean(f) for f in (x, y, x * x, y * y, x * y))
    sample = np.float32(WINDOW**2 / (WINDOW**2 - 1))
    c1, c2 = np.float32((K1 * data_range) ** 2), np.float32((K2 * data_range) ** 2)
    covariance = sample * (xy - mean_x * mean_y)
    variances = sample * (xx - mean_x * mean_x + yy - mean_y * mean_y)
    mean_x += shift
    mean_y += shift
    upper = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    lower = (mean_x * mean_x + mean_y * mean_y + c1) * (variances + c2)
    return np.divide(upper, lower, out=np.ones_like(upper), where=lower > 0)


def _window_mean(field: np.ndarray) -> np.ndarray:
    """Means of the windows that lie within a field."""
    return _run_sum(_run_sum(field).T).T * field.dtype.type(1 / WINDOW**2)


def _run_sum(field: np.ndarray) -> np.ndarray:
    """Sums of :data:`WINDOW` neighbours along the first axis."""
    count = len(field) - WINDOW + 1
    total = field[:count] + field[1 : count + 1]
    for shift in range(2, WINDOW):
        total += field[shift : shift + count]
    return total
