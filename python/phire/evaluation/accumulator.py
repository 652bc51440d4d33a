"""Base class of statistics: accumulators with empty, measure, merge and result.

A statistic's state is a plain dict of arrays, so that it can be sent between processes, kept on
disk and merged without knowing what it means: sums are added, series are joined. The empty state is
the empty dict. ``merge`` is associative and commutative (to round-off), so that chunks of time may
be taken in any grouping.
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
"""Distances of the semivariogram by default, km."""

State = dict[str, np.ndarray]


class Batch:
    """Fields of a chunk, with cached intermediate results such as their transforms.

    Args:
        fields: (n, H, W, C) in physical units; missing values are NaN, infinite ones become NaN.
        times: (n,) places of the fields on the evaluation's time axis.

    Attributes:
        planes: (n, C, H, W) the same; each plane is contiguous.
        times: (n,).
        infinite: (C,) number of values that were infinite.
        present: (n, C, H, W) True where there is a value; None where there is one everywhere.
        given: The same of the source; see :meth:`restrict`.
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
        """Marks values outside some points as missing; call it before anything is computed.

        Args:
            points: (n, C, H, W) True where values stay; all of them have one.
        """
        if self.present is None or np.count_nonzero(self.present) > np.count_nonzero(points):
            self.planes = np.where(points, self.planes, np.nan).astype(self.planes.dtype)
            self.present, self._shared = points, ComputedOnce()

    def __len__(self) -> int:
        return len(self.planes)

    def once(self, key: Any, compute: Callable[[], Value]) -> Value:
        """The value kept under ``key``, computed when it is first asked for.

        Statistics of several candidates, and several statistics of one field, share transforms
        this way, also when they run in several threads.
        """
        return self._shared.once(key, compute)

    def at(self, places: np.ndarray) -> Batch:
        """Returns the batch of some of the fields, which all statistics share."""
        if len(places) == len(self):
            return self
        return self.once(("at", tuple(places)), lambda: self._subset(places))

    def _subset(self, places: np.ndarray) -> Batch:
        return Batch(self.fields[places], self.times[places])

    @property
    def fields(self) -> np.ndarray:
        """(n, H, W, C), a view."""
        return np.moveaxis(self.planes, 1, -1)


def without_infinities(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Values with NaN for infinite ones, and the number of these along an axis of channels.

    An infinite value is no value: one would make means and ranges infinite, and scores NaN or 0.
    """
    infinite = np.isinf(values)
    if not infinite.any():
        return values, np.zeros(values.shape[axis], dtype=np.int64)
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    return np.where(infinite, np.nan, values).astype(values.dtype), infinite.sum(others)


class Ensemble(Batch):
    """Fields with members; as a :class:`Batch` it is the ensemble's mean.

    Args:
        fields: (n, M, H, W, C).
        times: (n,).

    Attributes:
        members: (n, M, C, H, W).
    """

    def __init__(self, fields: np.ndarray, times: np.ndarray) -> None:
        members = np.ascontiguousarray(np.moveaxis(np.asarray(fields), -1, 2))
        mean = members.mean(1)
        finite = np.isfinite(mean)
        infinite = np.zeros(members.shape[2], dtype=np.int64)
        # A finite mean is one of finite members, which need not be looked at then.
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
        """Returns a batch for each member, which are views of :attr:`members`."""
        return self.once("each", lambda: [self._member(m) for m in range(self.members.shape[1])])

    def _member(self, number: int) -> Batch:
        planes = self.members[:, number]
        finite = None if self.present is None else np.isfinite(planes)
        batch = Batch.__new__(Batch)
        none = np.zeros_like(self.infinite)
        batch._hold(planes, none, self.times, None if finite is None or finite.all() else finite)
        return batch


def restrict_to_common_points(batches: Sequence[Batch]) -> None:
    """Marks values as missing in all batches where one of them lacks the value."""
    masks = [batch.present for batch in batches if batch.present is not None]
    if masks:
        common = functools.reduce(np.logical_and, masks)
        for batch in batches:
            batch.restrict(common)


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """Range, moments and climatology of the truth within one domain.

    Attributes:
        minimum, maximum: (C,) over all times and points.
        mean: (C,) area-weighted, over all times.
        variance: (C,) the time mean of the area-weighted variance in space.
        total_variance: (C,) about ``mean``, over time and space.
        sample: (k, C) values drawn evenly by area, for quantiles.
        climatology: (G, C, H, W) means of the truth on the whole grid by group of times (of which
            there may be one), or those of a given climatology; None where no statistic needs it.
        groups: (T,) the group of each time.
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
        """(C,) maximum − minimum."""
        return self.maximum - self.minimum

    def quantiles(self, levels: Any) -> np.ndarray:
        """(k, C) quantiles of the truth's values at ``levels`` (k,)."""
        return quantile_of_present(self.sample, np.asarray(levels), axis=0)


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """Settings of a statistic: domain, channels, times, scale, seed, truth's facts.

    Attributes:
        domain: Where it is taken.
        channels, units: Of the fields.
        time: The times evaluated.
        facts: Of the truth, in this domain.
        scale: How much coarser the coarse grid was; None if not given.
        seed: Of every random draw.
        radius: Of the sphere, m.
        threads: That transforms may use.
        lags: Of the semivariogram, km.
        pairs: Of points for each lag and field.
        directional: Whether semivariograms are taken along the directions too.
        named_wind: The channels that are the eastward and northward wind; else they are looked for.
        standard_names: CF standard names of the channels, empty where not known.
        learned: Callables that the statistics of learned features use, by name.
        thresholds: Of events, in the units of each channel named.
        sites: Latitude and longitude in degrees of named places.
        stations: Observations at stations; None where there are none.
        grouped: Names of the statistics that are taken by groups of times; if empty, the default
            set.
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
        """The whole grid."""
        return self.domain.grid

    @property
    def wind(self) -> WindChannels | None:
        """Channels of the wind, for kinetic energy; None without a wind."""
        return find_wind(self.channels, self.units, self.standard_names, self.named_wind)


class Statistic(abc.ABC):
    """A statistic as an accumulator over time.

    A subclass names itself, measures one batch (:meth:`measure`) and makes the result of a state;
    how states join follows from their keys.

    Args:
        setting: Where and of what it is taken.

    Attributes:
        name: Of the statistic; its file is ``name.nc``.
        series: Keys of the state that are joined along the first axis instead of added; such a
            state must hold ``times``, by which results are ordered.
        extremes: Keys of which the smallest (``minimum…``) or largest (``maximum…``) is kept.
        of_truth: Whether the truth alone has a result.
        ensemble: The way in which members enter: one after another (``each``), as the ensemble's
            mean (``mean``), all members in one :class:`Ensemble` (``together``, for what counts
            each member but is cheaper at once), or the same as candidates without members have no
            result (``all``).
        member_ranges: Variables of the result whose least and greatest over the members stand
            beside them as ``member_NAME_low`` and ``member_NAME_high``; see
            :mod:`phire.evaluation.member_ranges`.
        shared_by_members: Keys that are the same for all members (of sums: but for a factor), and
            are kept once.
        apart_always: Keys that members keep apart even where there are no ranges.
        bulky: Whether a member's state takes megabytes, so that groups of times have no ranges.
        by_default: Whether it is taken where no metrics are named.
        noted_if_refused: Whether the report notes that such fields have no such statistic; not
            where it is meant for few, such as rain.
        stays: Whether it must be taken in the process that was started, for what it calls cannot
            be sent to others.
        title: What its figures over time are called; the name in words if empty.
        order: Place in lists of the statistics; a later one stands behind.
        definitions: Meaning of each variable of the result that people look at.
        summary: Pairs of a scalar variable of the result (with or without channels) and of its
            name in the table of scores.
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
    bulky: ClassVar[bool] = False
    by_default: ClassVar[bool] = True
    noted_if_refused: ClassVar[bool] = True
    stays: ClassVar[bool] = False

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.domain = setting.domain

    @classmethod
    def takes(cls, setting: Setting) -> bool:
        """Returns True if the statistic applies to the domain: the whole grid, or a region."""
        return True

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Reason, as a clause, why the statistic cannot be taken; None if it can."""
        return None

    @classmethod
    def omission(cls, setting: Setting) -> str | None:
        """Returns which part of the result is not available and why, as a clause; else None."""
        return None

    @classmethod
    def summary_of(cls, dataset: xr.Dataset) -> tuple[tuple[str, str], ...]:
        """Returns the pairs of :attr:`summary` for one result, and those of ranges of members."""
        return summary_with_ranges(cls.summary, dataset)

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures that a folder of results gives of the statistic.

        By default each variable over ``time`` is drawn, a panel a variable and a figure a channel
        and region.
        """
        from phire.evaluation.figures.scores import time_series_plans

        return time_series_plans(folder, cls.name, cls.title or cls.name.replace("_", " "))

    def empty(self) -> State:
        """The state of no fields."""
        return {}

    @abc.abstractmethod
    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """The state of one batch of fields.

        Args:
            truth: Fields of the truth.
            candidate: Fields of a candidate at the same times; None to measure the truth itself.
        """

    def measure_members(self, truth: Batch, ensemble: Ensemble) -> list[State]:
        """Returns the state of each member, where ``ensemble`` is ``mean`` and there are ranges.

        A statistic overrides it where all members together cost less than one after another; what
        a member's state lacks is that of the ensemble's mean.
        """
        states = [self.measure(truth, member) for member in ensemble.each()]
        return [
            {key: value for key, value in state.items() if key not in self.shared_by_members}
            for state in states
        ]

    def described(self, state: State) -> xr.Dataset:
        """The result with ranges of members, and each channel's units as ``channel_units``."""
        dataset = result_with_ranges(self, state)
        if "channel" in dataset.dims:
            units = np.array(self.setting.units, dtype=object)
            dataset["channel_units"] = ("channel", units)
        return dataset

    @abc.abstractmethod
    def result(self, state: State) -> xr.Dataset:
        """The statistic of all fields that went into a state."""

    def update(self, state: State, truth: Batch, candidate: Batch | None = None) -> State:
        """The state with a batch added; the state given may be changed in place."""
        return self.join(state, self.measure(truth, candidate), in_place=True)

    def merge(self, first: State, second: State) -> State:
        """The state of the fields of both; both are left as they are."""
        return self.join(first, second, in_place=False)

    def merge_members(self, states: Sequence[State]) -> State:
        """The state of an ensemble, from those of its members."""
        return functools.reduce(self.merge, states, {})

    def join(self, first: State, second: State, in_place: bool) -> State:
        """Returns the state of the fields of both; ``in_place``, the first may be changed."""
        if not first or not second:
            return dict(first or second)
        joined = {}
        for key, value in second.items():
            own, kind = first[key], key.rpartition("/")[2]  # of MEMBER/KEY
            if kind in self.series:
                joined[key] = np.concatenate([own, value])
            elif kind in self.extremes:
                pick = np.fmin if kind.startswith("minimum") else np.fmax
                joined[key] = pick(own, value)
            elif in_place and isinstance(own, np.ndarray) and own.ndim:
                joined[key] = np.add(own, value, out=own)
            else:
                joined[key] = own + value
        return joined

    # What most results share

    def coordinates(self, *names: str) -> dict[str, Any]:
        """Coordinates by name: ``channel``, and those of the grid where it has any."""
        grid = self.domain.window_grid
        made = {
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
            made = {"channel": made["channel"]}
            if "y" in names:
                return {"channel": made["channel"], **projected_coordinates(grid)}
        return {name: made[name] for name in names if name in made}

    @property
    def plane_dimensions(self) -> tuple[str, str]:
        """The names of the grid's dimensions."""
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
        """The coordinate ``time`` of some of the times."""
        return "time", self.setting.time[times].to_coordinate()

    def ordered(self, state: State) -> tuple[np.ndarray, State]:
        """Times of a state with series, ascending, and its series in that order.

        Values of one time that came more than once (members) are averaged.
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
    """Coordinates of maps on a projected grid: ``y``, ``x`` in km, and the points' degrees.

    Of a rotated grid ``y`` and ``x`` are degrees. The projection is their attribute ``crs_wkt``.
    """
    made: dict[str, Any] = {}
    for name, (dimensions, values, attributes) in grid_coordinates(grid).items():
        if name in ("y", "x"):
            if attributes["units"] == "m":
                values, attributes = values / 1e3, {**attributes, "units": "km"}
            if grid.projection:
                attributes = {**attributes, "crs_wkt": grid.projection}
        elif values.ndim == 0:
            continue
        made[name] = (dimensions, values, attributes)
    return made
