"""Scores of ensembles: CRPS, spread and error, rank histogram."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Ensemble, Setting, State, Statistic
from phire.evaluation.definitions import CHANNEL, LOWER, ONE, Definition
from phire.evaluation.member_fields import MemberSummary, member_fields
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.running_mean import smoothed, smoothing_window
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.plan import Plan
    from phire.evaluation.figures.reading import ResultsFolder

SPREAD_BINS = 20

NAMES = ("crps", "crps_fair", "spread", "error")


VARIABLES = (
    Definition(
        "crps", "Continuous ranked probability score",
        "∫ (F(v) − 1[v ≥ y])² dv, F the ensemble's distribution function", CHANNEL, LOWER,
        "Hersbach (2000), doi:10.1175/1520-0434(2000)015<0559:DOTCRP>2.0.CO;2",
    ),
    Definition(
        "crps_fair", "Fair continuous ranked probability score",
        "the score of an ensemble of infinitely many members, estimated from those there are",
        CHANNEL, LOWER, "Ferro (2014), doi:10.1002/qj.2270",
    ),
    Definition(
        "spread", "Spread", "root of the mean variance of the members, corrected for their number",
        CHANNEL,
    ),
    Definition("error", "Error of the ensemble mean", "√⟨w (mean − y)²⟩", CHANNEL, LOWER),
    Definition(
        "spread_skill_ratio", "Spread–skill ratio", "spread / error of the ensemble mean", "1", ONE,
        "Fortin et al. (2014), doi:10.1175/JHM-D-14-0008.1",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("ensemble", function="ensemble_scores")
class EnsembleScores(Statistic):
    """CRPS, spread, error of the mean and rank histogram, weighted by area.

    CRPS = E|X − y| − ½ E|X − X′| over the members, X′ a member drawn anew (plain) or another one
    (fair; Ferro 2014, doi:10.1002/qj.2270). ``spread`` is the root of the mean variance of members
    (n − 1), ``error`` the RMSE of their mean, ``spread_skill_ratio`` √((M+1)/M)·spread/error
    (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1): 1 where the members are like the truth.
    Points missing in the truth or a member are left out.
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
        self._std = np.sqrt(setting.facts.total_variance)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Means by time, and weights by rank and by spread."""
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
            "rank": self._ranks(summary, fields.size, weights),
        } | self._by_spread(summary, weights)

    def _ranks(self, summary: MemberSummary, size: int, weights: np.ndarray) -> np.ndarray:
        """(C, M+1) weight of each rank; where members equal the truth it is shared out evenly."""
        total = np.zeros((weights.shape[1], size + 1))
        for c in range(len(total)):
            place = summary.equal[:, c] * np.intp(size + 1) + summary.below[:, c]
            table = np.bincount(place.ravel(), weights[:, c].ravel(), minlength=(size + 1) ** 2)
            for ties, row in enumerate(table.reshape(size + 1, size + 1)):
                for step in range(ties + 1):
                    total[c, step:] += row[: size + 1 - step] / (ties + 1)
        return total

    def _by_spread(self, summary: MemberSummary, weights: np.ndarray) -> State:
        """Sums by bins of spread, from a thousandth of the truth's standard deviation to ten."""
        shape = (weights.shape[1], SPREAD_BINS)
        state = {key: np.zeros(shape) for key in ("spread_weight", "spread_sum", "error_sum")}
        first, last = np.log(1e-3), np.log(10)
        for c in range(shape[0]):
            variance, error = summary.variance[:, c], summary.error[:, c]
            with np.errstate(divide="ignore", invalid="ignore"):
                size = np.log(variance) / 2 - np.log(self._std[c]) - first
            place = np.nan_to_num(np.ceil(size * ((SPREAD_BINS - 2) / (last - first))))
            place = np.clip(place, 0, SPREAD_BINS - 1).astype(np.intp).ravel()
            for key, values in (
                ("spread_weight", weights[:, c]),
                ("spread_sum", weights[:, c] * variance),
                ("error_sum", weights[:, c] * error**2),
            ):
                state[key][c] = np.bincount(place, values.ravel(), minlength=SPREAD_BINS)
        return state

    def result(self, state: State) -> xr.Dataset:
        """Scores by time, and the histograms."""
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
        from phire.evaluation.figures.ensembles import ensemble_figure
        from phire.evaluation.figures.plan import plans_by_channel

        yield from super().figures(folder)
        yield from plans_by_channel(
            folder,
            cls.name,
            ensemble_figure,
            group="ensembles",
            title="Spread and ranks of ensembles of {channel}",
            caption="Left: on the diagonal the spread tells the error. Right: a flat line means "
            "that the truth is like a member; a U means too little spread.",
            variable="rank_histogram",
        )
