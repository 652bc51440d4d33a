"""CRPS, spread and rank histogram of ensembles, and the error of their mean.

Libraries sort the members again for each score; here all scores use one sorted copy, in bands of
rows. ``tests/evaluation/test_spread_and_skill.py`` checks the CRPS against scoringrules, spread and
error against NumPy and the rank histogram against the package ``scores``;
``test_independent_implementations.py`` checks CRPS and ranks against xskillscore.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import CHANNEL, LOWER, ONE, Definition
from phire.evaluation.histograms import sums_in_few_bins
from phire.evaluation.member_fields import MemberSummary, member_fields
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.rank_histograms import weights_of_ranks
from phire.evaluation.registry import statistic
from phire.evaluation.running_mean import smoothed, smoothing_window
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

SPREAD_BINS = 20
"""Number of bins of the spread, by which the error is averaged."""

NAMES = ("crps", "crps_fair", "spread", "error")


VARIABLES = (
    Definition(
        "crps", "Continuous ranked probability score",
        "∫ (F(v) − 1[v ≥ y])² dv = E|X − y| − ½ E|X − X′|, F the distribution function of the "
        "members, X and X′ members", CHANNEL, LOWER,
        "Hersbach (2000), doi:10.1175/1520-0434(2000)015<0559:DOTCRP>2.0.CO;2",
    ),
    Definition(
        "crps_fair", "Fair continuous ranked probability score",
        "E|X − y| − ½ E|X − X′|, X and X′ different members: unbiased in the number of members",
        CHANNEL, LOWER, "Ferro (2014), doi:10.1002/qj.2270",
    ),
    Definition(
        "spread", "Spread", "√⟨w s²⟩, s² the variance of the members with the divisor M − 1",
        CHANNEL,
    ),
    Definition("error", "Error of the ensemble mean", "√⟨w (x̄ − y)²⟩, x̄ the mean of the members",
               CHANNEL, LOWER),
    Definition(
        "spread_skill_ratio", "Spread–skill ratio",
        "√((M + 1)/M) · spread / error of the ensemble mean", "1", ONE,
        "Fortin et al. (2014), doi:10.1175/JHM-D-14-0008.1",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("ensemble", function="ensemble_scores")
class EnsembleScores(Statistic):
    """CRPS, spread, error of the ensemble mean and rank histogram, weighted by area.

    - ``crps`` is E|X − y| − ½ E|X − X′|, X and X′ being drawn from all members; in the fair score
      ``crps_fair`` they are different members (Ferro 2014, doi:10.1002/qj.2270).
    - ``spread`` is the root of the mean variance of the members (with the divisor M − 1), ``error``
      the RMSE of the ensemble mean.
    - ``spread_skill_ratio`` is √((M + 1)/M) · spread / error, which is 1 for a reliable ensemble
      (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1).

    Points that are missing in the truth or a member are left out.
    """

    order = 110
    title = "Ensemble scores"
    definitions = VARIABLES
    summary = (
        ("crps_mean", "crps"),
        ("crps_fair_mean", "crps_fair"),
        ("spread_skill_ratio", "spread_skill_ratio"),
    )
    series = ("times", "means")
    of_truth = False
    ensemble = "all"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._std = np.sqrt(setting.truth_moments.total_variance)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns means by time, weights by rank, and sums by spread.

        "means" (n, C, 4) holds the means of CRPS, fair CRPS, variance and squared
        error of the ensemble mean.
        """
        if not isinstance(candidate, Ensemble):
            return {}
        fields = member_fields(self.domain, truth, candidate)
        summary, weights = fields.summary, fields.weights
        means = [
            fields.mean(summary.crps),
            fields.mean(summary.crps_fair),
            fields.mean(summary.variance),
            self.domain.mean_product(summary.error, summary.error, fields.mask),
        ]
        return {
            "times": truth.times,
            "means": np.stack(means, -1),
            "size": np.asarray(float(fields.size)),
            "batches": np.asarray(1.0),
            "rank": weights_of_ranks(summary, fields.size, weights),
        } | self._by_spread(summary, weights)

    def _by_spread(self, summary: MemberSummary, weights: np.ndarray) -> State:
        """Returns sums of weights, variances and squared errors by bins of spread.

        The bins are logarithmic, from 0.001 to 10 standard deviations of the truth; the outer two
        hold smaller and larger spreads.
        """
        shape = (weights.shape[1], SPREAD_BINS)
        state = {key: np.zeros(shape) for key in ("spread_weight", "spread_sum", "error_sum")}
        first, last = np.log(1e-3), np.log(10)
        for c in range(shape[0]):
            variance, error = summary.variance[:, c], summary.error[:, c]
            with np.errstate(divide="ignore", invalid="ignore"):
                size = np.log(variance) / 2 - np.log(self._std[c]) - first
            place = np.ceil(size * ((SPREAD_BINS - 2) / (last - first)))
            # The spread relative to a constant truth is NaN where it is 0.
            place = np.minimum(np.fmax(place, 0), SPREAD_BINS - 1).astype(np.intp).ravel()
            for key, values in (
                ("spread_weight", weights[:, c]),
                ("spread_sum", weights[:, c] * variance),
                ("error_sum", weights[:, c] * error**2),
            ):
                state[key][c] = sums_in_few_bins(place, values.ravel(), SPREAD_BINS)
        return state

    def result(self, state: State) -> xr.Dataset:
        """Returns scores over (channel, time), their means, rank histogram and spread bins."""
        times, ordered = self.ordered(state)
        size = round(float(state["size"] / state["batches"]))
        crps, fair, variance, square = np.moveaxis(ordered["means"], -1, 0)
        values = {
            "crps": crps,
            "crps_fair": fair,
            "spread": np.sqrt(variance),
            "error": np.sqrt(square),
        }
        together = {
            "crps": mean_of_present(crps, 0),
            "crps_fair": mean_of_present(fair, 0),
            "spread": np.sqrt(mean_of_present(variance, 0)),
            "error": np.sqrt(mean_of_present(square, 0)),
        }
        dataset = xr.Dataset(coords=self.coordinates("channel"), attrs={"members": size})
        dataset["time"] = self.time_coordinate(times)
        units = self.units()
        for name in NAMES:
            dataset[name] = (("channel", "time"), values[name].T, units)
            smooth = smoothed(values[name], smoothing_window(len(times)))
            dataset[f"{name}_smoothed"] = (("channel", "time"), smooth.T, units)
            dataset[f"{name}_mean"] = ("channel", together[name], units)
        ratio = np.sqrt((size + 1) / size) * divided(together["spread"], together["error"])
        dataset["spread_skill_ratio"] = ("channel", ratio, {"units": "1"})
        ranks = state["rank"] / state["rank"].sum(-1, keepdims=True)
        dataset["rank_histogram"] = (("channel", "rank"), ranks, {"units": "1"})
        weight = state["spread_weight"]
        for name, key in (("binned_spread", "spread_sum"), ("binned_error", "error_sum")):
            value = np.sqrt(divided(state[key], weight))
            dataset[name] = (("channel", "spread_bin"), value, units)
        dataset["binned_weight"] = (
            ("channel", "spread_bin"),
            weight / weight.sum(-1, keepdims=True),
        )
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.ensemble_plots import ensemble_figure
        from phire.evaluation.figures.figure_plan import plans_by_channel
        from phire.evaluation.figures.score_plots import time_series_plans

        yield from time_series_plans(folder, cls.name, cls.title)
        yield from plans_by_channel(
            folder,
            cls.name,
            ensemble_figure,
            group="ensembles",
            title="Spread and ranks of ensembles of {channel}",
            caption="Left: error of the ensemble mean by spread; on the diagonal both are equal. "
            "Right: a flat histogram means that the ensemble is calibrated, a U shape that its "
            "spread is too small.",
            variable="rank_histogram",
        )
