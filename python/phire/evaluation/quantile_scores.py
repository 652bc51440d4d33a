"""Quantile (pinball) scores of the quantiles of an ensemble.

The members are sorted once for all scores of an ensemble.
``tests/evaluation/test_quantile_scores.py`` checks the scores against the library scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import CHANNEL, LOWER, Definition
from phire.evaluation.member_fields import member_fields
from phire.evaluation.nan_statistics import mean_of_present
from phire.evaluation.registry import statistic
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)

VARIABLES = (
    Definition(
        "quantile_score", "Quantile score",
        "⟨w max(τ (y − q), (τ − 1)(y − q))⟩, q the quantile of level τ of the members, linear "
        "between order statistics",
        CHANNEL, LOWER, "Koenker & Bassett (1978), doi:10.2307/1913643",
    ),
    Definition(
        "quantile_coverage", "Share of the truth below a quantile",
        "⟨w 1[y ≤ q]⟩; equal to τ where ensembles are calibrated", "1", "",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("quantile_score")
class QuantileScore(Statistic):
    """Pinball loss of the members' quantiles, and the share of the truth below them."""

    order = 115
    definitions = VARIABLES
    summary = (("quantile_score_mean", "quantile_score"),)
    of_truth = False
    ensemble = "all"

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns sums (C, levels) of weighted losses, and of weights of truths below quantiles."""
        if not isinstance(candidate, Ensemble):
            return {}
        fields = member_fields(self.domain, truth, candidate)
        shape = (fields.observed.shape[1], len(LEVELS))
        state = {"loss": np.zeros(shape), "below": np.zeros(shape)}
        for k, level in enumerate(LEVELS):
            place = level * (fields.size - 1)
            low = int(place)
            high = min(low + 1, fields.size - 1)
            # ``errors`` are members − truth, sorted: their quantile is q − y.
            errors = fields.summary.errors
            error = errors[:, low] + (place - low) * (errors[:, high] - errors[:, low])
            loss = np.maximum(-level * error, (1 - level) * error)
            state["loss"][:, k] = self.domain.total(fields.masked(loss)).sum(0)
            below = self.domain.total_of_points(fields.masked(error >= 0))
            state["below"][:, k] = below.sum(0)
        state["weight"] = fields.total_weight
        return state

    def result(self, state: State) -> xr.Dataset:
        """Returns ``quantile_score`` and ``quantile_coverage`` over (channel, level)."""
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["level"] = ("level", np.array(LEVELS))
        weight = state["weight"][:, None]
        loss = divided(state["loss"], weight)
        dataset["quantile_score"] = (("channel", "level"), loss, self.units())
        dataset["quantile_score_mean"] = ("channel", mean_of_present(loss, 1), self.units())
        below = divided(state["below"], weight)
        dataset["quantile_coverage"] = (("channel", "level"), below, {"units": "1"})
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.curve_plots import Panel, channel_plans

        panels = [
            Panel("Quantile score (↓)", "quantile_score", "level", "Level τ", "Quantile score",
                  from_zero=True),
            Panel("Calibration", "quantile_coverage", "level", "Level τ",
                  "Share of the truth below", reference="diagonal"),
        ]  # fmt: skip
        yield from channel_plans(
            folder, cls.name, panels, "ensembles", "Quantile scores",
            "Left: pinball loss of the members' quantiles. Right: share of the truth below each "
            "quantile; on the diagonal the ensemble is calibrated.",
        )  # fmt: skip
