"""Structural similarity (SSIM) of fields, with uniform or Gaussian windows.

The loss ``downscaling/contents/structural.py``, which needs gradients, and the distances of pairs
in ``rplearn/lag_statistics.py``, which run on a GPU, share its window and constants. scikit-image
has neither missing values nor fields that wrap around the globe, and computes one data range at a
time. This implementation works in bands of rows that fit in the cache.
``tests/evaluation/test_point_scores.py`` checks it against scikit-image, with both windows.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from phire.evaluation.domain import BAND_POINTS, Domain

K1, K2 = 0.01, 0.03
"""Constants of the stabilising terms c₁ = (K1 R)² and c₂ = (K2 R)²."""


@dataclasses.dataclass(frozen=True)
class Window:
    """Window in which the moments of two fields are compared.

    Attributes:
        size: Side in points, odd.
        sigma: Standard deviation of Gaussian weights in points; None means equal weights.
    """

    size: int
    sigma: float | None = None

    @property
    def reach(self) -> int:
        """Number of points on either side of the central point."""
        return self.size // 2

    @property
    def sample_factor(self) -> float:
        """Factor n / (n − 1) of the sample covariance; 1 for Gaussian weights."""
        return self.size**2 / (self.size**2 - 1) if self.sigma is None else 1.0

    @property
    def profile(self) -> np.ndarray:
        """Weights (size,) along one axis, of sum 1; the weight of a point is a product of two."""
        if self.sigma is None:
            return np.full(self.size, 1 / self.size)
        weights = np.exp(-((np.arange(self.size) - self.reach) ** 2) / (2 * self.sigma**2))
        return weights / weights.sum()

    def mean(self, field: np.ndarray) -> np.ndarray:
        """Returns the means (h − size + 1, w − size + 1) of the windows within a field (h, w)."""
        if self.sigma is None:
            sums = _run_sum(_run_sum(field, self.size).T, self.size).T
            return sums * field.dtype.type(1 / self.size**2)
        inner = slice(self.reach, -self.reach)
        for axis in (0, 1):
            field = ndimage.correlate1d(field, self.profile, axis)
        return field[inner, inner]


UNIFORM = Window(7)
"""Default window of scikit-image."""

GAUSSIAN = Window(11, 1.5)
"""Window of Wang et al. (2004) and of ``tf.image.ssim``."""


def structural_similarity(
    truth: np.ndarray,
    candidate: np.ndarray,
    data_range: float | np.ndarray,
    *,
    window: Window = UNIFORM,
    wraps: bool = False,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Computes the structural similarity of two fields around each point.

    SSIM = (2 μx μy + c₁)(2 σxy + c₂) / ((μx² + μy² + c₁)(σx² + σy² + c₂)), c₁ = (0.01 R)² and
    c₂ = (0.03 R)², with the moments of a window around the point (Wang et al. 2004,
    doi:10.1109/TIP.2003.819861).

    Args:
        truth, candidate: (h, w) fields; moments have their precision.
        data_range: Data range R, or several (k,), for which moments are computed only once.
        window: Size and weights of the window.
        wraps: True if the last column is adjacent to the first.
        mask: (h, w) True where both fields have values; None means everywhere.

    Returns:
        The similarity of all windows that lie within the fields, (..., h − size + 1, w − size + 1),
        the width being w if the field wraps; and booleans of its last two axes, True for windows
        without missing values, or None if no value is missing.
    """
    reach, ranges = window.reach, np.asarray(data_range, np.float64)
    if mask is not None:
        truth, candidate = np.where(mask, truth, 0), np.where(mask, candidate, 0)
    if wraps:
        sides = ((0, 0), (reach, reach))
        truth, candidate = (np.pad(field, sides, mode="wrap") for field in (truth, candidate))
        mask = None if mask is None else np.pad(mask, sides, mode="wrap")
    # After subtracting the mean and dividing by the range, single precision suffices for products.
    greatest = float(ranges.max())
    unit = greatest if greatest > 0 else 1.0
    kind = np.result_type(truth, candidate, np.float32)
    mean = truth.mean(dtype=np.float64)
    height, width = (size - 2 * reach for size in truth.shape)
    similarity = np.empty((*ranges.shape, height, width), kind)
    step = max(1, BAND_POINTS // truth.shape[1])
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height) + 2 * reach)
        x, y = (
            np.multiply(np.subtract(field[rows], mean, dtype=np.float64), 1 / unit).astype(kind)
            for field in (truth, candidate)
        )
        moments = _moments(x, y, kind.type(mean / unit), window)
        for place in np.ndindex(ranges.shape):
            part = (*place, slice(top, top + step))
            similarity[part] = _similarity(moments, ranges[place] / unit)
    if mask is None:
        return similarity, None
    present = Window(window.size).mean(mask.astype(np.float32))
    full = present > 1 - 0.5 / window.size**2
    return similarity, full


def similarity_in_rows(
    truth: np.ndarray,
    candidates: np.ndarray,
    data_range: float,
    tops: slice,
    *,
    wraps: bool = False,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Computes the structural similarity of several fields in some rows of uniform windows.

    In contrast to :func:`structural_similarity`, the truth's moments are computed once for all
    candidates, and only the selected windows are computed.

    Args:
        truth: (h, w) field.
        candidates: (M, h, w) fields.
        data_range: Data range R.
        tops: First rows of the windows, k of the h − size + 1 in the field.
        wraps: True if the last column is adjacent to the first.
        mask: (h, w) True where all fields have values; None means everywhere.

    Returns:
        The similarity (M, k, columns), with w − size + 1 columns, or w if the fields wrap; and
        booleans (k, columns), True for windows without missing values, or None if no value is
        missing.
    """
    size, reach = UNIFORM.size, UNIFORM.reach
    kind = np.result_type(truth, candidates, np.float32)
    unit = kind.type(data_range if data_range > 0 else 1)
    mean = kind.type(truth.mean() if mask is None else truth[mask].mean())

    def in_windows(field: np.ndarray) -> np.ndarray:  # (k, size, w), a view
        return np.moveaxis(sliding_window_view(field, size, axis=0)[tops], -1, 1)

    def scaled(field: np.ndarray) -> np.ndarray:
        found = np.subtract(in_windows(field), mean, dtype=kind)
        found /= unit
        if mask is not None:
            found = np.where(in_windows(mask), found, -mean / unit)
        return np.pad(found, ((0, 0), (0, 0), (reach, reach)), mode="wrap") if wraps else found

    def window_mean(of_columns: np.ndarray) -> np.ndarray:
        return _run_sum(of_columns.T, size).T * kind.type(1 / size**2)

    def mean_product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return window_mean(np.einsum("kaw,kaw->kw", first, second))

    x = scaled(truth)
    mean_x, xx = window_mean(x.sum(1)), mean_product(x, x)
    similarity = []
    for candidate in candidates:
        y = scaled(candidate)
        means = mean_x, window_mean(y.sum(1)), xx, mean_product(y, y), mean_product(x, y)
        moments = _central(*means, mean / unit, UNIFORM)
        similarity.append(_similarity(moments, float(data_range / unit)))
    if mask is None:
        return np.stack(similarity), None
    present = in_windows(mask).all(1)
    if wraps:
        present = np.pad(present, ((0, 0), (reach, reach)), mode="wrap")
    full = sliding_window_view(present, size, axis=1).all(-1)
    return np.stack(similarity), full


def mean_similarity(
    domain: Domain,
    similarity: np.ndarray,
    full: np.ndarray | None,
    tops: slice = slice(None),
) -> float:
    """Returns the area-weighted mean similarity of the windows without missing values.

    Args:
        domain: Domain of the fields.
        similarity: (k, columns) similarity of uniform windows.
        full: (k, columns) True for windows without missing values; None means all.
        tops: First rows of the windows, k of them; all by default.
    """
    reach = UNIFORM.reach
    weights = domain.weights[reach:-reach][tops]
    if weights.shape[1] == 1 and full is None:
        return float(np.average(similarity.mean(1, dtype=np.float64), weights=weights[:, 0]))
    if weights.shape[1] > 1 and not domain.window_grid.wraps:
        weights = weights[:, reach:-reach]
    weights = np.broadcast_to(weights, similarity.shape)
    weights = weights if full is None else weights * full
    return float(np.average(similarity, weights=weights)) if weights.any() else np.nan


def _moments(
    x: np.ndarray, y: np.ndarray, shift: np.floating, window: Window
) -> tuple[np.ndarray, ...]:
    """Returns the moments of each window: means, covariance, and sum of both variances.

    Args:
        x, y: Fields from which ``shift`` was subtracted.
        shift: Constant that is added to the means again.
        window: The window.
    """
    means = (window.mean(f) for f in (x, y, x * x, y * y, x * y))
    return _central(*means, shift, window)


def _central(
    mean_x: np.ndarray,
    mean_y: np.ndarray,
    xx: np.ndarray,
    yy: np.ndarray,
    xy: np.ndarray,
    shift: np.floating,
    window: Window,
) -> tuple[np.ndarray, ...]:
    """Returns means, covariance and sum of variances from the means of fields and products.

    Args:
        mean_x, mean_y, xx, yy, xy: Means over the windows of the fields x and y, from which
            ``shift`` was subtracted, and of their products.
        shift: Constant that is added to the means again.
        window: The window.
    """
    sample = xy.dtype.type(window.sample_factor)
    covariance = sample * (xy - mean_x * mean_y)
    variances = sample * (xx - mean_x * mean_x + yy - mean_y * mean_y)
    return mean_x + shift, mean_y + shift, covariance, variances


def _similarity(moments: tuple[np.ndarray, ...], data_range: float) -> np.ndarray:
    """Returns the similarity of windows from their moments; 1 where both fields are constant 0."""
    mean_x, mean_y, covariance, variances = moments
    c1, c2 = (mean_x.dtype.type((k * data_range) ** 2) for k in (K1, K2))
    upper = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    lower = (mean_x * mean_x + mean_y * mean_y + c1) * (variances + c2)
    return np.divide(upper, lower, out=np.ones_like(upper), where=lower > 0)


def _run_sum(field: np.ndarray, size: int) -> np.ndarray:
    """Returns the sums of each ``size`` neighbours along the first axis."""
    count = len(field) - size + 1
    total = field[:count] + field[1 : count + 1]
    for shift in range(2, size):
        total += field[shift : shift + count]
    return total
