"""Range, moments and climatology of the truth, measured before the statistics."""

from __future__ import annotations

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.setting import Setting, TruthMoments

SAMPLED = 2_000_000
"""Approximate number of values of each channel that are sampled for quantiles."""


class TruthMomentsStatistic(Statistic):
    """Range, moments and a sample of the truth within a domain; see :class:`TruthMoments`."""

    name = "truth_moments"
    series = ("times", "sample")
    extremes = ("minimum", "maximum")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        weights = np.broadcast_to(self.domain.weights, self.domain.shape).ravel()
        self._cumulative = np.cumsum(weights)
        self._sampled = int(np.clip(SAMPLED // max(len(setting.time), 1), 20, 5000))

    def measure(self, truth: Batch, candidate: Batch | None = None) -> State:
        """Returns extremes, sums over time of means and variances, and a random sample.

        The sample is drawn with probabilities proportional to area; its seed contains the value of
        the time, so that a time has the same sample in every batch.
        """
        domain = self.domain
        planes = domain.cut(truth.planes)
        mask = None if truth.present is None else domain.cut(truth.present)
        filled = planes if mask is None else np.where(mask, planes, 0)
        mean = domain.mean(filled, mask)
        departures = planes - np.nan_to_num(mean)[..., None, None].astype(planes.dtype)
        departures = departures if mask is None else np.where(mask, departures, 0)
        variance = domain.mean_product(departures, departures, mask)
        whole = np.isfinite(mean)
        flat = planes.reshape(*planes.shape[:2], -1)
        samples = []
        for i, time in enumerate(truth.times):
            value = int(self.setting.time.values[time]) % 2**63
            random = np.random.default_rng([self.setting.seed, value, 2])
            drawn = random.uniform(0, self._cumulative[-1], self._sampled)
            places = np.searchsorted(self._cumulative, drawn, side="right")
            samples.append(flat[i][:, np.minimum(places, flat.shape[-1] - 1)].T)
        outside = domain.weights == 0
        if outside.any():
            planes = np.where(outside, np.nan, planes)
        return {
            "times": truth.times,
            "sample": np.stack(samples),
            "minimum": np.fmin.reduce(planes, axis=(0, 2, 3)).astype(np.float64),
            "maximum": np.fmax.reduce(planes, axis=(0, 2, 3)).astype(np.float64),
            "count": whole.sum(0).astype(float),
            "mean": np.where(whole, mean, 0).sum(0),
            "variance": np.where(whole, variance, 0).sum(0),
            "square": np.where(whole, mean**2 + variance, 0).sum(0),
        }

    def truth_moments(self, state: State) -> TruthMoments:
        """Returns the moments and the sample of a state as :class:`TruthMoments`."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = state["mean"] / state["count"]
            variance = state["variance"] / state["count"]
            total = state["square"] / state["count"] - mean**2
        order = np.argsort(state["times"], kind="stable")
        sample = state["sample"][order].reshape(-1, len(mean))
        return TruthMoments(
            state["minimum"], state["maximum"], mean, variance, np.maximum(total, variance), sample
        )

    def result(self, state: State) -> xr.Dataset:
        """Returns the moments as a dataset, without the sample."""
        truth_moments = self.truth_moments(state)
        return xr.Dataset(
            {
                name: ("channel", getattr(truth_moments, name))
                for name in ("minimum", "maximum", "mean", "variance", "total_variance")
            },
            coords=self.coordinates("channel"),
        )


class MeanMap(Statistic):
    """Time mean of the truth at each point of the whole grid."""

    name = "mean_map"

    def measure(self, truth: Batch, candidate: Batch | None = None) -> State:
        """Returns sums and counts of values at each point."""
        if truth.present is None:
            count = np.full((1, 1, 1), float(len(truth)))
            count = np.broadcast_to(count, (truth.planes.shape[1], *self.domain.shape)).copy()
            return {"sum": truth.planes.sum(0, dtype=np.float64), "count": count}
        filled = np.where(truth.present, truth.planes, 0)
        return {
            "sum": filled.sum(0, dtype=np.float64),
            "count": truth.present.sum(0, dtype=np.float64),
        }

    def result(self, state: State) -> xr.Dataset:
        """Returns the map ``mean(channel, …)``."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = state["sum"] / state["count"]
        return xr.Dataset(
            {"mean": (("channel", *self.plane_dimensions), mean)},
            coords=self.coordinates("channel", *self.plane_dimensions),
        )
