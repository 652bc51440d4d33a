"""Histograms with fixed bins: from them quantiles and the Wasserstein distance."""

from __future__ import annotations

import dataclasses

import numpy as np

LEVELS = (
    0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.09, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5,
    0.6, 0.7, 0.75, 0.8, 0.9, 0.91, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999,
)  # fmt: skip
"""Quantiles that are kept."""


@dataclasses.dataclass(frozen=True, eq=False)
class Bins:
    """Equal bins for each channel; what lies beyond the outer edges counts in the outer bins.

    Attributes:
        low: (C,) lower edge of the first bin.
        width: (C,) of a bin.
        count: Of bins.
    """

    low: np.ndarray
    width: np.ndarray
    count: int

    @classmethod
    def between(cls, low: np.ndarray, high: np.ndarray, count: int) -> Bins:
        """Bins from ``low`` to ``high`` (C,); a channel without range gets bins of width 1."""
        width = (np.asarray(high, np.float64) - low) / count
        return cls(np.asarray(low, np.float64), np.where(width > 0, width, 1.0), count)

    @property
    def edges(self) -> np.ndarray:
        """(C, count + 1)."""
        return self.low[:, None] + self.width[:, None] * np.arange(self.count + 1)

    @property
    def centres(self) -> np.ndarray:
        """(C, count)."""
        return self.low[:, None] + self.width[:, None] * (np.arange(self.count) + 0.5)

    def places(self, values: np.ndarray, channel: int) -> np.ndarray:
        """The bins of values of one channel, which must be finite."""
        scaled = (values - values.dtype.type(self.low[channel])) * values.dtype.type(
            1 / self.width[channel]
        )
        return np.clip(scaled, 0, self.count - 1).astype(np.intp)

    def histogram(
        self, values: np.ndarray, channel: int, weights: np.ndarray | None = None
    ) -> np.ndarray:
        """(count,) weight in each bin of values (any shape) of one channel."""
        places = self.places(values, channel).ravel()
        weights = None if weights is None else weights.ravel()
        return np.bincount(places, weights, minlength=self.count).astype(np.float64)

    def coarser(self, factor: int) -> Bins:
        """Bins ``factor`` times as wide."""
        return Bins(self.low, self.width * factor, self.count // factor)


def quantiles(histogram: np.ndarray, edges: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantiles of a histogram, its weight spread evenly within bins.

    Args:
        histogram: (B,) weights.
        edges: (B+1,).
        levels: (k,) between 0 and 1.

    Returns:
        (k,) values; NaN for an empty histogram.
    """
    total = histogram.sum()
    if not total > 0:
        return np.full(len(levels), np.nan)
    # Without the empty bins at the upper end, where the distribution has reached 1 already.
    last = len(histogram) - int(np.argmax(histogram[::-1] > 0))
    cumulative = np.concatenate([[0], np.cumsum(histogram[:last])]) / total
    cumulative[-1] = 1
    return np.interp(levels, cumulative, edges[: last + 1])


def wasserstein(first: np.ndarray, second: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Wasserstein-1 distance ∫ |F(x) − G(x)| dx of histograms over the same bins.

    Args:
        first, second: (..., B) weights.
        width: (...) of the bins.

    Returns:
        (...) in the units of ``width``; NaN where one is empty.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        one, two = (h.cumsum(-1) / h.sum(-1, keepdims=True) for h in (first, second))
    # Both run from 0 at the left edge; within a bin their difference is linear.
    gap = np.concatenate([np.zeros((*first.shape[:-1], 1)), one - two], axis=-1)
    left, right = gap[..., :-1], gap[..., 1:]
    same_sign = left * right >= 0
    with np.errstate(invalid="ignore", divide="ignore"):
        crossing = (left**2 + right**2) / (2 * np.abs(left - right))
    area = np.where(same_sign, np.abs(left + right) / 2, crossing)
    return area.sum(-1) * width
