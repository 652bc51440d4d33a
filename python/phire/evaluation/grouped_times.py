"""Every score by groups of times: by hour of the day, by month, by season."""

from __future__ import annotations

import abc
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import Batch, Setting, State, Statistic
from phire.evaluation.chunks import with_candidate
from phire.evaluation.member_ranges import result_with_ranges, state_of_all
from phire.evaluation.registry import registry, statistic
from phire.fields.time import MONTHS, SEASONS

if TYPE_CHECKING:
    from phire.evaluation.figures.plan import Plan
    from phire.evaluation.figures.reading import ResultsFolder


class GroupedTimes(Statistic):
    """Numbers of the table of scores, of other statistics taken over each group of times.

    A subclass says which group each time belongs to. The statistics are those of the evaluation
    (``setting.grouped``), or all that are taken by default; each keeps a state for each group.

    Attributes:
        dimension: Name of the groups' dimension in the result.
        members_apart: Take ranges over an ensemble's members, too.
    """

    dimension: ClassVar[str]
    members_apart: ClassVar[bool] = True
    of_truth = False
    ensemble = "mean"  # candidates enter as they are; members are handed on to the statistics
    by_default = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.groups, self.labels = self.grouping(setting)
        self.statistics = {one.name: one(setting) for one in grouped_statistics(setting)}
        self.stays = any(one.stays for one in self.statistics.values())

    @classmethod
    @abc.abstractmethod
    def grouping(cls, setting: Setting) -> tuple[np.ndarray, list[Any]]:
        """Returns the place (T,) of each time among the labels of the groups, and the labels."""

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires dates, in at least two groups."""
        if not setting.time.has_calendar:
            return "the times are no dates"
        if len(np.unique(cls.grouping(setting)[0])) < 2:
            return f"all times are of one {cls.dimension}"
        return None

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """States of all statistics over the groups, under keys GROUP/STATISTIC/KEY."""
        if candidate is None:
            return {}
        state = {}
        groups = self.groups[truth.times]
        for group in np.unique(groups):
            places = np.flatnonzero(groups == group)
            theirs, own = truth.at(places), candidate.at(places)
            for name, one in self.statistics.items():
                apart = self.members_apart and not one.bulky
                inner = with_candidate(one, {}, theirs, own, apart=apart)
                state |= {f"{group}/{name}/{key}": value for key, value in inner.items()}
        return state

    def join(self, first: State, second: State, in_place: bool) -> State:
        parts = states_by_group(first), states_by_group(second)
        joined = {}
        for place in dict.fromkeys([*parts[0], *parts[1]]):
            one = self.statistics[place[1]]
            inner = one.join(*(part.get(place, {}) for part in parts), in_place)
            joined |= {"/".join([*place, key]): value for key, value in inner.items()}
        return joined

    def numbers(self, states: Mapping[str, State]) -> dict[str, xr.DataArray]:
        """Returns the numbers of the table, by name, of one state of each statistic."""
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
                        # Statistics have events, sizes … of their own.
                        others = set(value.dims) - {"channel"}
                        found[number] = value.rename({d: f"{d}_{name}" for d in others})
        return found

    def result(self, state: State) -> xr.Dataset:
        """Each number over the groups, and the number of times of each."""
        states = states_by_group(state)
        found: dict[str, dict[int, xr.DataArray]] = {}
        for group in range(len(self.labels)):
            here = {name: s for (g, name), s in states.items() if int(g) == group}
            for number, value in self.numbers(here).items():
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
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures that a folder of results gives; see :class:`Statistic`."""
        from phire.evaluation.figures.groups import LEAST_HOURS, group_figure, numbers_of
        from phire.evaluation.figures.plan import Plan, figure_name, in_region
        from phire.evaluation.figures.reading import values_of
        from phire.evaluation.figures.style import readable

        caption = (
            f"Each number taken over the times of one {cls.dimension}; shaded: the range of the "
            "members. The arrow at each panel says which direction is better."
        )
        for region in folder.regions_of(cls.name):
            data = folder.metric(cls.name, region)
            clock = cls.dimension == "hour" and len(values_of(data, "hour")) >= LEAST_HOURS
            for channel in [*values_of(data, "channel"), None]:
                if not numbers_of(data, cls.dimension, channel):
                    continue
                of = f" of {readable(channel)}" if channel else ""
                for polar in (False, True) if clock else (False,):
                    face = " around the clock" if polar else ""
                    title = f"Scores{of} by {cls.dimension}{face}{in_region(region)}"
                    yield Plan(
                        figure_name(cls.name, "polar" if polar else "", channel or "", region),
                        "groups",
                        title,
                        caption,
                        functools.partial(
                            group_figure, data, dimension=cls.dimension, channel=channel,
                            styles=folder.styles, title=title, polar=polar,
                        ),
                        channel or "",
                        region,
                        tuple(map(str, values_of(data, cls.dimension))),
                    )  # fmt: skip


def states_by_group(state: State) -> dict[tuple[str, str], State]:
    """Returns the states of a grouped state by (group, statistic)."""
    found: dict[tuple[str, str], State] = {}
    for key, value in state.items():
        group, name, inner = key.split("/", 2)
        found.setdefault((group, name), {})[inner] = value
    return found


def grouped_statistics(setting: Setting) -> list[type[Statistic]]:
    """Returns the statistics whose numbers are grouped: those named, or all of the default set."""
    named = setting.grouped
    every = [registry.function(name) for name in named or registry.parts()]
    return [
        one
        for one in sorted(every, key=lambda one: (one.order, one.name))
        if one.summary
        and not issubclass(one, GroupedTimes)
        and (named or one.by_default)
        and one.takes(setting)
        and one.refusal(setting) is None
    ]


@statistic("by_hour", function="scores_by_hour")
class ByHour(GroupedTimes):
    """Numbers of the table by hour of the day (UTC, or that of the time axis)."""

    order = 201
    dimension = "hour"

    @classmethod
    def grouping(cls, setting: Setting) -> tuple[np.ndarray, list[Any]]:
        """The hours that occur."""
        hours, places = np.unique(setting.time.hours(), return_inverse=True)
        return places, [int(hour) for hour in hours]


@statistic("by_month", function="scores_by_month")
class ByMonth(GroupedTimes):
    """Numbers of the table by month of the year."""

    order = 202
    dimension = "month"

    @classmethod
    def grouping(cls, setting: Setting) -> tuple[np.ndarray, list[Any]]:
        """The months that occur."""
        months, places = np.unique(setting.time.months(), return_inverse=True)
        return places, [MONTHS[month - 1] for month in months]


@statistic("by_season", function="scores_by_season")
class BySeason(GroupedTimes):
    """Numbers of the table by season: December–February, March–May, June–August and the rest."""

    order = 203
    dimension = "season"

    @classmethod
    def grouping(cls, setting: Setting) -> tuple[np.ndarray, list[Any]]:
        """The seasons that occur."""
        seasons, places = np.unique(setting.time.months() % 12 // 3, return_inverse=True)
        return places, [SEASONS[season] for season in seasons]
