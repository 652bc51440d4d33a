"""Scores as DL4DS computes them, where its definitions differ from phire's.

DL4DS's own functions need all fields in memory. ``tests/evaluation/test_dl4ds_scores.py`` checks
the scores against scikit-image, ``scipy.stats`` and NumPy.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy import interpolate, stats

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.definitions import CHANNEL, HIGHER, LOWER, ZERO, Definition
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided
from phire.evaluation.structural_similarity import GAUSSIAN, structural_similarity

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

OCTAVES = 3
"""SSIM is computed for data ranges from 1 to 2³ times the truth's, two in each octave."""

SOURCE = "Gómez González (2022), DL4DS, arXiv:2205.08967: compute_metrics"

VARIABLES = (
    Definition(
        "dl4ds_psnr", "PSNR as in DL4DS", "20 log₁₀ R − 10 log₁₀ mean (x − y)², R the range of "
        "truth and candidate together over all times; all points with equal weight", "dB", HIGHER,
        SOURCE,
    ),
    Definition(
        "dl4ds_ssim", "SSIM as in DL4DS", "mean structural similarity in Gaussian windows of 11 × "
        "11 points, σ = 1.5, with the same R; all points with equal weight", "1", HIGHER, SOURCE,
    ),
    Definition("dl4ds_rmse", "RMSE as in DL4DS", "√ mean (x − y)² of a field, all points with "
               "equal weight; _mean: the mean of the fields' RMSE", CHANNEL, LOWER, SOURCE),
    Definition("dl4ds_mae", "MAE as in DL4DS", "mean |x − y|, all points with equal weight",
               CHANNEL, LOWER, SOURCE),
    Definition("dl4ds_pearson", "Pearson correlation as in DL4DS",
               "of the points of a field, with equal weight", "1", HIGHER, SOURCE),
    Definition("dl4ds_spearman", "Spearman correlation as in DL4DS",
               "of the ranks of the points of a field", "1", HIGHER, SOURCE),
    Definition("dl4ds_rmse_map", "RMSE as in DL4DS", "√⟨(x − y)²⟩ over time at each point", CHANNEL,
               LOWER, SOURCE),
    Definition("dl4ds_pearson_map", "Pearson correlation as in DL4DS",
               "of x and y over time at each point", "1", HIGHER, SOURCE),
    Definition("dl4ds_normalised_rmse", "Normalised RMSE as in DL4DS",
               "100 √⟨(x − y)²⟩ / ⟨y⟩ over time at each point", "%", LOWER, SOURCE),
    Definition("dl4ds_normalised_bias", "Normalised mean bias as in DL4DS",
               "100 ⟨x − y⟩ / ⟨y⟩ over time at each point", "%", ZERO, SOURCE),
)  # fmt: skip
"""Definitions of the variables of the result."""

MAPS = {
    "dl4ds_rmse_map": "RMSE over time at each point; missing values count as 0 in both.",
    "dl4ds_normalised_rmse": "RMSE over time at each point, in percent of the truth's mean.",
    "dl4ds_normalised_bias": "Mean error over time at each point, in percent of the truth's mean.",
    "dl4ds_pearson_map": "Correlation in time of candidate and truth at each point.",
}
"""Captions of the figures of maps, by variable."""

NAMES = ("dl4ds_mae", "dl4ds_rmse", "dl4ds_pearson", "dl4ds_spearman", "dl4ds_psnr", "dl4ds_ssim")


@statistic("dl4ds")
class DL4DSScores(Statistic):
    """PSNR, SSIM, RMSE, MAE and correlations of each field, and maps, by DL4DS's definitions.

    For comparison with scores published with DL4DS: all points have equal weight, and missing
    values are replaced by 0 and count. The normalised maps are in percent of the truth's mean, as
    in DL4DS's documentation; its code divides by 100 times the mean. For an ensemble, the mean is
    scored.

    SSIM needs the range of all data, which is known only after the last time. It is therefore
    computed for several ranges and interpolated, with an error below 10⁻⁴.
    """

    order = 31
    title = "Scores as in DL4DS"
    definitions = VARIABLES
    summary = tuple((f"{name}_mean", name) for name in NAMES)
    series = ("times", "values", "ssim")
    extremes = ("minimum", "maximum")
    of_truth = False
    ensemble = "mean"
    member_ranges = (*NAMES, *(f"{name}_mean" for name in NAMES), *MAPS)
    shared_by_members = ("times", "truth_map", "truth_square_map", "departure_map", "count")
    by_default = False

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires fields no smaller than the window of SSIM."""
        if min(setting.domain.shape) < GAUSSIAN.size:
            return f"the fields are smaller than SSIM's windows ({GAUSSIAN.size} × {GAUSSIAN.size})"
        return None

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns scores (n, C, 4), SSIM (n, C, ranges), extremes (C,), and sums over time."""
        if candidate is None:
            return {}
        pair = [np.nan_to_num(self.domain.cut(b.planes).astype(float)) for b in (truth, candidate)]
        reference, predicted = pair
        error = predicted - reference
        values = np.stack([np.abs(error).mean((-2, -1)), (error**2).mean((-2, -1))], -1)
        multiples = 2 ** self._log_ranges()
        correlations = np.empty(values.shape)
        similarity = np.empty((*values.shape[:2], len(multiples)))
        for i, c in np.ndindex(*values.shape[:2]):
            x, y = predicted[i, c].ravel(), reference[i, c].ravel()
            correlations[i, c] = _correlation(x, y), _correlation(*map(stats.rankdata, (x, y)))
            ranges = multiples * self.setting.truth_moments.range[c]
            found, _ = structural_similarity(
                reference[i, c], predicted[i, c], ranges, window=GAUSSIAN
            )
            similarity[i, c] = found.mean((-2, -1))
        return {
            "times": truth.times,
            "values": np.concatenate([values, correlations], -1),
            "ssim": similarity,
            "minimum": np.minimum(*(p.min((0, 2, 3)) for p in pair)),
            "maximum": np.maximum(*(p.max((0, 2, 3)) for p in pair)),
            **self._maps(reference, predicted),
            "count": np.asarray(float(len(truth))),
        }

    def _maps(self, reference: np.ndarray, predicted: np.ndarray) -> State:
        """Returns sums over time (C, h, w) for the maps.

        They are sums of the error, its square and the truth, and of departures from the truth's
        mean and their products.
        """
        error = predicted - reference
        # Departures from the truth's mean keep the precision of correlations of values far from 0.
        x, y = (
            values - self.setting.truth_moments.mean[:, None, None]
            for values in (predicted, reference)
        )
        products = {"own_square": x * x, "truth_square": y * y, "product": x * y}
        sums = {"square": error**2, "error": error, "truth": reference, "departure": y, **products}
        return {f"{name}_map": values.sum(0) for name, values in sums.items()}

    def result(self, state: State) -> xr.Dataset:
        """Returns scores over (channel, time) with mean and standard deviation, and maps."""
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
        rmse = np.sqrt(state["square_map"] / state["count"]).astype(np.float32)
        dataset["dl4ds_rmse_map"] = (("channel", *plane), rmse, self.units())
        pearson = self._pearson_map(state).astype(np.float32)
        dataset["dl4ds_pearson_map"] = (("channel", *plane), pearson, {"units": "1"})
        mean = state["truth_map"] / state["count"]
        for name, values in (
            ("dl4ds_normalised_rmse", np.sqrt(state["square_map"] / state["count"])),
            ("dl4ds_normalised_bias", state["error_map"] / state["count"]),
        ):
            percent = (100 * divided(values, mean)).astype(np.float32)
            dataset[name] = (("channel", *plane), percent, {"units": "%"})
        return dataset

    def _pearson_map(self, state: State) -> np.ndarray:
        """Returns the correlation in time (C, h, w); NaN where truth or candidate is constant."""
        count, y = state["count"], state["departure_map"] / state["count"]
        x = y + state["error_map"] / count
        covariance = state["product_map"] / count - x * y
        variances = [state[f"{name}_square_map"] / count for name in ("own", "truth")]
        scatter = [np.maximum(v - m * m, 0) for v, m in zip(variances, (x, y))]
        # Where a field is constant in time, its variance is round-off instead of 0.
        varies = np.minimum(*scatter) > 1e-12 * np.maximum(*variances)
        return np.where(varies, divided(covariance, np.sqrt(scatter[0] * scatter[1])), np.nan)

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields scores over time, their distributions over the fields, and maps."""
        from phire.evaluation.figures.figure_plan import plans_by_channel
        from phire.evaluation.figures.map_plots import map_plans, member_map_plans
        from phire.evaluation.figures.score_plots import time_series_plans
        from phire.evaluation.figures.violin_plots import violin_figure

        yield from time_series_plans(folder, cls.name, cls.title)
        yield from plans_by_channel(
            folder, cls.name, functools.partial(violin_figure, variables=NAMES), group="scores",
            name="dl4ds-violins", variable=NAMES[0], title="Scores of {channel} as in DL4DS",
            caption="Distribution of each score over the fields: the width is the frequency, the "
            "line the median; a bar beside a violin is the range over an ensemble's members of "
            "their scores of all fields. The arrow of each panel shows the better direction.",
        )  # fmt: skip
        yield from map_plans(folder, cls.name, MAPS, "{variable}: {channel}, over time")
        yield from member_map_plans(folder, cls.name, tuple(MAPS))

    def _log_ranges(self) -> np.ndarray:
        """Returns log₂ of the data ranges for which SSIM is computed, in units of the truth's.

        Missing values, replaced by 0, enlarge the range: eightfold for temperatures in kelvin.
        """
        truth_moments = self.setting.truth_moments
        with_zero = np.maximum(truth_moments.maximum, 0) - np.minimum(truth_moments.minimum, 0)
        ratios = divided(with_zero, truth_moments.range)
        further = np.log2(np.nanmax(ratios)) if np.isfinite(ratios).any() else 0
        return np.arange(2 * (OCTAVES + int(np.ceil(further))) + 1) / 2

    def _similarity_at(self, span: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """Returns SSIM (n, C) interpolated to each channel's range; NaN beyond the computed ranges.

        Args:
            span: (C,) range of truth and candidate together.
            similarity: (n, C, ranges) SSIM at the ranges of :meth:`_log_ranges`.
        """
        values = np.full(similarity.shape[:2], np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            places = np.log2(span / self.setting.truth_moments.range)
        knots = self._log_ranges()
        for c, place in enumerate(places):
            if np.isfinite(place) and place <= knots[-1]:
                spline = interpolate.CubicSpline(knots, similarity[:, c], axis=1)
                values[:, c] = spline(max(place, 0.0))
        return values


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the Pearson correlation of two vectors; NaN where one is constant."""
    x, y = x - x.mean(), y - y.mean()
    scatter = np.sqrt(np.dot(x, x) * np.dot(y, y))
    return float(np.dot(x, y) / scatter) if scatter > 0 else np.nan
