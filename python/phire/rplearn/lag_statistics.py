"""Statistics of distances by the time lag between two fields.

SSIM of pairs is TensorFlow's, which computes a whole batch on all cores or the GPU, unlike
:mod:`phire.evaluation.structural_similarity`; window and constants are those of that
module. ``tests/rplearn/test_lag_statistics.py`` checks it against scikit-image.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from phire.evaluation.structural_similarity import GAUSSIAN, K1, K2


def pixel_measures(
    first: np.ndarray, second: np.ndarray, lowest: np.ndarray, highest: np.ndarray
) -> dict[str, np.ndarray]:
    """Computes pixel-wise measures of difference between pairs of patches.

    Args:
        first, second: Normalised patches, (n, H, W, C).
        lowest, highest: (C,) range of each channel, common to all pairs, so that PSNR and SSIM are
            comparable between pairs.

    Returns:
        Measures by name, (n,) float64, which all grow with the difference: ``l1`` mean absolute
        difference, ``l2`` mean squared difference, ``psnr`` 50 − PSNR (dB), ``ssim`` (1 − SSIM)/2
        with a Gaussian window of 11 points, σ = 1.5 (Wang et al. 2004,
        doi:10.1109/TIP.2003.819861).
    """
    import tensorflow as tf

    difference = first.astype(np.float64) - second
    squared = (difference**2).mean(axis=(1, 2, 3))
    width = np.maximum(highest - lowest, np.finfo(np.float32).tiny)
    relative = ((difference / width) ** 2).mean(axis=(1, 2, 3))
    scaled = [((x - lowest) / width).astype(np.float32) for x in (first, second)]
    window = min(GAUSSIAN.size, *first.shape[1:3])
    similarity = tf.image.ssim(
        *scaled, max_val=1.0, filter_size=window, filter_sigma=GAUSSIAN.sigma, k1=K1, k2=K2
    )
    return {
        "l1": np.abs(difference).mean(axis=(1, 2, 3)),
        "l2": squared,
        # Equal patches have an infinite PSNR; 120 dB corresponds to float32 rounding.
        "psnr": 50 + 10 * np.log10(np.maximum(relative, 1e-12)),
        "ssim": (1 - similarity.numpy().astype(np.float64)) / 2,
    }


def scale_to(values: np.ndarray, target: np.ndarray) -> float:
    """Fits the factor that brings one measure, as a function of the lag, closest to another.

    Args:
        values: (lags,) mean of the measure at each lag, ascending lags.
        target: (lags,) mean of the target measure at each lag.

    Returns:
        Σ l·m / Σ l² over the upper half of the lags, the least-squares factor from l to m.
    """
    upper = len(values) // 2
    measured, wanted = np.asarray(values)[upper:], np.asarray(target)[upper:]
    known = np.isfinite(measured) & np.isfinite(wanted)
    square = float(np.sum(measured[known] ** 2))
    return float(np.sum(measured[known] * wanted[known])) / square if square > 0 else float("nan")


class LagStatistics:
    """Accumulator of measures of pairs, which gives their mean and spread for each lag."""

    def __init__(self, lags: int) -> None:
        self.lags = lags
        self._labels: list[np.ndarray] = []
        self._values: dict[str, list[np.ndarray]] = {}

    def update(self, labels: np.ndarray, measures: Mapping[str, np.ndarray]) -> None:
        """Adds n pairs, with lags ``labels`` (n,), from 1, and values (n,) of each measure."""
        self._labels.append(np.asarray(labels))
        for name, values in measures.items():
            self._values.setdefault(name, []).append(np.asarray(values, np.float64))

    def result(self, dimension: str = "measure") -> xr.Dataset:
        """Computes the statistics of all pairs added so far.

        Returns:
            ``mean(dimension, lag)``, ``std(dimension, lag)`` and ``count(lag)``; for each measure
            ``spearman`` (rank correlation with the lag over pairs) and ``upper_rise`` (relative
            growth of the mean over the upper half of the lags, 0 for a saturated measure). Lags
            without pairs are NaN.
        """
        labels = np.concatenate(self._labels)
        values = np.stack([np.concatenate(parts) for parts in self._values.values()])
        lags = np.arange(1, self.lags + 1)
        count = np.array([(labels == lag).sum() for lag in lags])
        mean = np.full((len(values), self.lags), np.nan)
        std = np.full((len(values), self.lags), np.nan)
        for k, lag in enumerate(lags):
            if count[k]:
                mean[:, k] = values[:, labels == lag].mean(axis=1)
                std[:, k] = values[:, labels == lag].std(axis=1)
        correlation = [_rank_correlation(row, labels) for row in values]
        return xr.Dataset(
            {
                "mean": ((dimension, "lag"), mean),
                "std": ((dimension, "lag"), std),
                "count": ("lag", count),
                "spearman": (dimension, correlation),
                "upper_rise": (dimension, mean[:, -1] / mean[:, self.lags // 2] - 1),
            },
            coords={dimension: list(self._values), "lag": lags},
        )


def _rank_correlation(values: np.ndarray, labels: np.ndarray) -> float:
    if np.ptp(values) == 0 or np.ptp(labels) == 0:
        return float("nan")
    return float(spearmanr(values, labels).statistic)


def add_scales(learned: xr.Dataset, pixels: xr.Dataset) -> xr.Dataset:
    """Adds the scales that bring learned distances to the size of the pixel MSE.

    Args:
        learned: Result of :class:`LagStatistics`; its first dimension names the measures.
        pixels: Result of the pixel measures, with ``l2_without_log1p(lag)``.

    Returns:
        ``learned`` with ``scale`` (to the MSE of normalised fields) and ``scale_without_log1p`` (to
        the MSE of z-scored fields) of each measure.
    """
    dimension = learned["mean"].dims[0]
    targets = {
        "scale": pixels["mean"].sel(measure="l2").to_numpy(),
        "scale_without_log1p": pixels["l2_without_log1p"].to_numpy(),
    }
    scales = {
        name: (dimension, [scale_to(row, target) for row in learned["mean"].to_numpy()])
        for name, target in targets.items()
    }
    return learned.assign(scales)
