"""Scores of each member by itself, as a spread over the members."""

from __future__ import annotations

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Ensemble, State, Statistic
from phire.evaluation.definitions import CHANNEL, HIGHER, LOWER, ZERO, Definition
from phire.evaluation.member_fields import member_fields
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.spectral_scores import divided

NAMES = ("member_rmse", "member_mae", "member_bias", "member_correlation")

VARIABLES = (
    Definition(
        "member_rmse", "Root mean square error of members", "√⟨w (xₘ − y)²⟩, the mean, least and "
        "greatest over the members m", CHANNEL, LOWER,
    ),
    Definition(
        "member_mae", "Mean absolute error of members", "⟨w |xₘ − y|⟩, as above", CHANNEL, LOWER,
    ),
    Definition("member_bias", "Bias of members", "⟨w (xₘ − y)⟩, as above", CHANNEL, ZERO),
    Definition(
        "member_correlation", "Correlation of members",
        "of each member with the truth over the points, as above", "1", HIGHER,
    ),
)  # fmt: skip
"""Variables of the result that people look at."""


@statistic("members", function="member_scores_by_time")
class MemberScores(Statistic):
    """RMSE, MAE, bias and correlation of each member: mean, least and greatest over members.

    The scores of an ensemble's mean are in ``scores``; those of members tell how good a single
    realisation is. Means of squares are averaged over times before roots are taken.
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
        """Means by time, channel and member: (n, C, M, 4)."""
        if not isinstance(candidate, Ensemble):
            return {}
        fields = member_fields(self.domain, truth, candidate)
        observed = fields.observed.astype(np.float64)
        observed = fields.masked(observed - fields.mean(observed)[..., None, None])
        variance = self.domain.mean_product(observed, observed, fields.mask)
        means = np.zeros((*observed.shape[:2], fields.size, 4))
        for m in range(fields.size):
            member = fields.members[:, m].astype(np.float64)
            error = fields.masked(member - fields.observed)
            anomaly = fields.masked(member - fields.mean(member)[..., None, None])
            product = self.domain.mean_product(anomaly, observed, fields.mask)
            own = self.domain.mean_product(anomaly, anomaly, fields.mask)
            means[:, :, m] = np.stack(
                [
                    self.domain.mean_product(error, error, fields.mask),
                    self.domain.mean(np.abs(error), fields.mask),
                    self.domain.mean(error, fields.mask),
                    divided(product, np.sqrt(variance * own)),
                ],
                axis=-1,
            )
        return {"times": truth.times, "means": means}

    def result(self, state: State) -> xr.Dataset:
        """Each score over (channel, time), mean, least and greatest, and of all times together."""
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
