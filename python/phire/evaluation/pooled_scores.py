"""Continuous ranked probability score of means and maxima over squares of points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Ensemble, Setting, State, Statistic
from phire.evaluation.definitions import CHANNEL, LOWER, Definition
from phire.evaluation.member_fields import crps, member_fields
from phire.evaluation.registry import statistic
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.plan import Plan
    from phire.evaluation.figures.reading import ResultsFolder

WINDOWS = (1, 2, 4, 8, 16)
"""Points along a side, each twice those before."""

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
        area = np.broadcast_to(self.domain.weights, self.domain.shape).astype(np.float64)
        present = np.broadcast_to(
            True if fields.mask is None else fields.mask, fields.weights.shape
        )
        # Sums of values times areas, and maxima, of truth and members.
        sums = [values * area for values in (fields.observed, fields.members)]
        maxima = [fields.observed, fields.members]
        for w in range(len(self.windows)):
            if w:
                sums, area = [_pooled(values, np.add) for values in sums], _pooled(area, np.add)
                maxima = [_pooled(values, np.maximum) for values in maxima]
                present = _pooled(present, np.logical_and)
            weights = area * present
            means = maxima  # of one point
            if w:
                means = [np.nan_to_num(divided(values, area)) for values in sums]
            scores = None
            for p, (observed, members) in enumerate((means, maxima)):
                if scores is None or w:
                    scores = crps(observed, np.sort(members, axis=1) if w else fields.ordered)
                for key, values in zip(("plain", "fair"), scores):
                    state[key][:, p, w] = (values * weights).sum((0, 2, 3))
                state["weight"][:, p, w] = weights.sum((0, 2, 3))
        return state

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


def _pooled(values: np.ndarray, join: np.ufunc) -> np.ndarray:
    """Joins each two by two of values (..., h, w), without a last row or column that is left."""
    rows, columns = (length // 2 * 2 for length in values.shape[-2:])
    down = join(values[..., 0:rows:2, :columns], values[..., 1:rows:2, :columns])
    return join(down[..., 0::2], down[..., 1::2])
