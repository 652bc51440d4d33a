"""Scores as DL4DS computes them, where its definitions differ from phire's."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import interpolate, ndimage, stats

from phire.evaluation.accumulator import Batch, Setting, State, Statistic
from phire.evaluation.definitions import CHANNEL, HIGHER, LOWER, ZERO, Definition
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.similarity import K1, K2
from phire.evaluation.spectral_scores import divided

SIGMA, WINDOW = 1.5, 11
"""Standard deviation and side of the Gaussian window, in points."""

OCTAVES = 3
"""SSIM is taken at ranges up to 2³ of the truth's, two an octave, and interpolated between them."""

SOURCE = "Gómez González (2022), DL4DS, arXiv:2205.08967: compute_metrics"

VARIABLES = (
    Definition(
        "dl4ds_psnr", "PSNR as of DL4DS", "20 log₁₀ R − 10 log₁₀ mean (x − y)², R the range of "
        "truth and candidate together over all times; points weigh alike", "dB", HIGHER, SOURCE,
    ),
    Definition(
        "dl4ds_ssim", "SSIM as of DL4DS", "mean structural similarity in Gaussian windows of 11 × "
        "11 points, σ = 1.5, with the same R; points weigh alike", "1", HIGHER, SOURCE,
    ),
    Definition("dl4ds_rmse", "RMSE as of DL4DS", "√ mean (x − y)² of a field, points weigh alike; "
               "_mean: the mean of the fields' RMSE", CHANNEL, LOWER, SOURCE),
    Definition("dl4ds_mae", "MAE as of DL4DS", "mean |x − y|, points weigh alike", CHANNEL, LOWER,
               SOURCE),
    Definition("dl4ds_pearson", "Pearson correlation as of DL4DS",
               "of the points of a field, which weigh alike", "1", HIGHER, SOURCE),
    Definition("dl4ds_spearman", "Spearman correlation as of DL4DS",
               "of the ranks of the points of a field", "1", HIGHER, SOURCE),
    Definition("dl4ds_normalised_rmse", "Normalised RMSE as of DL4DS",
               "100 √⟨(x − y)²⟩ / ⟨y⟩ over time at each point", "%", LOWER, SOURCE),
    Definition("dl4ds_normalised_bias", "Normalised mean bias as of DL4DS",
               "100 ⟨x − y⟩ / ⟨y⟩ over time at each point", "%", ZERO, SOURCE),
)  # fmt: skip
"""Variables of the result that people look at."""

NAMES = ("dl4ds_mae", "dl4ds_rmse", "dl4ds_pearson", "dl4ds_spearman", "dl4ds_psnr", "dl4ds_ssim")


@statistic("dl4ds")
class DL4DSScores(Statistic):
    """PSNR, SSIM, RMSE, MAE and correlations of each field, and normalised maps, as DL4DS has them.

    To compare with numbers published with DL4DS, whose points weigh alike and whose missing values
    are 0 and count. The maps are those that its documentation means (percent of the truth's mean):
    its code divides by 100 times the mean. The range is known at the end only, so SSIM is taken at
    several ranges and interpolated (error below 10⁻⁴). Of an ensemble, the mean is scored.
    """

    order = 31
    title = "Scores as of DL4DS"
    definitions = VARIABLES
    summary = tuple((f"{name}_mean", name) for name in NAMES)
    series = ("times", "values", "ssim")
    extremes = ("minimum", "maximum")
    of_truth = False
    ensemble = "mean"
    by_default = False

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Windows must fit."""
        if min(setting.domain.shape) < WINDOW:
            return f"SSIM's windows are of {WINDOW} × {WINDOW} points"
        return None

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Scores (n, C, 4) and SSIM (n, C, ranges) by time, extremes (C), and sums over time."""
        if candidate is None:
            return {}
        pair = [np.nan_to_num(self.domain.cut(b.planes).astype(float)) for b in (truth, candidate)]
        theirs, own = pair
        error = own - theirs
        values = np.stack([np.abs(error).mean((-2, -1)), (error**2).mean((-2, -1))], -1)
        multiples = 2 ** self._log_ranges()
        correlations = np.empty(values.shape)
        similarity = np.empty((*values.shape[:2], len(multiples)))
        for i, c in np.ndindex(*values.shape[:2]):
            x, y = own[i, c].ravel(), theirs[i, c].ravel()
            correlations[i, c] = _correlation(x, y), _correlation(*map(stats.rankdata, (x, y)))
            similarity[i, c] = gaussian_similarity(
                theirs[i, c], own[i, c], multiples * self.setting.facts.range[c]
            )
        return {
            "times": truth.times,
            "values": np.concatenate([values, correlations], -1),
            "ssim": similarity,
            "minimum": np.minimum(*(p.min((0, 2, 3)) for p in pair)),
            "maximum": np.maximum(*(p.max((0, 2, 3)) for p in pair)),
            "square_map": (error**2).sum(0),
            "error_map": error.sum(0),
            "truth_map": theirs.sum(0),
            "count": np.asarray(float(len(truth))),
        }

    def result(self, state: State) -> xr.Dataset:
        """Scores over (channel, time) with mean and standard deviation, and maps."""
        times, ordered = self.ordered(state)
        mae, square, pearson, spearman = np.moveaxis(ordered["values"], -1, 0)
        span = state["maximum"] - state["minimum"]
        with np.errstate(divide="ignore"):
            psnr = 20 * np.log10(span) - 10 * np.log10(square)
        ssim = self._similarity_at(span, ordered["ssim"])
        scores = dict(zip(NAMES, (mae, np.sqrt(square), pearson, spearman, psnr, ssim)))
        plane = self.plane_dimensions
        dataset = xr.Dataset(coords=self.coordinates("channel", *plane))
        dataset["time"] = self.time_coordinate(times)
        for name, score in scores.items():
            in_units = name in ("dl4ds_mae", "dl4ds_rmse")
            units = self.units() if in_units else {"units": "dB" if name == "dl4ds_psnr" else "1"}
            dataset[name] = (("channel", "time"), score.T, units)
            dataset[f"{name}_mean"] = ("channel", mean_of_present(score, 0), units)
            dataset[f"{name}_std"] = ("channel", score.std(0), units)
        mean = state["truth_map"] / state["count"]
        for name, values in (
            ("dl4ds_normalised_rmse", np.sqrt(state["square_map"] / state["count"])),
            ("dl4ds_normalised_bias", state["error_map"] / state["count"]),
        ):
            percent = (100 * divided(values, mean)).astype(np.float32)
            dataset[name] = (("channel", *plane), percent, {"units": "%"})
        return dataset

    def _log_ranges(self) -> np.ndarray:
        """Dual logarithms of the ranges at which SSIM is taken, over the truth's range.

        Missing values are 0 and enlarge the range, that of temperatures in kelvin eightfold.
        """
        facts = self.setting.facts
        with_zero = np.maximum(facts.maximum, 0) - np.minimum(facts.minimum, 0)
        ratios = divided(with_zero, facts.range)
        further = np.log2(np.nanmax(ratios)) if np.isfinite(ratios).any() else 0
        return np.arange(2 * (OCTAVES + int(np.ceil(further))) + 1) / 2

    def _similarity_at(self, span: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """SSIM (n, C) at a range of each channel; NaN beyond those at which it was taken."""
        values = np.full(similarity.shape[:2], np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            places = np.log2(span / self.setting.facts.range)
        knots = self._log_ranges()
        for c, place in enumerate(places):
            if np.isfinite(place) and place <= knots[-1]:
                spline = interpolate.CubicSpline(knots, similarity[:, c], axis=1)
                values[:, c] = spline(max(place, 0.0))
        return values


def gaussian_similarity(truth: np.ndarray, candidate: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Returns the mean structural similarity of two fields for several dynamic ranges.

    SSIM = (2 μₓμ_y + c₁)(2 σₓ_y + c₂) / ((μₓ² + μ_y² + c₁)(σₓ² + σ_y² + c₂)) with moments weighted
    by a Gaussian of σ = 1.5 over the 11 × 11 points around each, within the field; as
    tf.image.ssim and, by ``gaussian_weights``, scikit-image have it (Wang et al. 2004,
    doi:10.1109/TIP.2003.819861).

    Args:
        truth, candidate: (H, W), no value missing.
        ranges: (k,) dynamic ranges R; c₁ = (0.01 R)², c₂ = (0.03 R)².

    Returns:
        (k,) means over the (H − 10, W − 10) points whose windows lie within the field.
    """
    pad = WINDOW // 2
    inner = (slice(pad, -pad),) * 2

    def local(field: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(field, SIGMA, radius=pad)[inner]

    # Second moments about a common value: exact, and without loss by a large mean.
    centre = truth.mean()
    x, y = candidate - centre, truth - centre
    mean_x, mean_y = local(x), local(y)
    covariance = local(x * y) - mean_x * mean_y
    variances = local(x * x) - mean_x**2 + local(y * y) - mean_y**2
    mean_x, mean_y = mean_x + centre, mean_y + centre
    found = []
    for span in np.asarray(ranges, float):
        c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
        upper = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        lower = (mean_x**2 + mean_y**2 + c1) * (variances + c2)
        found.append(divided(upper, lower).mean())
    return np.array(found)


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    scatter = np.sqrt(np.dot(x, x) * np.dot(y, y))
    return float(np.dot(x, y) / scatter) if scatter > 0 else np.nan
