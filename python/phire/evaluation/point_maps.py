"""Maps of statistics over time at each grid point."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import CHANNEL, LOWER, Definition
from phire.evaluation.member_fields import MemberFields, member_fields
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.registry import statistic
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

OF_TRUTH = ("truth", "truth_square")
OF_PAIR = ("own", "own_square", "product", "absolute")
OF_MEMBERS = ("mean_square",)
"""Keys of the sums over time at each point: of the truth, of candidates, of ensembles only."""


VARIABLES = (
    Definition("mean", "Mean", "mean over the times evaluated", CHANNEL),
    Definition(
        "std", "Standard deviation", "standard deviation over the times evaluated", CHANNEL
    ),
    Definition(
        "mean_rmse", "RMSE of the ensemble mean",
        "√⟨(x̄ − y)²⟩ over the times evaluated, x̄ the mean of the members", CHANNEL, LOWER,
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("maps")
class Maps(Statistic):
    """Maps over time of mean, standard deviation, RMSE, MAE, bias and correlation.

    For an ensemble they are computed over all times and members; ``mean_rmse`` is the RMSE of the
    ensemble mean. The statistic ``member_maps`` has the maps of single members.
    """

    order = 40
    definitions = VARIABLES
    ensemble = "together"

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns sums over time (C, h, w), under the keys :data:`OF_TRUTH`, :data:`OF_PAIR`.

        They are sums of departures from the truth's mean, of their squares and products, and of
        absolute errors.
        """
        return self.update({}, truth, candidate)

    def update(self, state: State, truth: Batch, candidate: Batch | None = None) -> State:
        """Returns a state with a batch added; the arrays of ``state`` are changed in place.

        It works through bands of rows, whose sums fit in the cache.
        """
        domain = self.domain
        mask = joint_mask(domain, truth, candidate or truth)
        reference = domain.cut(truth.planes)
        members = isinstance(candidate, Ensemble)
        fields = member_fields(domain, truth, candidate) if members else None
        predicted = None if candidate is None or members else domain.cut(candidate.planes)
        shape, size = reference.shape[1:], fields.size if members else 1
        names = OF_TRUTH + (() if candidate is None else OF_PAIR) + (OF_MEMBERS if members else ())
        state = dict(state) or {name: np.zeros(shape) for name in names}
        # Where no value is missing, all points of a channel have the same count of times.
        count = np.full((shape[0], 1, 1), float(len(truth)))
        count = size * (count if mask is None else mask.sum(0, dtype=np.float64))
        state["count"] = state["count"] + count if "count" in state else count
        for c, rows in itertools.product(range(shape[0]), domain.bands()):
            sums = [state[name][c, rows] for name in names]
            centre = self.setting.truth_moments.mean[c]
            for i in range(len(reference)):
                place = i, c, rows
                first = _departures(reference[place], centre, None if mask is None else mask[place])
                if members:
                    _add_members(sums, first, fields, place)
                    continue
                sums[0] += first
                if predicted is not None:
                    present = None if mask is None else mask[place]
                    _add_pair(sums, first, _departures(predicted[place], centre, present))
                sums[1] += np.multiply(first, first, out=first)
        return state

    def result(self, state: State) -> xr.Dataset:
        """Returns maps over (channel, latitude, longitude)."""
        count = np.broadcast_to(state["count"], state["truth"].shape)
        prefix = "own" if "own" in state else "truth"
        centre = self.setting.truth_moments.mean[:, None, None]
        mean, std = _moments(state[prefix], state[f"{prefix}_square"], count)
        units = self.units()
        maps = {"mean": (mean + centre, units), "std": (std, units)}
        if prefix == "own":
            other, other_std = _moments(state["truth"], state["truth_square"], count)
            square = state["own_square"] + state["truth_square"] - 2 * state["product"]
            covariance = divided(state["product"], count) - mean * other
            # The correlation with a constant series would be round-off: it is NaN instead.
            varies = _varies(std) & _varies(other_std)
            maps |= {
                "rmse": (np.sqrt(np.maximum(divided(square, count), 0)), units),
                "mae": (divided(state["absolute"], count), units),
                "bias": (mean - other, units),
                "std_difference": (std - other_std, units),
                "correlation": (
                    np.where(varies, divided(covariance, std * other_std), np.nan),
                    {"units": "1", "long_name": "correlation in time"},
                ),
            }
        if "mean_square" in state:
            maps["mean_rmse"] = (np.sqrt(divided(state["mean_square"], count)), units)
        dimensions = ("channel", *self.plane_dimensions)
        dataset = xr.Dataset(coords=self.coordinates(*dimensions))
        outside = np.broadcast_to(self.domain.weights == 0, self.domain.shape)
        for name, (values, attributes) in maps.items():
            values = np.where(outside & ~self._on_pole(), np.nan, values)
            dataset[name] = (dimensions, values.astype(np.float32), attributes)
        dataset["count"] = (dimensions, count.astype(np.int32))
        return dataset

    def _on_pole(self) -> np.ndarray:
        """Returns booleans (h, 1): True for rows on a pole, whose area and weight are 0.

        A weight of 0 elsewhere means that the point is outside the mask.
        """
        if not self.domain.grid.has_coordinates:
            return np.zeros((self.domain.shape[0], 1), dtype=bool)
        return np.abs(self.domain.window_grid.latitudes[:, None]) > 90 - 1e-6

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.catalogue import definition
        from phire.evaluation.figures.figure_plan import Plan, figure_name
        from phire.evaluation.figures.label_text import readable
        from phire.evaluation.figures.map_plots import map_figure
        from phire.evaluation.figures.results_reading import has_values, values_of

        data = folder.metric("maps")
        captions = {
            "mean": "Above: means over time. Below: candidate minus truth, that is the bias.",
            "std": "Above: standard deviations over time. Below: candidate minus truth; blue "
            "means too little variability.",
            "rmse": "RMSE over time at each point; for ensembles, over time and members. All "
            "panels have the same colour range.",
            "mean_rmse": "RMSE of the ensemble mean over time at each point.",
            "correlation": "Correlation in time of candidate and truth at each point.",
        }
        for channel in values_of(data, "channel"):
            for variable, caption in captions.items():
                times = min(int(dataset.attrs.get("times", 2)) for dataset in data.values())
                if not has_values(data, variable, channel) or (variable == "std" and times < 2):
                    continue
                title = f"{definition(variable).title} of {readable(channel)} over time"
                yield Plan(
                    figure_name("map", variable, channel),
                    "maps",
                    title,
                    caption,
                    functools.partial(
                        map_figure, data, variable=variable, channel=channel, title=title
                    ),
                    channel,
                )


def _varies(std: np.ndarray) -> np.ndarray:
    """Returns True where a standard deviation exceeds round-off relative to the largest.

    It is False where the standard deviation is NaN.
    """
    return std > 1e-6 * np.fmax.reduce(std, axis=None)


def _departures(field: np.ndarray, centre: float, present: np.ndarray | None) -> np.ndarray:
    """Returns a field minus a constant in double precision; 0 where the value is missing."""
    departures = np.subtract(field, centre, dtype=np.float64)
    return departures if present is None else np.where(present, departures, 0.0)


def _add_pair(sums: list[np.ndarray], truth: np.ndarray, candidate: np.ndarray) -> None:
    """Adds departures of truth and candidate to the sums of :data:`OF_PAIR`.

    The departures of the candidate are overwritten.
    """
    product = truth * candidate
    sums[2] += candidate
    sums[4] += product
    sums[3] += np.multiply(candidate, candidate, out=product)
    candidate -= truth
    sums[5] += np.abs(candidate, out=candidate)


def _add_members(
    sums: list[np.ndarray], truth: np.ndarray, fields: MemberFields, place: tuple
) -> None:
    """Adds the sums over the members of an ensemble, computed from moments of their errors.

    With the error e of a member and the departure t of the truth, the member's departure is t + e;
    so that Σ (t + e)² = M t² + 2 M t ē + Σ e², and Σ e² = M ē² + (M − 1) var e.
    """
    summary, size = fields.summary, fields.size
    error, square = summary.error[place].astype(np.float64), truth * truth
    errors = size * error**2 + (size - 1) * summary.variance[place]
    sums[0] += size * truth
    sums[1] += size * square
    sums[2] += size * (truth + error)
    sums[3] += size * (square + 2 * truth * error) + errors
    sums[4] += size * (square + truth * error)
    sums[5] += size * summary.absolute[place]
    sums[6] += size * error**2


def _moments(
    total: np.ndarray, square: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation from a sum, a sum of squares and a count."""
    mean = divided(total, count)
    return mean, np.sqrt(np.maximum(divided(square, count) - mean**2, 0))
