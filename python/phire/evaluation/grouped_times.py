"""Scores by groups of times: by hour of the day, by month, by season.

xarray groups arrays of all times; here each group has a state of each statistic, which is merged
over chunks. ``tests/evaluation/test_grouped_times.py`` checks the scores against those of each
group's times alone.
"""

from __future__ import annotations

import abc
import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.chunks import with_candidate
from phire.evaluation.member_ranges import (
    member_bytes,
    result_with_ranges,
    state_of_all,
)
from phire.evaluation.registry import registry, statistic
from phire.evaluation.setting import Setting
from phire.fields.time_axis import MONTHS, SEASONS

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

MEMBER_BYTES = 1 << 27
"""Largest memory of the members' states of one statistic over all groups. If they need more, the
members are merged and there are no ranges."""

WITHOUT_RANGES = "without_member_ranges"
"""Attribute of the result: statistics without ranges because of :data:`MEMBER_BYTES`."""

MERGED = "merged_batches"
"""Key of a state whose members were merged because of :data:`MEMBER_BYTES`: number of batches."""


class GroupedTimes(Statistic):
    """Scores of other statistics, computed for each group of times.

    A subclass assigns each time to a group. The statistics are those named in ``setting.grouped``,
    or else the default set; each has one state for each group.

    Attributes:
        dimension: Name of the dimension of groups in the result.
        members_apart: True if the result has ranges over the members of an ensemble.
    """

    dimension: ClassVar[str]
    members_apart: ClassVar[bool] = True
    of_truth = False
    # An ensemble is passed on with its members: each inner statistic treats them in its own way.
    ensemble = "mean"
    by_default = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.groups, self.labels = self.grouping(setting)
        self.statistics = {one.name: one(setting) for one in grouped_statistics(setting)}
        self.in_main_process = any(one.in_main_process for one in self.statistics.values())
        self._too_large: set[tuple[str, int]] = set()

    @classmethod
    @abc.abstractmethod
    def grouping(cls, setting: Setting) -> tuple[np.ndarray, list[Any]]:
        """Returns the index (T,) of the group of each time, and the labels of the groups."""

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires times with dates in at least two groups."""
        if not setting.time.has_calendar:
            return "the times have no dates"
        if len(np.unique(cls.grouping(setting)[0])) < 2:
            return f"all times are of one {cls.dimension}"
        return None

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns the states of all statistics by group, under the keys GROUP/STATISTIC/KEY."""
        if candidate is None:
            return {}
        state = {}
        groups = self.groups[truth.times]
        for group in np.unique(groups):
            places = np.flatnonzero(groups == group)
            truth_group, candidate_group = truth.at(places), candidate.at(places)
            for name, one in self.statistics.items():
                inner = self._state_with_members(one, truth_group, candidate_group)
                state |= {f"{group}/{name}/{key}": value for key, value in inner.items()}
        return state

    def _state_with_members(self, one: Statistic, truth: Batch, candidate: Batch) -> State:
        """Returns the state of one statistic, with the states of its members if they fit in memory.

        The size of a member's state depends on grid and channels only, so that the choice is the
        same for all batches; see :data:`MEMBER_BYTES`.
        """
        size = candidate.members.shape[1] if isinstance(candidate, Ensemble) else 0
        if not self.members_apart or (one.name, size) in self._too_large:
            state = with_candidate(one, {}, truth, candidate, apart=False)
            return _mark_merged(state) if self.members_apart and size else state
        state = with_candidate(one, {}, truth, candidate)
        if member_bytes(one, state) * len(self.labels) > MEMBER_BYTES:
            self._too_large.add((one.name, size))
            state = state_of_all(one, state, apart=one.apart_always)
            return _mark_merged(state)
        return state

    def without_ranges(self, states: Mapping[tuple[str, str], State]) -> list[str]:
        """Returns the statistics whose members were merged because their states are too large."""
        return sorted({name for (_, name), one in states.items() if MERGED in one})

    def join(self, first: State, second: State, in_place: bool) -> State:
        parts = states_by_group(first), states_by_group(second)
        joined = {}
        for place in dict.fromkeys([*parts[0], *parts[1]]):
            one = self.statistics[place[1]]
            inner = one.join(*(part.get(place, {}) for part in parts), in_place)
            joined |= {"/".join([*place, key]): value for key, value in inner.items()}
        return joined

    def numbers(self, states: Mapping[str, State]) -> dict[str, xr.DataArray]:
        """Returns the scores, by their name in the table, from the state of each statistic."""
        found = {}
        for name, state in states.items():
            if state:
                one = self.statistics[name]
                if self.members_apart:
                    result = result_with_ranges(one, state)
                    pairs = one.summary_of(result)
                else:
                    result, pairs = one.result(state_of_all(one, state)), one.summary
                for variable, number in pairs:
                    if variable in result:
                        value = result[variable].reset_coords(drop=True)
                        # Statistics may use the same dimension (event, size) with other labels.
                        others = set(value.dims) - {"channel"}
                        found[number] = value.rename({d: f"{d}_{name}" for d in others})
        return found

    def result(self, state: State) -> xr.Dataset:
        """Returns each score over the groups, and the number of times of each group."""
        states = states_by_group(state)
        found: dict[str, dict[int, xr.DataArray]] = {}
        for group in range(len(self.labels)):
            of_group = {name: s for (g, name), s in states.items() if int(g) == group}
            for number, value in self.numbers(of_group).items():
                found.setdefault(number, {})[group] = value
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset[self.dimension] = (self.dimension, np.array(self.labels))
        for number, values in found.items():
            some = next(iter(values.values()))
            missing = np.full(some.shape, np.nan)
            parts = [values[g].values if g in values else missing for g in range(len(self.labels))]
            dataset[number] = ((self.dimension, *some.dims), np.stack(parts), some.attrs)
            for name in set(some.dims) - {"channel"}:
                dataset[name] = some[name]
        dataset["times"] = (
            self.dimension, np.bincount(self.groups, minlength=len(self.labels))
        )  # fmt: skip
        merged = self.without_ranges(states) if self.members_apart else []
        if merged:
            dataset.attrs[WITHOUT_RANGES] = ", ".join(merged)
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.figure_plan import Plan, figure_name, in_region
        from phire.evaluation.figures.grouped_score_plots import (
            LEAST_HOURS,
            MOST,
            group_figure,
            numbers_of,
        )
        from phire.evaluation.figures.label_text import readable
        from phire.evaluation.figures.results_reading import values_of

        caption = (
            f"Each score over the times of one {cls.dimension}; shaded: range of the members. The "
            "arrow of each panel shows the better direction."
        )
        for region in folder.regions_of(cls.name):
            data = folder.metric(cls.name, region)
            clock = cls.dimension == "hour" and len(values_of(data, "hour")) >= LEAST_HOURS
            for channel in [*values_of(data, "channel"), None]:
                numbers = numbers_of(data, cls.dimension, channel)
                parts = range(0, len(numbers), MOST)
                of = f" of {readable(channel)}" if channel else ""
                for polar, first in itertools.product((False, True) if clock else (False,), parts):
                    face = " around the clock" if polar else ""
                    part = f" ({first // MOST + 1} of {len(parts)})" if len(parts) > 1 else ""
                    title = f"Scores{of} by {cls.dimension}{face}{in_region(region)}{part}"
                    yield Plan(
                        figure_name(
                            cls.name, "polar" if polar else "", channel or "", region,
                            str(first // MOST + 1) if first else "",
                        ),
                        "groups",
                        title,
                        caption,
                        functools.partial(
                            group_figure, data, dimension=cls.dimension, channel=channel,
                            numbers=numbers[first : first + MOST], styles=folder.styles,
                            title=title, polar=polar,
                        ),
                        channel or "",
                        region,
                        tuple(map(str, values_of(data, cls.dimension))),
                    )  # fmt: skip


def _mark_merged(state: State) -> State:
    """Returns a state with the mark that its members were merged; an empty one stays empty."""
    return {**state, MERGED: 1} if state else state


def states_by_group(state: State) -> dict[tuple[str, str], State]:
    """Splits the state of grouped statistics into states by (group, statistic)."""
    found: dict[tuple[str, str], State] = {}
    for key, value in state.items():
        group, name, inner = key.split("/", 2)
        found.setdefault((group, name), {})[inner] = value
    return found


def grouped_statistics(setting: Setting) -> list[type[Statistic]]:
    """Returns the statistics to compute by group: ``setting.grouped``, or else the default set.

    Statistics without a score in the table, or that do not apply to the setting, are left out.
    """
    named = setting.grouped
    every = [registry.function(name) for name in named or registry.parts()]
    return [
        one
        for one in sorted(every, key=lambda one: (one.order, one.name))
        if one.summary
        and not issubclass(one, GroupedTimes)
        and (named or one.by_default)
        and one.applies_to(setting)
        and one.refusal(setting) is None
    ]


@statistic("by_hour", function="scores_by_hour")
class ByHour(GroupedTimes):
    """Scores by hour of the day, in the time zone of the time axis (as a rule UTC)."""

    order = 201
    dimension = "hour"

    @classmethod
    def grouping(cls, setting: Setting) -> tuple[np.ndarray, list[Any]]:
        """Groups times by the hours of the day that occur."""
        hours, places = np.unique(setting.time.hours(), return_inverse=True)
        return places, [int(hour) for hour in hours]


@statistic("by_month", function="scores_by_month")
class ByMonth(GroupedTimes):
    """Scores by month of the year."""

    order = 202
    dimension = "month"

    @classmethod
    def grouping(cls, setting: Setting) -> tuple[np.ndarray, list[Any]]:
        """Groups times by the months that occur."""
        months, places = np.unique(setting.time.months(), return_inverse=True)
        return places, [MONTHS[month - 1] for month in months]


@statistic("by_season", function="scores_by_season")
class BySeason(GroupedTimes):
    """Scores by season: December–February, March–May, June–August, September–November."""

    order = 203
    dimension = "season"

    @classmethod
    def grouping(cls, setting: Setting) -> tuple[np.ndarray, list[Any]]:
        """Groups times by the seasons that occur."""
        seasons, places = np.unique(setting.time.months() % 12 // 3, return_inverse=True)
        return places, [SEASONS[season] for season in seasons]
