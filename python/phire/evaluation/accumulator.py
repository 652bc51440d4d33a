"""Base class of statistics: accumulators over time with ``measure``, ``merge`` and ``result``.

The state of a statistic is a dict of arrays, which can be sent between processes, saved, and merged
by its keys only: sums are added, series are concatenated. The state of no fields is the empty dict.
``merge`` is associative and, up to round-off, commutative, so that chunks of times may be measured
in any grouping.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from phire.evaluation.computed_once import ComputedOnce, Value
from phire.evaluation.definitions import Definition
from phire.evaluation.domain import Domain
from phire.evaluation.member_ranges import result_with_ranges, summary_with_ranges
from phire.evaluation.nan_statistics import quantile_of_present
from phire.evaluation.wind import WindChannels, find_wind
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.source import grid_coordinates
from phire.fields.time import TimeAxis
from phire.fields.units import power, shared

if TYPE_CHECKING:
    from phire.evaluation.figures.plan import Plan
    from phire.evaluation.figures.reading import ResultsFolder
    from phire.evaluation.station_observations import StationObservations

LAGS = (25.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1000.0)
"""Default lags of the semivariogram, km."""

State = dict[str, np.ndarray]


class Batch:
    """Fields of some times, with a cache of intermediate results such as transforms.

    Args:
        fields: (n, H, W, C) in physical units; NaN where missing. Infinite values become NaN.
        times: (n,) indices of the fields on the evaluation's time axis.

    Attributes:
        planes: (n, C, H, W) fields; each plane is contiguous in memory.
        times: (n,) indices of the times.
        infinite: (C,) number of values that were infinite.
        present: (n, C, H, W) True where there is a value; None if no value is missing.
        given: ``present`` of the source, before :meth:`restrict`.
    """

    def __init__(self, fields: np.ndarray, times: np.ndarray) -> None:
        planes = np.ascontiguousarray(np.moveaxis(np.asarray(fields), -1, 1))
        finite = np.isfinite(planes)
        if finite.all():
            self._hold(planes, np.zeros(planes.shape[1], dtype=np.int64), times, None)
            return
        planes, infinite = without_infinities(planes, 1)
        self._hold(planes, infinite, times, finite)

    def _hold(
        self,
        planes: np.ndarray,
        infinite: np.ndarray,
        times: np.ndarray,
        present: np.ndarray | None,
    ) -> None:
        """Sets the attributes of a batch whose missing values are known."""
        self.planes, self.infinite = planes, infinite
        self.times = np.asarray(times)
        self._shared = ComputedOnce()
        self.present = self.given = present

    def restrict(self, points: np.ndarray) -> None:
        """Marks values as missing and clears the cache.

        Args:
            points: (n, C, H, W) False where values are marked; where True, there must be a value.
        """
        if self.present is None or np.count_nonzero(self.present) > np.count_nonzero(points):
            self.planes = np.where(points, self.planes, np.nan).astype(self.planes.dtype)
            self.present, self._shared = points, ComputedOnce()

    def __len__(self) -> int:
        return len(self.planes)

    def once(self, key: Any, compute: Callable[[], Value]) -> Value:
        """Returns the value cached under ``key``, computing it if there is none.

        It is used for values, such as transforms, that several statistics or candidates need. It
        is safe in several threads.
        """
        return self._shared.once(key, compute)

    def at(self, places: np.ndarray) -> Batch:
        """Returns the batch of the fields with the indices ``places``; cached."""
        if len(places) == len(self):
            return self
        return self.once(("at", tuple(places)), lambda: self._subset(places))

    def _subset(self, places: np.ndarray) -> Batch:
        return Batch(self.fields[places], self.times[places])

    @property
    def fields(self) -> np.ndarray:
        """Fields (n, H, W, C), a view of :attr:`planes`."""
        return np.moveaxis(self.planes, 1, -1)


def without_infinities(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Replaces infinite values by NaN, since one of them would make means and scores useless.

    Args:
        values: Array of any shape.
        axis: Axis of the channels.

    Returns:
        The values, and the number of infinite ones of each channel (C,).
    """
    infinite = np.isinf(values)
    if not infinite.any():
        return values, np.zeros(values.shape[axis], dtype=np.int64)
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    return np.where(infinite, np.nan, values).astype(values.dtype), infinite.sum(others)


class Ensemble(Batch):
    """Fields of an ensemble; used as a :class:`Batch`, it is the ensemble mean.

    Args:
        fields: (n, M, H, W, C) in physical units, with M members.
        times: (n,) indices of the fields on the evaluation's time axis.

    Attributes:
        members: (n, M, C, H, W) fields of the members.
    """

    def __init__(self, fields: np.ndarray, times: np.ndarray) -> None:
        members = np.ascontiguousarray(np.moveaxis(np.asarray(fields), -1, 2))
        mean = members.mean(1)
        finite = np.isfinite(mean)
        infinite = np.zeros(members.shape[2], dtype=np.int64)
        # If all means are finite, so are all members, which need not be checked then.
        if not finite.all():
            members, infinite = without_infinities(members, 2)
            mean, _ = without_infinities(members.mean(1), 1)
        self._hold(mean, infinite, times, None if finite.all() else finite)
        self.members = members

    def restrict(self, points: np.ndarray) -> None:
        """Restricts the mean and all members; see :meth:`Batch.restrict`."""
        super().restrict(points)
        if not points.all():
            members = np.where(points[:, None], self.members, np.nan)
            self.members = members.astype(self.members.dtype)

    def _subset(self, places: np.ndarray) -> Ensemble:
        return Ensemble(np.moveaxis(self.members[places], 2, -1), self.times[places])

    def each(self) -> list[Batch]:
        """Returns a batch for each member, each a view of :attr:`members`."""
        return self.once("each", lambda: [self._member(m) for m in range(self.members.shape[1])])

    def _member(self, number: int) -> Batch:
        planes = self.members[:, number]
        finite = None if self.present is None else np.isfinite(planes)
        batch = Batch.__new__(Batch)
        none = np.zeros_like(self.infinite)
        batch._hold(planes, none, self.times, None if finite is None or finite.all() else finite)
        return batch


def restrict_to_common_points(batches: Sequence[Batch]) -> None:
    """Marks a value as missing in all batches if one of them lacks it."""
    masks = [batch.present for batch in batches if batch.present is not None]
    if masks:
        common = functools.reduce(np.logical_and, masks)
        for batch in batches:
            batch.restrict(common)


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """Range, moments and climatology of the truth within a domain.

    Attributes:
        minimum, maximum: (C,) extremes over all times and points.
        mean: (C,) area-weighted mean over all times.
        variance: (C,) mean over time of the area-weighted variance in space.
        total_variance: (C,) variance over time and space about ``mean``.
        sample: (k, C) values drawn at random with probabilities proportional to area, from which
            quantiles are computed.
        climatology: (G, C, H, W) climatology on the whole grid, by group of times; without a given
            climatology the time mean of the truth (G = 1). None before it is known.
        groups: (T,) index of the group of each time.
    """

    minimum: np.ndarray
    maximum: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    total_variance: np.ndarray
    sample: np.ndarray
    climatology: np.ndarray | None = None
    groups: np.ndarray | None = None

    @property
    def range(self) -> np.ndarray:
        """Range (C,), maximum − minimum."""
        return self.maximum - self.minimum

    def quantiles(self, levels: Any) -> np.ndarray:
        """Returns the quantiles (k, C) of the truth at ``levels`` (k,)."""
        return quantile_of_present(self.sample, np.asarray(levels), axis=0)


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """Setting of the statistics: domain, channels, times, moments of the truth, and options.

    Attributes:
        domain: Points over which statistics are computed.
        channels, units: Names and units of the channels.
        time: Times of the evaluation.
        facts: Moments of the truth in this domain; None before they are known.
        scale: Factor by which the coarse grid was coarser; None if not given.
        seed: Seed of all random draws.
        radius: Radius of the sphere, m.
        threads: Number of threads of transforms.
        lags: Lags of semivariograms, km.
        pairs: Pairs of points of semivariograms, for each lag and field.
        directional: True if semivariograms are computed by direction as well.
        named_wind: Channels of the eastward and northward wind; None means to detect them.
        standard_names: CF standard names of the channels, empty where unknown.
        learned: Callables ``distance`` and ``features`` of a learned metric, by name.
        thresholds: Thresholds of events by channel, in the channel's units.
        sites: Latitude and longitude of sites in degrees, by name.
        stations: Station observations; None without stations.
        grouped: Names of the statistics computed by groups of times; the default set if empty.
    """

    domain: Domain
    channels: tuple[str, ...]
    units: tuple[str, ...]
    time: TimeAxis
    facts: Facts | None = None
    scale: int | None = None
    seed: int = 0
    radius: float = EARTH_RADIUS
    threads: int = 1
    lags: tuple[float, ...] = LAGS
    pairs: int = 300
    directional: bool = True
    named_wind: tuple[str, str] | None = None
    standard_names: tuple[str, ...] | None = None
    learned: Mapping[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    thresholds: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    sites: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    stations: StationObservations | None = None
    grouped: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """The whole grid, of which the domain is a part."""
        return self.domain.grid

    @property
    def wind(self) -> WindChannels | None:
        """Channels of the wind, for kinetic energy; None if no channels are wind."""
        return find_wind(self.channels, self.units, self.standard_names, self.named_wind)


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
        member_ranges: Variables of the result that have a range over the members, with the least
            ``member_NAME_low`` and the greatest ``member_NAME_high``; see
            :mod:`phire.evaluation.member_ranges`.
        shared_by_members: Keys that are stored once, since they are the same for all members (or,
            if they are sums, differ by a factor).
        apart_always: Keys that are stored for each member even without ranges.
        by_default: True if the statistic is computed when no metrics are named.
        noted_if_refused: True if the report notes that the statistic does not apply; False for
            statistics of special fields, such as rain.
        stays: True if the statistic must be computed in the process that was started, since it
            calls functions that cannot be sent to other processes.
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
    stays: ClassVar[bool] = False

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.domain = setting.domain

    @classmethod
    def takes(cls, setting: Setting) -> bool:
        """Returns True if the statistic applies to the kind of domain: whole grid or region."""
        return True

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Returns the reason why the statistic cannot be computed, as a clause; None if it can."""
        return None

    @classmethod
    def omission(cls, setting: Setting) -> str | None:
        """Returns a clause on a part of the result that is missing, and why; None if complete."""
        return None

    @classmethod
    def summary_of(cls, dataset: xr.Dataset) -> tuple[tuple[str, str], ...]:
        """Returns the pairs of :attr:`summary`, with those of the ranges over members."""
        return summary_with_ranges(cls.summary, dataset)

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the plans of the figures of the statistic.

        By default there is a figure for each channel and region, with a panel for each variable
        over ``time``.
        """
        from phire.evaluation.figures.scores import time_series_plans

        return time_series_plans(folder, cls.name, cls.title or cls.name.replace("_", " "))

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
        """Returns the state of each member, for ranges over members of statistics of the mean.

        A subclass may override it to measure all members at once. Keys that a member's state lacks
        are those of the state of the ensemble mean.
        """
        states = [self.measure(truth, member) for member in ensemble.each()]
        return [
            {key: value for key, value in state.items() if key not in self.shared_by_members}
            for state in states
        ]

    def described(self, state: State) -> xr.Dataset:
        """Returns the result with ranges over members, and the variable ``channel_units``."""
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
            return dict(first or second)
        joined = {}
        for key, value in second.items():
            first_value, kind = first[key], key.rpartition("/")[2]  # of MEMBER/KEY
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
        """Returns coordinates of the given names, as far as the grid has them.

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
        """The attribute ``units``: those that all channels share, empty where they differ."""
        return {"units": shared(self.setting.units)}

    def squared_units(self) -> dict[str, str]:
        """The attribute ``units`` of squares of values."""
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
