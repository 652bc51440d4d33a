"""Alignment of candidates with the truth: common channels, grid and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from phire.errors import InputError
from phire.evaluation.wind import is_component
from phire.fields import units
from phire.fields.common_times import find_common_times
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import TOLERANCE, Grid
from phire.fields.harmonics import SphericalHarmonics, largest_degree
from phire.fields.source import ALL, Source, Times, indices, read_members
from phire.fields.time_axis import TimeAxis

FINER = 1e-6
"""Share of variance beyond the last degree of a Driscoll–Healy grid above which a field cannot be
on such a grid. The filled polar row of a field on such a grid adds less than 1e-7."""


class AlignedSource:
    """View of a source with selected channels, rows, columns and times, in a given order.

    Args:
        source: Any source; it may have ``members`` and ``read_members``.
        channels: Indices of the channels.
        rows, columns: Indices of rows and columns.
        times: Indices of the times.
        grid: The grid of the selected rows and columns.
    """

    def __init__(
        self,
        source: Source,
        channels: np.ndarray,
        rows: np.ndarray,
        columns: np.ndarray,
        times: np.ndarray,
        grid: Grid,
    ) -> None:
        self.source = source
        self.grid = grid
        self.time = source.time[times]
        self.channels = tuple(source.channels[c] for c in channels)
        self.units = tuple(source.units[c] for c in channels)
        names = getattr(source, "standard_names", ("",) * len(source.channels))
        self.standard_names = tuple(names[c] for c in channels)
        members = int(getattr(source, "members", 0))
        # A single member has no spread: it is evaluated as a deterministic field.
        self.members = members if members > 1 else 0
        self._times = times
        self._take = [
            None if np.array_equal(places, np.arange(size)) else places
            for places, size in zip(
                (rows, columns, channels), (*source.grid.shape, len(source.channels))
            )
        ]

    def select(self, fields: np.ndarray) -> np.ndarray:
        """Returns the selected rows, columns and channels of the source's fields (..., H, W, C)."""
        for axis, places in zip((-3, -2, -1), self._take):
            if places is not None:
                fields = np.take(fields, places, axis=axis)
        return fields

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        return self.select(self.source.read(self._times[indices(times, len(self._times))]))

    def read_members(self, times: Times, members: slice = ALL) -> np.ndarray:
        """Reads fields of members; see :class:`phire.fields.source.MemberSource`."""
        chosen = self._times[indices(times, len(self._times))]
        return self.select(read_members(self.source, chosen, members))


def north_up(source: Source, channels: Sequence[int] | None = None) -> AlignedSource:
    """Returns a source whose rows run from north to south, as in the training of networks.

    Args:
        source: Any source; without coordinates its rows are not reordered.
        channels: Indices of the channels to read, in this order; all by default.
    """
    grid = source.grid
    rows, columns = (np.arange(size) for size in grid.shape)
    if grid.has_coordinates and not grid.descending:
        rows = rows[::-1]
        grid = Grid.from_coordinates(grid.latitudes[::-1], grid.longitudes)
    places = np.arange(len(source.channels)) if channels is None else np.asarray(channels)
    return AlignedSource(source, places, rows, columns, np.arange(len(source.time)), grid)


def align(
    truth: Source, candidates: Mapping[str, Source], times: np.ndarray
) -> tuple[AlignedSource, dict[str, AlignedSource]]:
    """Restricts truth and candidates to the grid points and times that all of them have.

    The grid of a candidate may be a window of the truth's or extend beyond it, have rows from
    south to north, or start at another longitude. A candidate may have further times, and further
    channels in any order. If its channels have no names, they are matched in order.

    Args:
        truth: The truth.
        candidates: Candidates by name.
        times: Indices of the truth's times to evaluate.

    Returns:
        The truth, and the candidates by name, with equal channels, grids and times.

    Raises:
        InputError: A candidate lacks a channel, lies on other points, has other units, or has none
            of the times; or the candidates have no points in common.
    """
    rows, columns = (np.arange(size) for size in truth.grid.shape)
    for name, candidate in candidates.items():
        own_rows, own_columns = _window(truth.grid, candidate.grid, name)
        rows, columns = (
            common[np.isin(common, part)]
            for common, part in ((rows, own_rows), (columns, own_columns))
        )
        times = times[_common_times(truth.time[times], candidate.time, name) >= 0]
    if not len(rows) or not len(columns):
        raise InputError(
            "the candidates have no grid points in common: evaluate each of them separately."
        )
    grid = _part(truth.grid, rows, columns)
    all_channels = np.arange(len(truth.channels))
    aligned = AlignedSource(truth, all_channels, rows, columns, times, grid)
    if grid.kind == "driscoll-healy" and _holds_more_than_driscoll_healy(aligned):
        grid = aligned.grid = Grid.regional(grid.latitudes, grid.longitudes)
    placed = {}
    for name, candidate in candidates.items():
        channels = _channels(truth, candidate, name)
        own_rows, own_columns = _places(grid, candidate.grid)
        own_times = _common_times(aligned.time, candidate.time, name)
        placed[name] = AlignedSource(candidate, channels, own_rows, own_columns, own_times, grid)
    return aligned, placed


def _channels(truth: Source, candidate: Source, name: str) -> np.ndarray:
    """Returns the index in the candidate of each channel of the truth.

    Raises:
        InputError: The candidate lacks a channel, or a channel has other units.
    """
    bare = tuple(f"channel_{c}" for c in range(len(candidate.channels)))
    if len(candidate.channels) == len(truth.channels) and (
        candidate.channels == bare or truth.channels == bare
    ):
        return np.arange(len(bare))
    missing = [channel for channel in truth.channels if channel not in candidate.channels]
    if missing:
        raise InputError(
            f"candidate {name} has no channel {', '.join(missing)} (it has "
            f"{', '.join(candidate.channels)}): rename its variables to the truth's."
        )
    places = np.array([candidate.channels.index(channel) for channel in truth.channels])
    found = [candidate.units[place] for place in places]
    difference = units.difference(truth.channels, found, truth.units)
    if difference:
        raise InputError(f"candidate {name} has {difference} as the truth: convert one of them.")
    return places


def _common_times(wanted: TimeAxis, available: TimeAxis, name: str) -> np.ndarray:
    """Returns the index in ``available`` of each time of ``wanted``; −1 where it is missing.

    Raises:
        InputError: There is no common time, or only one of the time axes has dates, and their
            lengths differ.
    """
    if wanted.has_calendar != available.has_calendar:
        if len(wanted) == len(available):
            return np.arange(len(available))
        raise InputError(
            f"candidate {name} has {'no ' if wanted.has_calendar else ''}dates, the truth has "
            f"{'some' if wanted.has_calendar else 'none'}, and they differ in length "
            f"({len(available)} and {len(wanted)}): add dates to the one without."
        )
    return find_common_times(wanted, available, names=("the truth", f"candidate {name}"))


def _window(grid: Grid, part: Grid, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows and columns of ``grid`` that are points of ``part``.

    Along each axis one grid must contain the other, with coinciding points and without gaps.

    Raises:
        InputError: Neither contains the other; ``name`` is the candidate in the message.
    """
    if isinstance(grid, CurvilinearGrid) and isinstance(part, CurvilinearGrid):
        inner = grid.find(part)
        if inner is not None:
            return tuple(np.arange(window.start, window.stop) for window in inner)
        if part.find(grid) is not None:
            return tuple(np.arange(size) for size in grid.shape)
    elif grid.has_coordinates == part.has_coordinates:
        found = []
        for coordinate, other, circle in (
            (grid.latitudes, part.latitudes, False),
            (grid.longitudes, part.longitudes, grid.has_coordinates),
        ):
            places = _positions(coordinate, other, circle)
            common = np.flatnonzero(places >= 0)
            touching = _without_gaps(common, len(coordinate) if circle else 0) and _without_gaps(
                places[common], len(other) if circle else 0
            )
            if touching and len(common) in (len(coordinate), len(other)):
                found.append(common)
        if len(found) == 2:
            return found[0], found[1]
    raise InputError(
        f"candidate {name} lies on {part.in_words()}, the truth on {grid.in_words()}: regrid "
        "it to the truth's points, or choose the truth that it was made for."
    )


def covered(grid: Grid, part: Grid, name: str) -> tuple[int, int]:
    """Returns the number of rows and columns of ``grid`` that candidate ``name`` has too.

    Raises:
        InputError: The points of ``part``, the candidate's grid, do not coincide with the grid's.
    """
    rows, columns = _window(grid, part, name)
    return len(rows), len(columns)


def _places(wanted: Grid, available: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows and columns of ``available`` at the points of ``wanted``.

    ``available`` contains all points of ``wanted``.
    """
    if isinstance(wanted, CurvilinearGrid) and isinstance(available, CurvilinearGrid):
        return tuple(np.arange(window.start, window.stop) for window in available.find(wanted))
    rows = _positions(wanted.latitudes, available.latitudes)
    return rows, _positions(wanted.longitudes, available.longitudes, wanted.has_coordinates)


def _without_gaps(places: np.ndarray, turn: int) -> bool:
    """Returns True if the indices form a run without gaps.

    Args:
        places: Indices, ascending or descending.
        turn: Number of indices around the circle of longitudes; 0 if the axis is no circle. Around
            a circle one gap is allowed, between the end of the run and its beginning.
    """
    steps = np.diff(places)
    if not turn:
        return bool((np.abs(steps) == 1).all())
    return int((steps % turn != 1).sum()) <= 1


def _positions(wanted: np.ndarray, available: np.ndarray, circle: bool = False) -> np.ndarray:
    """Returns the index in ``available`` of each coordinate of ``wanted``; −1 if missing.

    Coordinates on a ``circle`` are degrees that are equal modulo 360.
    """
    if not circle:
        offset = np.abs(wanted[:, None] - available[None, :])
    else:
        offset = np.abs((wanted[:, None] - available[None, :] + 180) % 360 - 180)
    place = offset.argmin(1)
    return np.where(offset.min(1) <= TOLERANCE, place, -1)


def _part(grid: Grid, rows: np.ndarray, columns: np.ndarray) -> Grid:
    """Returns the grid of some rows and columns of a grid."""
    if len(rows) == grid.shape[0] and len(columns) == grid.shape[1]:
        return grid
    if not grid.has_coordinates:
        window = (slice(int(part[0]), int(part[-1]) + 1) for part in (rows, columns))
        return grid.subgrid(*window)
    part = Grid.from_coordinates(grid.latitudes[rows], grid.longitudes[columns])
    if part.is_global and not part.shape == grid.shape:
        # 720 of the 721 rows of a pole-to-pole grid look like a Driscoll–Healy grid, which would
        # resolve half the degrees only: a part of a grid is never taken as a whole one.
        part = Grid.regional(part.latitudes, part.longitudes)
    return part


def _holds_more_than_driscoll_healy(truth: AlignedSource) -> bool:
    """Returns True if the first field has variance beyond the degrees of a Driscoll–Healy grid.

    A pole-to-pole grid without its last row, such as 720 of ERA5's 721 rows, has the same
    coordinates as a Driscoll–Healy grid but resolves twice the degrees. Only the fields tell the
    two apart.
    """
    rows = Grid.regional(truth.grid.latitudes, truth.grid.longitudes)
    if not rows.is_sphere:
        return False
    harmonics, last = SphericalHarmonics(rows), largest_degree(truth.grid)
    for channel, field in zip(truth.channels, np.moveaxis(truth.read([0])[0], -1, 0)):
        if np.isfinite(field).all():
            waves = harmonics.analyse(field, component=is_component(channel))
            spectrum = harmonics.sum_orders(np.abs(waves) ** 2)
            if spectrum[last + 1 :].sum() > FINER * spectrum[1:].sum():
                return True
    return False
