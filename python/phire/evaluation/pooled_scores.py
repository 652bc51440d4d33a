"""Continuous ranked probability score of fields pooled over squares, by mean or maximum.

scoringrules scores the pooled fields of all members at once; here squares are pooled and scored in
bands of rows that fit a core's cache. ``tests/evaluation/test_pooled_scores.py`` checks the scores
against scoringrules, with squares cut by a plain loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.crps import crps
from phire.evaluation.definitions import CHANNEL, LOWER, Definition
from phire.evaluation.member_fields import BAND_POINTS, MemberFields, member_fields
from phire.evaluation.member_sorting import sorted_members
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

WINDOWS = (1, 2, 4, 8, 16)
"""Sides of the squares in grid points; each must be twice the one before."""

POOLINGS = ("mean", "maximum")

STRIPS = 16
"""Smallest number of strips of rows that are pooled; of twice as many or more, some are skipped."""

VARIABLES = (
    Definition(
        "pooled_crps", "CRPS of pooled fields",
        "CRPS of truth and members pooled over adjacent squares of n × n points, by the "
        "area-weighted mean or by the maximum",
        CHANNEL, LOWER,
        "Gneiting & Raftery (2007), doi:10.1198/016214506000001437, of fields pooled as by Ravuri "
        "et al. (2021), doi:10.1038/s41586-021-03854-z",
    ),
    Definition(
        "pooled_crps_fair", "Fair CRPS of pooled fields",
        "as the CRPS of pooled fields, with the fair CRPS: unbiased in the number of members",
        CHANNEL, LOWER,
        "Ferro (2014), doi:10.1002/qj.2270",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("pooled_crps")
class PooledCRPS(Statistic):
    """CRPS of means and maxima over squares with sides of 1, 2, 4, 8 and 16 points.

    Fields of 512 rows or more are sampled: some of the rows of largest squares are left out.
    Squares are weighted by area. A square is left out if the truth or a member has a missing value
    in it, and so are rows and columns at the edge that fill no square.
    """

    order = 112
    definitions = VARIABLES
    of_truth = False
    ensemble = "all"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.windows = [size for size in WINDOWS if size <= min(self.domain.shape)]
        # Each strip holds one row of the largest squares; below the last, smaller ones may fit.
        height, size = self.domain.shape[0], self.windows[-1]
        strips = [slice(top, top + size) for top in range(0, height, size)]
        self._strips = strips[:: max(1, len(strips) // STRIPS)]

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns sums (C, pooling, window) of weighted scores and of weights."""
        if not isinstance(candidate, Ensemble):
            return {}
        fields = member_fields(self.domain, truth, candidate)
        shape = (fields.observed.shape[1], len(POOLINGS), len(self.windows))
        state = {key: np.zeros(shape) for key in ("plain", "fair", "weight")}
        for key, values in (("plain", fields.summary.crps), ("fair", fields.summary.crps_fair)):
            state[key][..., 0] = self.domain.total(fields.masked(values)).sum(0)[:, None]
        state["weight"][..., 0] = fields.total_weight[:, None]
        for i, c in np.ndindex(*fields.observed.shape[:2]):
            self._add_windows(state, fields, i, c)
        return state

    def _add_windows(self, state: State, fields: MemberFields, i: int, c: int) -> None:
        """Adds the scores of one field for squares of more than one point."""
        observed, members = fields.observed[i, c], fields.members[i, :, c]
        area = np.broadcast_to(self.domain.weights, self.domain.shape).astype(np.float64)
        present = None if fields.mask is None else fields.mask[i, c]
        errors, greatest = self._pairs_of_rows(observed, members)
        observed, area, present = (
            None if values is None else np.concatenate([values[rows] for rows in self._strips])
            for values in (observed, area, present)
        )
        for w in range(1, len(self.windows)):
            if w > 1:
                errors, greatest = _pooled(errors, np.add), _pooled(greatest, np.maximum)
            area, observed = _pooled(area, np.add), _pooled(observed, np.maximum)
            present = None if present is None else _pooled(present, np.logical_and)
            weights = area if present is None else area * present
            inverse = np.divide(1, area, where=area > 0, out=np.zeros_like(area))
            inverse = inverse.astype(errors.dtype)
            for rows in _bands(*area.shape):
                means, gaps = errors[:, rows] * inverse[rows], greatest[:, rows] - observed[rows]
                for p, band in enumerate((means, gaps)):
                    _add(state, p, w, crps(sorted_members(band)), weights[rows], c)

    def _pairs_of_rows(
        self, observed: np.ndarray, members: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns sums of errors times area, and maxima, over the 2 × 2 squares of all strips.

        Args:
            observed: (h, w) values of the truth.
            members: (M, h, w) values of the members.

        Returns:
            Both of shape (M, rows of the strips // 2, w // 2).
        """
        # The error of a mean is the mean of the errors, for which single precision suffices.
        kind = np.result_type(members, np.float32)
        weights = self.domain.weights.astype(kind)
        errors, greatest = [], []
        for rows in self._strips:  # so few rows that all members stay in a core's cache
            strip = np.subtract(members[:, rows], observed[rows], dtype=kind)
            strip *= weights[rows]
            errors.append(_pooled(strip, np.add))
            greatest.append(_pooled(members[:, rows], np.maximum))
        return np.concatenate(errors, axis=1), np.concatenate(greatest, axis=1)

    def result(self, state: State) -> xr.Dataset:
        """Returns ``pooled_crps`` and ``pooled_crps_fair`` over (channel, pooling, window)."""
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["pooling"] = ("pooling", np.array(POOLINGS, dtype=object))
        dataset["window"] = ("window", np.array(self.windows), {"units": "points"})
        dimensions = ("channel", "pooling", "window")
        for name, key in (("pooled_crps", "plain"), ("pooled_crps_fair", "fair")):
            dataset[name] = (dimensions, divided(state[key], state["weight"]), self.units())
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.curve_plots import Panel, channel_plans

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
            "CRPS of fields pooled over squares. The CRPS of maxima measures extremes without "
            "requiring them at the exact grid point. Lower is better.",
        )  # fmt: skip


def _add(
    state: State,
    pooling: int,
    window: int,
    scores: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray,
    channel: int,
) -> None:
    """Adds weighted scores and their weights to the sums of a state.

    Args:
        state: Sums to which is added, in place.
        pooling, window: Indices of the sums.
        scores: Plain and fair scores, each (h, w).
        weights: (h, w) weights of the squares.
        channel: Index of the channel.
    """
    sums = [np.vdot(values, weights) for values in scores]
    for key, value in zip(("plain", "fair", "weight"), (*sums, weights.sum())):
        state[key][channel, pooling, window] += value


def _bands(height: int, width: int) -> list[slice]:
    """Returns slices of rows so short that all members of a band fit in a core's cache."""
    step = max(1, BAND_POINTS // 2 // width)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def _pooled(values: np.ndarray, join: np.ufunc) -> np.ndarray:
    """Reduces each square of 2 × 2 values of (..., h, w); drops an odd last row or column.

    Args:
        values: (..., h, w).
        join: Reduction of two values, such as ``np.add`` or ``np.maximum``.
    """
    rows, columns = (length // 2 * 2 for length in values.shape[-2:])
    down = join(values[..., 0:rows:2, :columns], values[..., 1:rows:2, :columns])
    return join(down[..., 0::2], down[..., 1::2])
