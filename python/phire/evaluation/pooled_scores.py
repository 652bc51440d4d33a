"""Continuous ranked probability score of means and maxima over squares of points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Ensemble, Setting, State, Statistic
from phire.evaluation.definitions import CHANNEL, LOWER, Definition
from phire.evaluation.member_fields import MemberFields, crps, member_fields
from phire.evaluation.registry import statistic
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.plan import Plan
    from phire.evaluation.figures.reading import ResultsFolder

WINDOWS = (1, 2, 4, 8, 16)
POOLINGS = ("mean", "maximum")

VARIABLES = (
    Definition(
        "pooled_crps", "CRPS of pooled fields",
        "CRPS of the area-weighted means, and of the maxima, of truth and members over squares of "
        "n × n points side by side",
        CHANNEL, LOWER,
        "Gneiting & Raftery (2007), doi:10.1198/016214506000001437, of fields pooled as by Ravuri "
        "et al. (2021), doi:10.1038/s41586-021-03854-z",
    ),
    Definition(
        "pooled_crps_fair", "Fair CRPS of pooled fields",
        "the same, as estimated for an ensemble of infinitely many members", CHANNEL, LOWER,
        "Ferro (2014), doi:10.1002/qj.2270",
    ),
)  # fmt: skip
"""Variables of the result that people look at."""


@statistic("pooled_crps")
class PooledCRPS(Statistic):
    """CRPS of means and maxima over squares of 1, 2, 4, 8 and 16 points a side.

    A square counts where the truth and all members have all its values; rows and columns that fill
    no square are left out. Squares are weighted by area.
    """

    order = 112
    definitions = VARIABLES
    of_truth = False
    ensemble = "all"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.windows = [size for size in WINDOWS if size <= min(self.domain.shape)]

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Sums of weighted scores and of weights: (C, pooling, window)."""
        if not isinstance(candidate, Ensemble):
            return {}
        fields = member_fields(self.domain, truth, candidate)
        shape = (fields.observed.shape[1], len(POOLINGS), len(self.windows))
        state = {key: np.zeros(shape) for key in ("plain", "fair", "weight")}
        for w, size in enumerate(self.windows):
            weights = _blocks(fields.weights.astype(np.float64), size).sum((-3, -1))
            if fields.mask is not None:
                weights = weights * _blocks(fields.mask, size).all((-3, -1))
            scores = None
            for p, (observed, members) in enumerate(self._pooled(fields, size)):
                if scores is None or size > 1:  # the maximum of one point is its mean
                    scores = crps(observed, members)
                for key, values in zip(("plain", "fair"), scores):
                    state[key][:, p, w] = (values * weights).sum((0, 2, 3))
                state["weight"][:, p, w] = weights.sum((0, 2, 3))
        return state

    def _pooled(self, fields: MemberFields, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Means and maxima over squares: of the truth, and of the members in ascending order."""
        if size == 1:
            return [(fields.observed, fields.ordered)] * 2
        weights = np.broadcast_to(self.domain.weights, self.domain.shape)
        area = _blocks(weights, size).sum((-3, -1))

        def mean(values: np.ndarray) -> np.ndarray:
            sums = _blocks(np.multiply(values, weights, dtype=np.float64), size).sum((-3, -1))
            return np.nan_to_num(divided(sums, area))

        def maximum(values: np.ndarray) -> np.ndarray:
            return _blocks(values, size).max((-3, -1))

        return [
            (pool(fields.observed), np.sort(pool(fields.members), axis=1))
            for pool in (mean, maximum)
        ]

    def result(self, state: State) -> xr.Dataset:
        """``pooled_crps`` and ``pooled_crps_fair`` over (channel, pooling, window)."""
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["pooling"] = ("pooling", np.array(POOLINGS, dtype=object))
        dataset["window"] = ("window", np.array(self.windows), {"units": "points"})
        dimensions = ("channel", "pooling", "window")
        for name, key in (("pooled_crps", "plain"), ("pooled_crps_fair", "fair")):
            dataset[name] = (dimensions, divided(state[key], state["weight"]), self.units())
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures that a folder of results gives; see :class:`Statistic`."""
        from phire.evaluation.figures.curves import Panel, channel_plans

        panels = [
            Panel(
                f"{pooling.capitalize()} over a square",
                "pooled_crps_fair",
                "window",
                "Side of the square (points)",
                "Fair CRPS",
                {"pooling": pooling},
                logarithmic="x",
            )
            for pooling in POOLINGS
        ]
        yield from channel_plans(
            folder, cls.name, panels, "ensembles", "CRPS of pooled fields",
            "The score of means and of maxima over squares: that of maxima judges extremes whose "
            "place is not known to the point. Lower is better.",
        )  # fmt: skip


def _blocks(values: np.ndarray, size: int) -> np.ndarray:
    """Values (..., h, w) as (..., h // size, size, w // size, size)."""
    rows, columns = (length // size for length in values.shape[-2:])
    cut = values[..., : rows * size, : columns * size]
    return cut.reshape(*values.shape[:-2], rows, size, columns, size)
