"""Scores of a candidate against the truth, point by point, one number a time."""

from __future__ import annotations

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, State, Statistic, register
from phire.evaluation.similarity import WINDOW, structural_similarity

NAMES = (
    "rmse",
    "mae",
    "bias",
    "correlation",
    "anomaly_correlation",
    "psnr",
    "ssim",
    "total_variation_difference",
)

DEFINITIONS = {
    "rmse": "root of the area-weighted mean square error",
    "mae": "area-weighted mean absolute error",
    "bias": "area-weighted mean error, candidate minus truth",
    "correlation": "area-weighted Pearson correlation in space",
    "anomaly_correlation": "area-weighted correlation of anomalies from the climatology, uncentred",
    "psnr": "peak signal-to-noise ratio, 20 log10(range / rmse), range of the truth over all times",
    "ssim": "area-weighted mean structural similarity, windows of 7 x 7, range of the truth",
    "total_variation_difference": (
        "area-weighted mean of |differences of neighbours| of the candidate minus the truth's"
    ),
}

IN_UNITS = ("rmse", "mae", "bias", "total_variation_difference")


@register
class Scores(Statistic):
    """RMSE, MAE, bias, correlations, PSNR, SSIM and total-variation difference by time.

    Points missing in either field do not count; means are weighted by area. Of an ensemble, the
    mean is scored.
    """

    name = "scores"
    series = ("times", "sums", "anomaly", "ssim", "variation")
    of_truth = False
    ensemble = "mean"

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Means of the error and of products, per time and channel."""
        if candidate is None:
            return {}
        domain, facts = self.domain, self.setting.facts
        mask = joint_mask(domain, truth, candidate)
        # About the truth's mean, products lose nothing in single precision.
        centre = np.asarray(facts.mean, truth.planes.dtype)[:, None, None]
        centred = truth.once(("centred", domain), lambda: domain.cut(truth.planes) - centre)
        error = domain.cut(candidate.planes) - domain.cut(truth.planes)
        if mask is not None:
            centred, error = np.where(mask, centred, 0), np.where(mask, error, 0)
        absolute = np.abs(error)

        def own() -> list[np.ndarray]:
            return [domain.mean(centred, mask), domain.mean_product(centred, centred, mask)]

        # Where nothing is missing, the truth's own moments are the same for all candidates.
        moments = own() if mask is not None else truth.once(("moments", domain), own)
        sums = [
            domain.mean(error, mask),
            domain.mean(absolute, mask),
            domain.mean_product(error, error, mask),
            *moments,
            domain.mean_product(centred, error, mask),
        ]
        return {
            "times": truth.times,
            "sums": np.stack(sums, -1),
            "anomaly": self._anomaly(truth, error, mask),
            "ssim": self._similarity(truth, candidate, mask),
            "variation": self._variation(truth, error, centred, mask),
        }

    def _anomaly(self, truth: Batch, error: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        domain, facts = self.domain, self.setting.facts
        if facts.climatology is None:
            return np.full(error.shape[:2], np.nan)
        climatology = facts.climatology[facts.groups[truth.times]]
        departure = domain.cut(truth.planes) - domain.cut(climatology)
        if mask is not None:
            departure = np.where(mask, departure, 0)
        square = domain.mean_product(departure, departure, mask)
        product = domain.mean_product(departure, error, mask)
        error_square = domain.mean_product(error, error, mask)
        of_candidate = square + 2 * product + error_square
        with np.errstate(invalid="ignore", divide="ignore"):
            return (square + product) / np.sqrt(square * of_candidate)

    def _similarity(self, truth: Batch, candidate: Batch, mask: np.ndarray | None) -> np.ndarray:
        domain = self.domain
        grid = domain.window_grid
        values = np.full(truth.planes.shape[:2], np.nan)
        if min(domain.shape) < WINDOW:
            return values
        pad = WINDOW // 2
        inner = domain.weights[pad:-pad]
        if inner.shape[1] > 1 and not grid.wraps:
            inner = inner[:, pad:-pad]
        for i, c in np.ndindex(*values.shape):
            present = None if mask is None else mask[i, c]
            similarity, full = structural_similarity(
                domain.cut(truth.planes[i, c]),
                domain.cut(candidate.planes[i, c]),
                float(self.setting.facts.range[c]),
                wraps=grid.wraps,
                mask=present,
            )
            if full is None and inner.shape[1] == 1:
                values[i, c] = np.average(similarity.mean(1, dtype=np.float64), weights=inner[:, 0])
                continue
            weights = np.broadcast_to(inner, similarity.shape)
            weights = weights if full is None else weights * full
            if weights.any():
                values[i, c] = np.average(similarity, weights=weights)
        return values

    def _variation(
        self, truth: Batch, error: np.ndarray, centred: np.ndarray, mask: np.ndarray | None
    ) -> np.ndarray:
        """Total variation of the candidate minus the truth's, over the same pairs of neighbours."""
        if mask is None:
            own = truth.once(("variation", self.domain), lambda: self._total(centred, None))
        else:
            own = self._total(centred, mask)
        return self._total(centred + error, mask) - own

    def _total(self, planes: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        domain = self.domain
        weights = np.broadcast_to(domain.weights, domain.shape)
        total = np.zeros(planes.shape[:2])
        east = np.abs(planes[..., 1:] - planes[..., :-1])
        south = np.abs(planes[..., 1:, :] - planes[..., :-1, :])
        if mask is not None:
            east = east * (mask[..., 1:] & mask[..., :-1])
            south = south * (mask[..., 1:, :] & mask[..., :-1, :])
        if domain.weights.shape[1] == 1:
            rows = domain.weights[:, 0]
            total += east.sum(-1, dtype=np.float64) @ rows
            total += south.sum(-1, dtype=np.float64) @ ((rows[1:] + rows[:-1]) / 2)
        else:
            total += np.einsum("nchw,hw->nc", east, (weights[:, 1:] + weights[:, :-1]) / 2)
            total += np.einsum("nchw,hw->nc", south, (weights[1:] + weights[:-1]) / 2)
        if domain.window_grid.wraps:
            across = np.abs(planes[..., 0] - planes[..., -1])
            if mask is not None:
                across = across * (mask[..., 0] & mask[..., -1])
            total += across @ ((weights[:, 0] + weights[:, -1]) / 2)
        weight = domain.total_weight if mask is None else domain.total(mask)
        with np.errstate(invalid="ignore", divide="ignore"):
            return total / weight

    def result(self, state: State) -> xr.Dataset:
        """Each score over (channel, time), its running mean, and of all times together."""
        times, ordered = self.ordered(state)
        bias, mae, square, mean, mean_square, product = np.moveaxis(ordered["sums"], -1, 0)
        peak = self.setting.facts.range
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = mean_square - mean**2
            of_candidate = mean_square + 2 * product + square - (mean + bias) ** 2
            covariance = mean_square + product - mean * (mean + bias)
            rmse = np.sqrt(square)
            values = {
                "rmse": rmse,
                "mae": mae,
                "bias": bias,
                "correlation": covariance / np.sqrt(variance * of_candidate),
                "anomaly_correlation": ordered["anomaly"],
                "psnr": 20 * np.log10(peak / rmse),
                "ssim": ordered["ssim"],
                "total_variation_difference": ordered["variation"],
            }
            together = {name: _mean(value) for name, value in values.items()}
            together["rmse"] = np.sqrt(_mean(square))
            together["psnr"] = 20 * np.log10(peak / together["rmse"])
        window = smoothing_window(len(times))
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["time"] = self.time_coordinate(times)
        for name, value in values.items():
            attributes = {"long_name": DEFINITIONS[name]}
            if name in IN_UNITS:
                attributes |= self.units()
            elif name == "psnr":
                attributes["units"] = "dB"
            else:
                attributes["units"] = "1"
            dataset[name] = (("channel", "time"), value.T, attributes)
            smooth = smoothed(value, window)
            dataset[f"{name}_smoothed"] = (
                ("channel", "time"),
                smooth.T,
                attributes | {"running_mean": f"{window} times"},
            )
            dataset[f"{name}_mean"] = ("channel", together[name], attributes)
        dataset["channel_units"] = ("channel", np.array(self.setting.units, dtype=object))
        return dataset


def joint_mask(domain, truth: Batch, candidate: Batch) -> np.ndarray | None:
    """(n, C, h, w) True where both have values, within a domain; None: everywhere."""
    masks = [batch.present for batch in (truth, candidate) if batch.present is not None]
    if not masks:
        return None
    mask = domain.cut(masks[0] if len(masks) == 1 else masks[0] & masks[1])
    return None if mask.all() else mask


def smoothing_window(count: int) -> int:
    """Length of the running mean over a series of ``count`` times: a twentieth, odd, at least 3."""
    return max(3, count // 20 | 1)


def smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """Centred running mean along the first axis, shorter at the ends; missing values left out."""
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


def _mean(values: np.ndarray) -> np.ndarray:
    present = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(present, values, 0).sum(0) / present.sum(0)
