"""Scores of single members: mean, minimum and maximum over the members."""

from __future__ import annotations

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import CHANNEL, HIGHER, LOWER, ZERO, Definition
from phire.evaluation.member_point_scores import member_moments
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic

NAMES = ("member_rmse", "member_mae", "member_bias", "member_correlation")

VARIABLES = (
    Definition(
        "member_rmse", "Root mean square error of members", "√⟨w (xₘ − y)²⟩, the mean, minimum and "
        "maximum over the members m", CHANNEL, LOWER,
    ),
    Definition(
        "member_mae", "Mean absolute error of members", "⟨w |xₘ − y|⟩, the mean, minimum and "
        "maximum over the members m", CHANNEL, LOWER,
    ),
    Definition(
        "member_bias", "Bias of members", "⟨w (xₘ − y)⟩, the mean, minimum and maximum over the "
        "members m", CHANNEL, ZERO,
    ),
    Definition(
        "member_correlation", "Correlation of members",
        "Pearson correlation of each member with the truth over the points, the mean, minimum and "
        "maximum over the members", "1", HIGHER,
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("members", function="member_scores_by_time")
class MemberScores(Statistic):
    """RMSE, MAE, bias and correlation of each member: mean, minimum and maximum over members.

    The statistic ``scores`` has the scores of the ensemble mean; these are the scores of a single
    realisation. For the RMSE of all times, mean squares are averaged before the root is taken.
    """

    order = 117
    title = "Scores of members"
    definitions = VARIABLES
    summary = tuple(
        (f"{name}_mean{ending}", f"{name}{ending}")
        for name in NAMES
        for ending in ("", "_low", "_high")
    )
    series = ("times", "means")
    of_truth = False
    ensemble = "all"

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns mean square error, MAE, bias and correlation by time, (n, C, M, 4)."""
        if not isinstance(candidate, Ensemble):
            return {}
        moments = member_moments(self.setting, truth, candidate)
        error, absolute, square, mean, mean_square, product, *_ = np.moveaxis(moments, -1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = mean_square - mean**2
            member_variance = mean_square + 2 * product + square - (mean + error) ** 2
            covariance = mean_square + product - mean * (mean + error)
            correlation = covariance / np.sqrt(variance * member_variance)
        means = np.stack([square, absolute, error, correlation], axis=-1)
        return {"times": truth.times, "means": means}

    def result(self, state: State) -> xr.Dataset:
        """Returns each score over (channel, time) and of all times: mean, minimum and maximum."""
        times, ordered = self.ordered(state)
        values = np.moveaxis(ordered["means"], -1, 0)
        together = [mean_of_present(value, 0) for value in values]
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["time"] = self.time_coordinate(times)
        for i, name in enumerate(NAMES):
            root = np.sqrt if name == "member_rmse" else np.asarray
            units = {"units": "1"} if name == "member_correlation" else self.units()
            for ending, pick in (("", np.mean), ("_low", np.min), ("_high", np.max)):
                series = pick(root(values[i]), axis=-1)
                dataset[f"{name}{ending}"] = (("channel", "time"), series.T, units)
                mean = pick(root(together[i]), axis=-1)
                dataset[f"{name}_mean{ending}"] = ("channel", mean, units)
        return dataset
