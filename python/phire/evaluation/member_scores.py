"""Scores of each member by itself, as a spread over the members."""

from __future__ import annotations

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Ensemble, State, Statistic
from phire.evaluation.definitions import CHANNEL, HIGHER, LOWER, ZERO, Definition
from phire.evaluation.member_fields import BAND_POINTS, member_fields
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
        means = np.zeros((*fields.observed.shape[:2], fields.size, 4))
        weights = np.broadcast_to(self.domain.weights, self.domain.shape)
        for i, c in np.ndindex(*means.shape[:2]):
            present = weights if fields.mask is None else weights * fields.mask[i, c]
            means[i, c] = self._means(fields.observed[i, c], fields.members[i, :, c], present)
        return {"times": truth.times, "means": means}

    def _means(self, observed: np.ndarray, members: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(M, 4) mean square error, mean absolute error, bias and correlation of each member."""
        total = weights.sum()
        centre = np.vdot(observed, weights) / total if total > 0 else np.nan
        sums, spread = np.zeros((len(members), 4)), 0.0
        for rows in self.domain.bands(BAND_POINTS):
            area = weights[rows].ravel()
            truth = (observed[rows] - centre).astype(np.float64).ravel()
            errors = np.subtract(members[:, rows], observed[rows], dtype=np.float64)
            errors = errors.reshape(len(members), -1)
            spread += np.dot(truth * truth, area)
            # One product of matrices for the mean error and its product with the truth.
            sums[:, 2:] += errors @ np.stack([area, area * truth], axis=1)
            sums[:, 1] += np.abs(errors) @ area
            sums[:, 0] += np.square(errors, out=errors) @ area
        with np.errstate(divide="ignore", invalid="ignore"):
            square, absolute, bias, product = sums.T / total
            variance = spread / total
        own = variance + 2 * product + square - bias**2
        correlation = divided(variance + product, np.sqrt(variance * np.maximum(own, 0)))
        return np.stack([square, absolute, bias, correlation], axis=-1)

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
