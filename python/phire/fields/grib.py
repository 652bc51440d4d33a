"""Source of the variables of a GRIB file: gridded fields, or coefficients synthesised on a grid."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from phire import progress
from phire.errors import InputError
from phire.fields.grib_grids import GRIDDED
from phire.fields.grib_messages import (
    CALENDAR,
    REDUCED,
    Message,
    gridded_values,
    orientation,
    scan,
    spectral_coefficients,
)
from phire.fields.grid import Grid
from phire.fields.harmonics import SphericalHarmonics, largest_degree
from phire.fields.source import Times, indices
from phire.fields.time_axis import TimeAxis

SPECTRAL = "sh"

COLUMN_LEVELS = ("isobaricInhPa", "isobaricInPa", "hybrid", "hybridPressure", "sigma", "theta")
"""Types of levels to which --level applies even if a file has only one level."""


class GribSource:
    """Source of the variables of a GRIB file.

    Args:
        path: The file.
        variables: CF names or short names, one channel each, which also name the channels; by
            default all variables.
        level: Level to read, for variables with levels.
        member: Number of the ensemble member to read, for variables with members.
        grid: Global grid on which spherical-harmonic coefficients are synthesised.
        messages: Headers from :func:`scan`, if known; by default the file is scanned.

    Attributes:
        channels, units, grid, time: See :class:`phire.fields.source.Source`.
        has_levels: True if a variable has levels to choose from.
        has_members: True if a variable has members to choose from.
        spectral: True if a variable is stored as spherical-harmonic coefficients.
        interval_starts: (n, C) seconds at which the accumulation of each field begins.
        wind_directions: Axes of each channel; see
            :func:`phire.fields.grib_grids.wind_direction`.

    Raises:
        InputError: A variable or level does not exist; a level or member has to be chosen; grids
            or times differ between variables; ``grid`` is missing or not global for coefficients;
            or phire does not read the grid.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        variables: Sequence[str] | None = None,
        level: float | None = None,
        member: int | None = None,
        grid: Grid | None = None,
        messages: Sequence[Message] | None = None,
    ) -> None:
        self.path = Path(path)
        messages = scan(path) if messages is None else list(messages)
        known = list(dict.fromkeys(message.variable for message in messages))
        self.channels = tuple(variables or known)
        self.has_levels = self.has_members = False
        self._member = member
        self._fields: list[list[Message]] = []
        for channel in self.channels:
            named = [m for m in messages if channel in (m.variable, m.short_name)]
            if not named:
                raise InputError(
                    f"{path} has no variable {channel!r} of fields; it has {', '.join(known)}."
                )
            self._fields.append(self._series(channel, named, level))
        self.units = tuple(series[0].units for series in self._fields)
        self.time = TimeAxis([m.time for m in self._fields[0]], CALENDAR)
        for channel, series in zip(self.channels, self._fields):
            if [m.time for m in series] != self.time.values.tolist():
                raise InputError(
                    f"{path}: {self.channels[0]} and {channel} have different times: choose "
                    "--variables with the same times."
                )
        self.interval_starts = np.array([[m.start for m in series] for series in self._fields]).T
        self.wind_directions = tuple(series[0].wind for series in self._fields)
        self.spectral = any(series[0].grid_type == SPECTRAL for series in self._fields)
        self._wanted_grid = grid
        self.grid = self._common_grid()

    def _series(self, channel: str, named: list[Message], level: float | None) -> list[Message]:
        """Returns the fields of one variable, level and member, in the order of time.

        Args:
            channel: Name of the variable, for messages.
            named: All fields of the variable.
            level: Level to choose; None if there is only one.

        Raises:
            InputError: A level or member has to be chosen or does not exist, or grids differ.
        """
        levels = sorted({(m.level_type, m.level) for m in named})
        listed = ", ".join(f"{value:g} ({kind})" for kind, value in levels)
        several = len(levels) > 1 or levels[0][0] in COLUMN_LEVELS
        self.has_levels |= several
        if level is not None and several:
            hit = [key for key in levels if np.isclose(key[1], level)]
            if not hit:
                raise InputError(f"{self.path}: {channel} has no level {level:g}, only {listed}.")
            if len(hit) > 1:
                raise InputError(
                    f"{self.path}: {channel} has the level {level:g} of several types ({listed}): "
                    "write one of them to a separate file first."
                )
            named = [m for m in named if (m.level_type, m.level) == hit[0]]
        elif len(levels) > 1:
            raise InputError(
                f"{self.path}: {channel} has {len(levels)} levels: choose --level among {listed}."
            )
        members = sorted({m.member for m in named})
        self.has_members |= len(members) > 1
        if len(members) > 1 and self._member not in members:
            has = "" if self._member is None else f" and no member {self._member}"
            raise InputError(
                f"{self.path}: {channel} has {len(members)} ensemble members{has}: choose "
                f"--member among {', '.join(map(str, members))}."
            )
        if len(members) > 1:
            named = [m for m in named if m.member == self._member]
        if len({m.geometry for m in named}) > 1:
            raise InputError(
                f"{self.path}: the fields of {channel} have different grids: write those of one "
                "grid to a separate file first."
            )
        return sorted(named, key=lambda m: m.time)

    def _common_grid(self) -> Grid:
        """Returns the grid of all variables; spectral ones have the requested grid."""
        grids = []
        for series in self._fields:
            message = series[0]
            if message.grid_type == SPECTRAL:
                if self._wanted_grid is None:
                    raise InputError(
                        f"{self.path} has {message.variable} as spherical-harmonic coefficients: "
                        "name the grid to synthesise it on with --grid, such as "
                        "--grid gaussian:320 or driscoll-healy:1280."
                    )
                largest_degree(self._wanted_grid)  # raises InputError if the grid is not global
                grids.append(self._wanted_grid)
            elif message.grid_type in GRIDDED:
                grids.append(orientation(self.path, message).grid)
                if message.grid_type in REDUCED:
                    progress.say_once(
                        "Note: the fields are on a reduced grid, whose rows have fewer points "
                        "towards the poles: they are interpolated linearly along each row to the "
                        f"full {grids[-1].describe()}."
                    )
            else:
                raise InputError(
                    f"{self.path}: {message.variable} is on a grid of type {message.grid_type}, "
                    f"which phire does not read (it reads {', '.join((*GRIDDED, SPECTRAL))}): "
                    "interpolate it to one of these first."
                )
            if not grids[-1].equals(grids[0]):
                raise InputError(
                    f"{self.path}: {self.channels[0]} is on {grids[0].in_words()}, but "
                    f"{message.variable} on {grids[-1].in_words()}: choose --variables of one "
                    "grid."
                )
        return grids[0]

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        chosen = indices(times, len(self.time))
        fields = np.empty((len(chosen), *self.grid.shape, len(self.channels)), np.float32)
        for c, series in enumerate(self._fields):
            for i, time in enumerate(chosen):
                message = series[time]
                if message.grid_type == SPECTRAL:
                    fields[i, ..., c] = self._synthesised(message)
                else:
                    fields[i, ..., c] = gridded_values(self.path, message)
        return fields

    def _synthesised(self, message: Message) -> np.ndarray:
        """Reads spherical-harmonic coefficients and returns their field (H, W) on :attr:`grid`."""
        truncation, coefficients = spectral_coefficients(self.path, message)
        harmonics, places, signs = _synthesis(_GridKey(self.grid), truncation)
        return harmonics.synthesise(coefficients[places] * signs)

    def __enter__(self) -> GribSource:
        return self

    def __exit__(self, *exception: object) -> None:
        """Does nothing: the file is open only during a read."""


class _GridKey:
    """Grid as a key of a cache; two keys are equal if their grids have equal coordinates."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._key = (grid.kind, grid.latitudes.tobytes(), grid.longitudes.tobytes())

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _GridKey) and self._key == other._key


@functools.lru_cache(maxsize=2)
def _synthesis(key: _GridKey, truncation: int) -> tuple[SphericalHarmonics, np.ndarray, np.ndarray]:
    """Returns the transform to a grid, and how to select its coefficients from those of a file.

    A file has the coefficients (m=0, l=0…T), (m=1, l=1…T), … of the IFS, which are 4π-normalised
    like those of the transform, but without the factor (−1)^m.

    Args:
        key: The grid.
        truncation: Largest degree T in the file.

    Returns:
        The transform, up to the largest degree that the grid resolves; for each of its
        coefficients, the index in the file, and the sign.
    """
    grid = key.grid
    harmonics = SphericalHarmonics(grid, truncation=min(truncation, largest_degree(grid)))
    degrees, orders = harmonics.degrees, harmonics.orders
    # Orders below m have (T+1) + T + … + (T+2−m) coefficients in the file.
    places = orders * (truncation + 1) - orders * (orders - 1) // 2 + (degrees - orders)
    return harmonics, places, np.where(orders % 2, -1.0, 1.0)
