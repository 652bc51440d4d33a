"""The distribution of values: densities, quantiles, the Wasserstein distance to the truth's."""

from __future__ import annotations

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Setting, State, Statistic, register
from phire.evaluation.histograms import LEVELS, Bins, quantiles, wasserstein
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.spectral_scores import divided

FINE = 16384
"""Bins from one range below the truth's minimum to one above its maximum."""

COARSE = 1024
"""Bins of the density that is kept."""

ERROR_BINS = 1001


@register
class Distribution(Statistic):
    """Area-weighted distribution of values over points and times.

    Quantiles and Wasserstein-1 distance come from 16384 equal bins, three times as wide together as
    the truth's range.
    """

    name = "distribution"
    extremes = ("minimum", "maximum")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        facts = setting.facts
        self.bins = Bins.between(facts.minimum - facts.range, facts.maximum + facts.range, FINE)
        reach = 3 * np.sqrt(facts.total_variance)
        self.error_bins = Bins.between(-reach, reach, ERROR_BINS)
        self._weights = np.broadcast_to(self.domain.weights, self.domain.shape).copy()

    def _histogram(self, bins: Bins, planes: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """(C, bins) of (n, C, h, w)."""
        total = np.zeros((planes.shape[1], bins.count))
        for i, c in np.ndindex(*planes.shape[:2]):
            if mask is None:
                total[c] += bins.histogram(planes[i, c], c, self._weights)
            else:
                inside = mask[i, c]
                total[c] += bins.histogram(planes[i, c][inside], c, self._weights[inside])
        return total

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Histograms of the values, and of the error."""
        domain = self.domain
        fields = truth if candidate is None else candidate
        mask = joint_mask(domain, truth, fields)
        theirs, own = domain.cut(truth.planes), domain.cut(fields.planes)

        def of_truth() -> np.ndarray:
            return self._histogram(self.bins, theirs, mask)

        state = {
            "truth": truth.once(("histogram", domain), of_truth) if mask is None else of_truth()
        }
        state["truth"] = state["truth"].copy()
        if candidate is not None:
            state["own"] = self._histogram(self.bins, own, mask)
            error = own - theirs
            state["error"] = self._histogram(self.error_bins, error, mask)
        filled = own if mask is None else np.where(mask, own, np.nan)
        centre = np.asarray(self.setting.facts.mean, own.dtype)[:, None, None]
        centred = own - centre if mask is None else np.where(mask, own - centre, 0)
        outside = domain.weights == 0
        if outside.any():
            filled = np.where(outside, np.nan, filled)
        return state | {
            "minimum": np.fmin.reduce(filled, axis=(0, 2, 3)).astype(np.float64),
            "maximum": np.fmax.reduce(filled, axis=(0, 2, 3)).astype(np.float64),
            "sum": domain.total(centred).sum(0),
            "square": (domain.total(centred**2) if mask is not None else self._square(centred)).sum(
                0
            ),
            "weight": (
                np.full(own.shape[1], len(own) * domain.total_weight)
                if mask is None
                else domain.total(mask).sum(0)
            ),
        }

    def _square(self, centred: np.ndarray) -> np.ndarray:
        return self.domain.mean_product(centred, centred) * self.domain.total_weight

    def result(self, state: State) -> xr.Dataset:
        """Densities, quantiles, moments, and the distance to the truth."""
        own = state.get("own", state["truth"])
        levels = np.array(LEVELS)
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["quantile"] = ("quantile", levels)
        units = self.units()
        bins = self.bins.coarser(FINE // COARSE)
        coarse = own.reshape(len(own), COARSE, -1).sum(-1)
        density = divided(coarse, coarse.sum(-1, keepdims=True) * bins.width[:, None])
        dataset["density"] = (("channel", "bin"), density)
        dataset["bin_centre"] = (("channel", "bin"), bins.centres, units)
        dataset["bin_width"] = ("channel", bins.width, units)
        values = [quantiles(h, e, levels) for h, e in zip(own, self.bins.edges)]
        dataset["quantile_value"] = (("channel", "quantile"), np.stack(values), units)
        mean = divided(state["sum"], state["weight"])
        variance = divided(state["square"], state["weight"]) - mean**2
        dataset["mean"] = ("channel", mean + self.setting.facts.mean, units)
        dataset["std"] = ("channel", np.sqrt(np.maximum(variance, 0)), units)
        dataset["minimum"] = ("channel", state["minimum"], units)
        dataset["maximum"] = ("channel", state["maximum"], units)
        if "own" in state:
            distance = wasserstein(own, state["truth"], self.bins.width)
            dataset["wasserstein"] = (
                "channel",
                distance,
                units | {"long_name": "Wasserstein-1 distance from the truth's values"},
            )
            error = state["error"]
            width = self.error_bins.width
            density = divided(error, error.sum(-1, keepdims=True) * width[:, None])
            dataset["error_density"] = (("channel", "error_bin"), density)
            centres = self.error_bins.centres
            dataset["error_bin_centre"] = (("channel", "error_bin"), centres, units)
        dataset["channel_units"] = ("channel", np.array(self.setting.units, dtype=object))
        return dataset
