"""Merging of channels from files with different grids or times into one source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phire.errors import InputError
from phire.fields.collection import CollectedSource, FileMetadata
from phire.fields.common_times import no_common_times
from phire.fields.longitudes import TurnedSource, shared_columns
from phire.fields.selection import ChannelSelection
from phire.fields.source import Source, Times, close, indices, wind_directions
from phire.fields.time_axis import TimeAxis


def collect_groups(
    parts: Sequence[FileMetadata], channels: Sequence[str] | None = None
) -> list[CollectedSource]:
    """Groups the channels of files by grid and times.

    Args:
        parts: The files.
        channels: Channels to read; by default all, in the order of the files.

    Returns:
        One source for each group of channels with the same grid and the same times.

    Raises:
        InputError: The files of one channel differ in grid, units or calendar, or no file has a
            channel.
    """
    found = list(dict.fromkeys(name for part in parts for name in part.channels))
    groups: list[tuple[CollectedSource, list[str]]] = []
    for channel in channels or found:
        holders = [part for part in parts if channel in part.channels]
        if not holders:
            raise InputError(f"no file has the variable {channel!r}; there are {', '.join(found)}.")
        for part in holders[1:]:
            if shared_columns(part.grid, holders[0].grid) is None:
                raise InputError(
                    f"{channel} is on two grids, in {holders[0].name} on a "
                    f"{holders[0].grid.describe()}, in {part.name} on {part.grid.in_words()}: "
                    f"give the channels different names, FILE:NEW={channel}."
                )
        collected = CollectedSource(holders, [channel])
        for source, names in groups:
            same_grid = shared_columns(collected.grid, source.grid) is not None
            if source.time == collected.time and same_grid:
                names.append(channel)
                break
        else:
            groups.append((collected, [channel]))
    return [
        CollectedSource([p for p in parts if set(names) & set(p.channels)], names)
        for _, names in groups
    ]


class MergedSource:
    """Source of the channels of several sources, at the times that all of them have.

    Args:
        sources: The sources, which this one closes.
        names: Names of the sources in messages.

    Raises:
        InputError: Grids or calendars differ, a source has a time twice, or the sources have no
            common time.
    """

    def __init__(self, sources: Sequence[Source], names: Sequence[str]) -> None:
        first = sources[0]
        sources = [
            s if s.grid.equals(first.grid) or shared_columns(s.grid, first.grid) is None
            else TurnedSource(s, first.grid)
            for s in sources
        ]  # fmt: skip
        for source, name in zip(sources[1:], names[1:]):
            if not source.grid.equals(first.grid):
                raise InputError(
                    f"{names[0]} is on {first.grid.in_words()}, but {name} on a "
                    f"{source.grid.describe()}: name the grid to regrid both to, with --like FILE "
                    "or --grid SPEC."
                )
            if not source.time.shares_calendar(first.time):
                raise InputError(
                    f"{names[0]} and {name} have different calendars ({first.time.calendar}; "
                    f"{source.time.calendar}), so their times cannot be matched: convert them "
                    "separately."
                )
        self.sources, self.names = list(sources), list(names)
        self.grid = first.grid
        self.channels = tuple(channel for source in sources for channel in source.channels)
        self.units = tuple(unit for source in sources for unit in source.units)
        self.wind_directions = tuple(d for source in sources for d in wind_directions(source))
        self.time, self._times = _common_times(sources, names)
        self.time_chunk = max(getattr(source, "time_chunk", 1) for source in sources)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        chosen = indices(times, len(self.time))
        fields = np.empty((len(chosen), *self.grid.shape, len(self.channels)), np.float32)
        start = 0
        for source, places in zip(self.sources, self._times):
            stop = start + len(source.channels)
            fields[..., start:stop] = source.read(places[chosen])
            start = stop
        return fields

    def notes(self) -> list[str]:
        """Returns one clause for each source with times that another source lacks."""
        lines = []
        for source, name, places in zip(self.sources, self.names, self._times):
            rest = np.setdiff1d(np.arange(len(source.time)), places)
            if len(rest):
                ends = dict.fromkeys(source.time.format(int(i)) for i in rest[[0, -1]])
                lines.append(
                    f"{len(rest)} of {len(source.time)} times of {name} are left out because "
                    f"another source lacks them ({' … '.join(ends)})"
                )
        return lines

    def close(self) -> None:
        """Closes the sources."""
        for source in self.sources:
            close(source)


def _common_times(
    sources: Sequence[Source], names: Sequence[str]
) -> tuple[TimeAxis, list[np.ndarray]]:
    """Returns the times that all sources have, and their indices in each source.

    Raises:
        InputError: A source has a time twice, or the sources have no common time.
    """
    if len(sources) == 1:
        order = np.argsort(sources[0].time.values, kind="stable")
        return sources[0].time[order], [order]
    time = sources[0].time[np.argsort(sources[0].time.values, kind="stable")]
    for source, name in zip(sources, names):
        source.time.require_unique(name)
        time = time[source.time.find(time) >= 0]
    if not len(time):
        raise InputError(no_common_times({n: s.time for n, s in zip(names, sources)}))
    return time, [source.time.find(time) for source in sources]


def in_order(source: Source, channels: Sequence[str]) -> Source:
    """Returns a source with its channels in a given order."""
    return source if source.channels == tuple(channels) else ChannelSelection(source, channels)
