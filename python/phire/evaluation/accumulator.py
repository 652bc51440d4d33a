"""Base class of statistics: accumulators over time with ``measure``, ``merge`` and ``result``.

The state of a statistic is a dict of arrays, which can be sent between processes, saved, and merged
by its keys only: sums are added, series are concatenated. The state of no fields is the empty dict.
``merge`` is associative and, up to round-off, commutative, so that chunks of times may be measured
in any grouping.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import Definition
from phire.evaluation.member_ranges import result_with_ranges, summary_with_ranges
from phire.evaluation.setting import Setting
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.source import grid_coordinates
from phire.fields.units import power, shared

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder


State = dict[str, np.ndarray]


class Statistic(abc.ABC):
    """Statistic of fields, as an accumulator over time.

    A subclass implements :meth:`measure`, which returns the state of one batch, and :meth:`result`,
    which returns the result of a state. States are merged by their keys; see :meth:`join`.

    Args:
        setting: Domain, channels, times and options.

    Attributes:
        name: Name of the statistic; its file of results is ``name.nc``.
        series: Keys of the state that are concatenated along the first axis, not added. The state
            must then have the key ``times``, by which results are ordered.
        extremes: Keys whose minimum (``minimum…``) or maximum (``maximum…``) is taken, not the sum.
        of_truth: True if there is a result of the truth alone.
        ensemble: Treatment of the members of an ensemble:

            - ``each``: members are measured one after another, as fields of their own;
            - ``mean``: the ensemble mean is measured;
            - ``together``: :meth:`measure` receives the :class:`Ensemble`, which is faster than
              ``each`` for statistics that count every member;
            - ``all``: as ``together``, and candidates without members have no result.
        member_ranges: Variables of the result that have a range over the members, from the minimum
            ``member_NAME_low`` to the maximum ``member_NAME_high``; see
            :mod:`phire.evaluation.member_ranges`.
        shared_by_members: Keys that are stored once, since they are the same for all members (or,
            if they are sums, differ by a factor).
        apart_always: Keys that are stored for each member even without ranges.
        by_default: True if the statistic is computed when no metrics are named.
        noted_if_refused: True if the report notes that the statistic does not apply; False for
            statistics of special fields, such as rain.
        in_main_process: True if the statistic must be computed in the main process, since it calls
            functions that cannot be sent to other processes.
        title: Title of its figures over time; the name in words if empty.
        order: Sorting key of lists of statistics.
        definitions: Definitions of the variables of the result.
        summary: Pairs of a variable of the result, a scalar or over channels, and its name in the
            table of scores.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    order: ClassVar[int] = 1000
    definitions: ClassVar[tuple[Definition, ...]] = ()
    summary: ClassVar[tuple[tuple[str, str], ...]] = ()
    series: ClassVar[tuple[str, ...]] = ()
    extremes: ClassVar[tuple[str, ...]] = ()
    of_truth: ClassVar[bool] = True
    ensemble: ClassVar[str] = "each"
    member_ranges: ClassVar[tuple[str, ...]] = ()
    shared_by_members: ClassVar[tuple[str, ...]] = ()
    apart_always: ClassVar[tuple[str, ...]] = ()
    by_default: ClassVar[bool] = True
    noted_if_refused: ClassVar[bool] = True
    in_main_process: ClassVar[bool] = False

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.domain = setting.domain

    @classmethod
    def applies_to(cls, setting: Setting) -> bool:
        """Returns True if the statistic applies to the kind of domain: whole grid or region."""
        return True

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Returns the reason why the statistic cannot be computed, as a clause; None if it can."""
        return None

    @classmethod
    def omission(cls, setting: Setting) -> str | None:
        """Returns a clause that states a missing part of the result and the reason; else None."""
        return None

    @classmethod
    def summary_of(cls, dataset: xr.Dataset) -> tuple[tuple[str, str], ...]:
        """Returns the pairs of :attr:`summary`, and those of the ranges over members."""
        return summary_with_ranges(cls.summary, dataset)

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan] | None:
        """Yields the plans of the figures of the statistic.

        None means a figure for each channel and region, with a panel for each variable over
        ``time``: :func:`phire.evaluation.figures.score_plots.time_series_plans`.
        """
        return None

    def empty(self) -> State:
        """Returns the state of no fields."""
        return {}

    @abc.abstractmethod
    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns the state of one batch of fields.

        Args:
            truth: Fields of the truth.
            candidate: Fields of a candidate at the same times; None measures the truth.
        """

    def measure_members(self, truth: Batch, ensemble: Ensemble) -> list[State]:
        """Returns the state of each member.

        A subclass may override it to compute shared intermediate values only once. If the ensemble
        mean is measured, too, a member's state may lack keys; they are taken from the mean's state.
        """
        return [self.measure(truth, member) for member in ensemble.each()]

    def described(self, state: State) -> xr.Dataset:
        """Returns the result with ranges over members and the variable ``channel_units`` added."""
        dataset = result_with_ranges(self, state)
        if "channel" in dataset.dims:
            units = np.array(self.setting.units, dtype=object)
            dataset["channel_units"] = ("channel", units)
        return dataset

    @abc.abstractmethod
    def result(self, state: State) -> xr.Dataset:
        """Returns the result of a state."""

    def update(self, state: State, truth: Batch, candidate: Batch | None = None) -> State:
        """Returns a state with a batch added; ``state`` may be changed in place."""
        return self.join(state, self.measure(truth, candidate), in_place=True)

    def merge(self, first: State, second: State) -> State:
        """Returns the state of the fields of both states, without changing these."""
        return self.join(first, second, in_place=False)

    def merge_members(self, states: Sequence[State]) -> State:
        """Returns the state of an ensemble from the states of its members."""
        return functools.reduce(self.merge, states, {})

    def join(self, first: State, second: State, in_place: bool) -> State:
        """Returns the state of the fields of both states.

        Keys of :attr:`series` are concatenated, of :attr:`extremes` the minimum or maximum is
        taken, and all others are added.

        Args:
            first, second: States.
            in_place: If True, arrays of ``first`` may be changed.
        """
        if not first or not second:
            return without_shared_arrays(first or second)
        joined = {}
        for key, value in second.items():
            first_value, kind = first[key], key.rpartition("/")[2]  # KEY of MEMBER/KEY
            if kind in self.series:
                joined[key] = np.concatenate([first_value, value])
            elif kind in self.extremes:
                pick = np.fmin if kind.startswith("minimum") else np.fmax
                joined[key] = pick(first_value, value)
            elif in_place and isinstance(first_value, np.ndarray) and first_value.ndim:
                joined[key] = np.add(first_value, value, out=first_value)
            else:
                joined[key] = first_value + value
        return joined

    def coordinates(self, *names: str) -> dict[str, Any]:
        """Returns those of the named coordinates that the grid has.

        Args:
            names: ``channel`` or names of :attr:`plane_dimensions`.
        """
        grid = self.domain.window_grid
        coordinates = {
            "channel": ("channel", np.array(self.setting.channels, dtype=object)),
            "latitude": (
                "latitude",
                grid.latitudes,
                {"standard_name": "latitude", "units": "degrees_north"},
            ),
            "longitude": (
                "longitude",
                grid.longitudes,
                {"standard_name": "longitude", "units": "degrees_east"},
            ),
        }
        if not grid.has_coordinates:
            coordinates = {"channel": coordinates["channel"]}
            if "y" in names:
                return {**coordinates, **projected_coordinates(grid)}
        return {name: coordinates[name] for name in names if name in coordinates}

    @property
    def plane_dimensions(self) -> tuple[str, str]:
        """Names of the grid's dimensions: latitude, longitude; y, x; or row, column."""
        grid = self.domain.grid
        if grid.has_coordinates:
            return "latitude", "longitude"
        has_axes = isinstance(grid, CurvilinearGrid) and grid.stated_points is None
        return ("y", "x") if has_axes else ("row", "column")

    def units(self) -> dict[str, str]:
        """Returns the attribute ``units``: those of all channels, or empty if they differ."""
        return {"units": shared(self.setting.units)}

    def squared_units(self) -> dict[str, str]:
        """Returns the attribute ``units`` of variables in squared units of the channels."""
        return {"units": power(shared(self.setting.units), 2)}

    def time_coordinate(self, times: np.ndarray) -> tuple[str, np.ndarray]:
        """Returns the coordinate ``time`` of the times with the indices ``times``."""
        return "time", self.setting.time[times].to_coordinate()

    def ordered(self, state: State) -> tuple[np.ndarray, State]:
        """Returns the times of a state in ascending order, and its series in this order.

        Values of a time that occurs several times, as with several members, are averaged.
        """
        times, place = np.unique(state["times"], return_inverse=True)
        counts = np.bincount(place)
        ordered = {}
        for key in self.series:
            if key == "times" or key not in state:
                continue
            values = np.asarray(state[key], dtype=np.float64)
            sums = np.zeros((len(times), *values.shape[1:]))
            np.add.at(sums, place, values)
            ordered[key] = sums / counts.reshape(-1, *(1,) * (values.ndim - 1))
        return times, ordered


def without_shared_arrays(state: State) -> State:
    """Returns a state in which each key has an array of its own.

    Members may share an array, such as the number of times. Sums that are added in place would be
    added to it once for each member.
    """
    found: State = {}
    seen = set()
    for key, value in state.items():
        found[key] = np.copy(value) if id(value) in seen else value
        seen.add(id(value))
    return found


def projected_coordinates(grid: CurvilinearGrid) -> dict[str, Any]:
    """Returns the coordinates of maps on a projected grid.

    They are ``y`` and ``x`` in km (in degrees on a rotated grid), with the projection as the
    attribute ``crs_wkt``, and the latitudes and longitudes of the points.
    """
    coordinates: dict[str, Any] = {}
    for name, (dimensions, values, attributes) in grid_coordinates(grid).items():
        if name in ("y", "x"):
            if attributes["units"] == "m":
                values, attributes = values / 1e3, {**attributes, "units": "km"}
            if grid.projection:
                attributes = {**attributes, "crs_wkt": grid.projection}
        elif values.ndim == 0:
            continue
        coordinates[name] = (dimensions, values, attributes)
    return coordinates
