"""Collections of files, split by time or variable, read as one source."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from phire.errors import InputError
from phire.fields import units
from phire.fields.grid import Grid
from phire.fields.longitudes import TurnedSource, shared_columns
from phire.fields.selection import read_window
from phire.fields.source import Source, Times, close, indices, wind_directions
from phire.fields.time_axis import UNKNOWN, TimeAxis

OPEN_FILES = 8
"""Largest number of files open at the same time."""


@dataclasses.dataclass(frozen=True, eq=False)
class FileMetadata:
    """Metadata of one file of a collection, and a function that opens the file for reading.

    Attributes:
        name: Path of the file, for messages.
        open: Function that opens the file as a source; picklable.
        channels, units, grid, time: See :class:`phire.fields.source.Source`.
        time_chunk: Number of fields in one compressed chunk.
        standard_names: CF standard names of the channels, empty texts for unknown ones; an empty
            tuple if the source states none.
        interval_starts: (n, C) seconds at which the accumulation of each field begins; None if
            the file does not state them.
        has_levels, has_members, spectral, wind_directions: See
            :class:`phire.fields.grib.GribSource`.
    """

    name: str
    open: Callable[[], Source]
    channels: tuple[str, ...]
    units: tuple[str, ...]
    grid: Grid
    time: TimeAxis
    time_chunk: int = 1
    standard_names: tuple[str, ...] = ()
    interval_starts: np.ndarray | None = None
    has_levels: bool = False
    has_members: bool = False
    spectral: bool = False
    wind_directions: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, opener: Callable[[], Source], source: Source) -> FileMetadata:
        """Returns the metadata of an open source.

        Args:
            name: Path of the file.
            opener: Function that opened the source and opens it again; picklable.
            source: The open source.
        """
        metadata = (source.channels, source.units, source.grid, source.time)
        chunk, standard = getattr(source, "time_chunk", 1), getattr(source, "standard_names", ())
        starts = getattr(source, "interval_starts", None)
        flags = (getattr(source, n, False) for n in ("has_levels", "has_members", "spectral"))
        directions = wind_directions(source)
        return cls(name, opener, *metadata, chunk, standard, starts, *flags, directions)


class CollectedSource:
    """Source of the fields of many files, in the order of time.

    The files may split the times, the channels, or both. They are opened when they are read, at
    most :data:`OPEN_FILES` at the same time. Global grids that differ only in their first
    longitude count as equal; fields are rotated to the grid of the first file.

    Args:
        parts: The files, in any order.
        channels: Channels to read; by default all, in the order of the files.

    Raises:
        InputError: No file has a channel; grids, units or calendars differ between files; or the
            times of two channels differ.
    """

    def __init__(
        self, parts: Sequence[FileMetadata], channels: Sequence[str] | None = None
    ) -> None:
        self.parts = tuple(parts)
        found = list(dict.fromkeys(name for part in parts for name in part.channels))
        for channel in channels or ():
            if channel not in found:
                raise InputError(
                    f"no file has the variable {channel!r}; there are {', '.join(found)}."
                )
        self.channels = tuple(channels or found)
        known = self._units_by_channel()
        self.units = tuple(known[channel] for channel in self.channels)
        self.standard_names = self._of_channels("standard_names")
        self.wind_directions = self._of_channels("wind_directions")
        self.grid = self.parts[0].grid
        self._places: list[np.ndarray] = []
        axes = [self._lay_out(channel) for channel in self.channels]
        self.time = axes[0]
        for channel, axis in zip(self.channels, axes):
            if axis != self.time:
                raise InputError(
                    f"{self.channels[0]} and {channel} have different times "
                    f"({_first_difference(self.time, axis)}): give files with the same times, or "
                    "choose one variable."
                )
        self.time_chunk = max(part.time_chunk for part in self.parts)
        self.opened: collections.OrderedDict[int, Source] = collections.OrderedDict()
        """Open sources by index of their part, least recently read first."""

    def _units_by_channel(self) -> dict[str, str]:
        """Returns the units of all channels of the files.

        Raises:
            InputError: Grids or units differ between files.
        """
        first = self.parts[0]
        known: dict[str, tuple[str, FileMetadata]] = {}
        for part in self.parts:
            if shared_columns(part.grid, first.grid) is None:
                raise InputError(
                    f"{first.name} has {first.grid.in_words()}, but {part.name} has a "
                    f"{part.grid.describe()}: convert files of one grid at a time."
                )
            for channel, unit in zip(part.channels, part.units):
                first_unit, where = known.setdefault(channel, (unit, part))
                difference = units.difference([channel], [unit], [first_unit])
                if difference:
                    raise InputError(
                        f"{part.name} has {difference} as {where.name}: convert them to the same "
                        "units first."
                    )
        return {channel: unit for channel, (unit, _) in known.items()}

    def _of_channels(self, attribute: str) -> tuple[str, ...]:
        """Returns an attribute of the channels that the files state; the last file counts."""
        found = {
            channel: value
            for part in self.parts
            for channel, value in zip(part.channels, getattr(part, attribute))
        }
        return tuple(found.get(channel, "") for channel in self.channels)

    def _lay_out(self, channel: str) -> TimeAxis:
        """Returns the times of a channel, sorted, and stores the file and index of each field."""
        holders = [i for i, part in enumerate(self.parts) if channel in part.channels]
        if len(holders) > 1 and not all(self.parts[i].time.has_calendar for i in holders):
            raise InputError(
                f"{self.parts[holders[0]].name} and {self.parts[holders[1]].name} both have "
                f"{channel}, but no dates that give their order: give one file, or files with "
                "dates."
            )
        first, *others = (self.parts[i] for i in holders)
        for part in others:
            if not part.time.shares_calendar(first.time):
                raise InputError(
                    f"{first.name} and {part.name} have different calendars "
                    f"({first.time.calendar}; {part.time.calendar}): convert them separately."
                )
        axis = TimeAxis.concatenate([self.parts[i].time for i in holders])
        places = np.concatenate(
            [
                np.stack([np.full(len(self.parts[i].time), i), np.arange(len(self.parts[i].time))])
                for i in holders
            ],
            axis=1,
        )
        order = np.argsort(axis.values, kind="stable")
        self._places.append(places[:, order])
        return axis[order]

    @property
    def interval_starts(self) -> np.ndarray:
        """Seconds at which the accumulation of each field begins: (n, C), UNKNOWN if not stated."""
        starts = np.full((len(self.time), len(self.channels)), UNKNOWN)
        for c, (channel, places) in enumerate(zip(self.channels, self._places)):
            for i in np.unique(places[0]):
                part = self.parts[i]
                if part.interval_starts is not None:
                    in_part = places[0] == i
                    part_starts = part.interval_starts[:, part.channels.index(channel)]
                    starts[in_part, c] = part_starts[places[1, in_part]]
        return starts

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        return self.read_window(times, slice(None), slice(None))

    def read_window(self, times: Times, rows: slice, columns: slice) -> np.ndarray:
        """Reads a window of fields.

        Args:
            times: Indices of the times.
            rows, columns: The window.

        Returns:
            (n, h, w, C) float32.
        """
        chosen = indices(times, len(self.time))
        height, width = self.grid.shape
        shape = (len(chosen), len(range(height)[rows]), len(range(width)[columns]))
        fields = np.empty((*shape, len(self.channels)), np.float32)
        wanted: dict[tuple[int, bytes, bytes], list[int]] = {}
        for c, places in enumerate(self._places):
            parts, local = places[:, chosen]
            for i in dict.fromkeys(parts.tolist()):
                # Channels with the same file and the same indices in it are read together.
                positions = np.flatnonzero(parts == i)
                key = (i, positions.tobytes(), local[positions].tobytes())
                wanted.setdefault(key, []).append(c)
        for (i, positions, local), group in wanted.items():
            read = read_window(self._source(i), np.frombuffer(local, np.int64), rows, columns)
            order = [self.parts[i].channels.index(self.channels[c]) for c in group]
            if len(wanted) == 1:  # a single file has all fields: no copy into ``fields``
                return read if order == list(range(read.shape[-1])) else read[..., order]
            time_indices = np.frombuffer(positions, np.int64)
            fields[np.ix_(time_indices, *map(range, shape[1:]), group)] = read[..., order]
        return fields

    def _source(self, i: int) -> Source:
        """Returns the source of a part, opened if necessary, and closes the least recent ones."""
        if i not in self.opened:
            while len(self.opened) >= max(OPEN_FILES, len(self.channels)):
                close(self.opened.popitem(last=False)[1])
            source = self.parts[i].open()
            if not source.grid.equals(self.grid):
                source = TurnedSource(source, self.grid)
            self.opened[i] = source
        self.opened.move_to_end(i)
        return self.opened[i]

    def close(self) -> None:
        """Closes all open files."""
        while self.opened:
            close(self.opened.popitem()[1])

    def __enter__(self) -> CollectedSource:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        # Open files cannot be pickled; another process opens them again when it reads.
        return {**self.__dict__, "opened": collections.OrderedDict()}


def _first_difference(first: TimeAxis, second: TimeAxis) -> str:
    """Returns the first time that only one of two axes has, in words."""
    only = np.setxor1d(first.values, second.values)
    if not len(only):
        return f"{len(first)} and {len(second)} fields, some at the same time"
    where = first if only[0] in first.values else second
    index = int(np.flatnonzero(where.values == only[0])[0])
    return f"only one has {where.format(index)}, the first of {len(only)} such times"
