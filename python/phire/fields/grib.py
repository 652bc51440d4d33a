"""GRIB 1 and 2 through ecCodes: grids, and spherical-harmonic coefficients synthesised to a grid.

A file is scanned once for its headers; fields are then read where they lie, in any order.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cftime
import numpy as np

from phire import progress
from phire.errors import InputError
from phire.fields.grib_grids import (
    GRIDDED,
    Get,
    orientation_of_message,
    reduced_rows,
    wind_direction,
)
from phire.fields.grid import Grid
from phire.fields.harmonics import SphericalHarmonics, largest_degree
from phire.fields.orientation import Orientation
from phire.fields.source import Times, indices
from phire.fields.time import EPOCH, TimeAxis
from phire.fields.units import instantaneous

CALENDAR = "proleptic_gregorian"

SPECTRAL = "sh"

REDUCED = ("reduced_gg", "reduced_ll")

COLUMN_LEVELS = ("isobaricInhPa", "isobaricInPa", "hybrid", "hybridPressure", "sigma", "theta")
"""Kinds of levels of which --level chooses even where a file has but one (not 2 m, not surface)."""

WIND_NAMES = re.compile(r"^\d*[uv]$")
"""ecCodes' short names of components of wind: ``u``, ``10u``, ``100v``."""

STEP_SECONDS = {0: 60, 1: 3600, 2: 86400, 10: 10800, 11: 21600, 12: 43200, 13: 1, 254: 1}
"""Seconds of GRIB's units of time (code table 4.4; 254 is the second of GRIB 1)."""

MISSING = -1e300
"""Value that ecCodes puts where the bitmap has none."""


@dataclasses.dataclass(frozen=True)
class Message:
    """A field in a GRIB file.

    Attributes:
        offset: Where its message begins, in bytes.
        part: Its number in the message (GRIB 2 may hold u and v in one).
        variable: Its CF name such as ``t2m``, else its short name.
        short_name: ecCodes' short name, such as ``2t``.
        units: Its units.
        level_type, level: Such as ``isobaricInhPa``, 500.
        member: Number of the ensemble member.
        time: Validity, seconds since 1970.
        start: Start of the interval that an accumulation stands for (GRIB's ``startStep``), of
            instants the forecast's start; seconds since 1970.
        geometry: A digest of the section that describes the grid.
        grid_type: ecCodes' name, such as ``regular_ll`` or ``sh``.
        wind: See :func:`phire.fields.grib_grids.wind_direction`.
    """

    offset: int
    part: int
    variable: str
    short_name: str
    units: str
    level_type: str
    level: float
    member: int
    time: int
    start: int
    geometry: str
    grid_type: str
    wind: str = ""


def eccodes() -> Any:
    """Returns the module ``eccodes``.

    Raises:
        InputError: It is not installed.
    """
    try:
        import eccodes as module
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"reading GRIB needs ecCodes ({error}): install it with `pip install 'phire[grib]'`."
        ) from None
    return module


def scan(path: str | os.PathLike) -> list[Message]:
    """Reads the headers of all fields of a GRIB file, in the file's order.

    Raises:
        InputError: The file ends within a message, or holds none.
    """
    codes = eccodes()
    found: list[Message] = []
    codes.codes_grib_multi_support_on()
    try:
        with open(path, "rb") as file:
            while (handle := codes.codes_grib_new_from_file(file, headers_only=True)) is not None:
                try:
                    found.append(_header(codes, handle, found))
                finally:
                    codes.codes_release(handle)
    except codes.CodesInternalError as error:
        raise InputError(
            f"{path} is damaged after {len(found)} fields ({error}): fetch it again."
        ) from None
    finally:
        codes.codes_grib_multi_support_off()
    if not found:
        raise InputError(f"{path} holds no GRIB message: name a GRIB file.")
    return found


def _header(codes: Any, handle: int, before: list[Message]) -> Message:
    def get(key: str, otherwise: Any = None) -> Any:
        try:
            return codes.codes_get(handle, key)
        except codes.KeyValueNotFoundError:
            return otherwise

    offset = codes.codes_get_message_offset(handle)
    part = before[-1].part + 1 if before and before[-1].offset == offset else 0
    short_name = get("shortName", "unknown")
    if short_name == "unknown":
        short_name = f"param{get('paramId', 0)}"
    variable = get("cfVarName", "unknown")
    start = _seconds(get("dataDate"), get("dataTime"))
    step_type = get("stepType", "")
    if step_type not in ("", "instant"):
        start += get("startStep", 0) * STEP_SECONDS.get(get("stepUnits", 1), 3600)
    elif instantaneous(step_type, get("units", "")):
        start = _seconds(get("validityDate"), get("validityTime"))
    return Message(
        offset=offset,
        part=part,
        variable=short_name if variable == "unknown" else variable,
        short_name=short_name,
        units=get("units", ""),
        level_type=get("typeOfLevel", "unknown"),
        level=get("level", 0),
        member=get("number", 0) or 0,
        time=_seconds(get("validityDate"), get("validityTime")),
        start=start,
        geometry=f"{get('gridType')} {get('md5GridSection', '')}",
        grid_type=get("gridType", "unknown"),
        wind=wind_direction(get) if WIND_NAMES.match(short_name) else "",
    )


def _seconds(date: int, clock: int) -> int:
    """Seconds since 1970 of a date YYYYMMDD and a clock time HHMM."""
    days, hours = divmod(date, 100), divmod(clock, 100)
    moment = cftime.datetime(days[0] // 100, days[0] % 100, days[1], *hours, calendar=CALENDAR)
    return round(float(cftime.date2num(moment, f"seconds since {EPOCH}", calendar=CALENDAR)))


class GribSource:
    """Variables of a GRIB file as a :class:`phire.fields.source.Source`.

    Args:
        path: The file.
        variables: CF names or short names, a channel each (named as given here); by default all.
        level: The level to read, where a variable has several.
        member: The number of the ensemble's member to read, where a variable has several.
        grid: The grid to synthesise spherical-harmonic coefficients on.
        messages: What :func:`scan` gave, where that is known already.

    Attributes:
        channels, units, grid, time: See :class:`phire.fields.source.Source`.
        has_levels: A variable has a level that could be chosen.
        has_members: A variable has members that could be chosen.
        spectral: True if a variable is stored as spherical-harmonic coefficients.
        interval_starts: (n, C) seconds at which the interval of an accumulation begins.
        wind_directions: See :func:`phire.fields.grib_grids.wind_direction`, of each channel.

    Raises:
        InputError: A variable or level is not there; there are several levels or members; grids or
            times differ; coefficients and no global grid given; a grid phire does not read.
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
                    "--variables that have the same."
                )
        self.interval_starts = np.array([[m.start for m in series] for series in self._fields]).T
        self.wind_directions = tuple(series[0].wind for series in self._fields)
        self.spectral = any(series[0].grid_type == SPECTRAL for series in self._fields)
        self._wanted_grid = grid
        self.grid = self._common_grid()

    def _series(self, channel: str, named: list[Message], level: float | None) -> list[Message]:
        """Returns the fields of one variable at one level, in the order of time."""
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
                    f"{self.path}: {channel} has the level {level:g} of several kinds ({listed}): "
                    "write one of them to a file of its own first."
                )
            named = [m for m in named if (m.level_type, m.level) == hit[0]]
        elif len(levels) > 1:
            raise InputError(
                f"{self.path}: {channel} has {len(levels)} levels: choose one by --level, of "
                f"{listed}."
            )
        members = sorted({m.member for m in named})
        self.has_members |= len(members) > 1
        if len(members) > 1 and self._member not in members:
            has = "" if self._member is None else f" and no member {self._member}"
            raise InputError(
                f"{self.path}: {channel} holds {len(members)} ensemble members{has}: choose one by "
                f"--member, of {', '.join(map(str, members))}."
            )
        if len(members) > 1:
            named = [m for m in named if m.member == self._member]
        if len({m.geometry for m in named}) > 1:
            raise InputError(f"{self.path}: the fields of {channel} lie on different grids.")
        return sorted(named, key=lambda m: m.time)

    def _common_grid(self) -> Grid:
        grids = []
        for series in self._fields:
            message = series[0]
            if message.grid_type == SPECTRAL:
                if self._wanted_grid is None:
                    raise InputError(
                        f"{self.path} holds {message.variable} as spherical-harmonic coefficients: "
                        "name the grid to synthesise it on with --grid, such as "
                        "--grid gaussian:320 or driscoll-healy:1280."
                    )
                largest_degree(self._wanted_grid)  # refuses a grid that is not global
                grids.append(self._wanted_grid)
            elif message.grid_type in GRIDDED:
                grids.append(self._orientation(message).grid)
                if message.grid_type in REDUCED:
                    progress.say_once(
                        "Note: the fields lie on a reduced grid, whose rows have fewer points "
                        "towards the poles: they are interpolated linearly along each row to the "
                        f"full {grids[-1].describe()}."
                    )
            else:
                raise InputError(
                    f"{self.path}: {message.variable} lies on a grid of type {message.grid_type}, "
                    f"which phire does not read (it reads {', '.join((*GRIDDED, SPECTRAL))}): "
                    "interpolate it to one of these first."
                )
            if not grids[-1].equals(grids[0]):
                raise InputError(
                    f"{self.path}: {self.channels[0]} lies on {grids[0].in_words()}, but "
                    f"{message.variable} on {grids[-1].in_words()}: choose --variables of one "
                    "grid."
                )
        return grids[0]

    def _orientation(self, message: Message) -> Orientation:
        return _grid_of(str(self.path), message.offset, message.part)

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
                    fields[i, ..., c] = self._gridded(message)
        return fields

    def _gridded(self, message: Message) -> np.ndarray:
        codes = eccodes()
        orientation = self._orientation(message)
        with _Open(self.path, message.offset, message.part) as handle:
            values = _values(codes, handle)
            get = _getter(codes, handle)
            if message.grid_type in REDUCED:
                values = reduced_rows(get, str(self.path)).full(values)
            elif get("jPointsAreConsecutive"):
                values = _straight(values.reshape(get("Ni"), get("Nj")), get).T
            else:
                values = _straight(values.reshape(get("Nj"), get("Ni")), get)
        height, width = orientation.grid.shape
        down = orientation.file_rows(slice(0, height), values.shape[0])
        across = orientation.file_columns(slice(0, width), values.shape[1])
        return orientation.turned(values[down, across])

    def _synthesised(self, message: Message) -> np.ndarray:
        codes = eccodes()
        with _Open(self.path, message.offset, message.part) as handle:
            degrees = {codes.codes_get(handle, key) for key in "JKM"}
            values = codes.codes_get_values(handle)
        if len(degrees) > 1:
            raise InputError(
                f"{self.path}: {message.variable} is not truncated triangularly (J, K, M = "
                f"{sorted(degrees)}), which phire does not read."
            )
        harmonics, places, signs = _synthesis(_frozen(self.grid), degrees.pop())
        coefficients = values.view(np.complex128)
        return harmonics.synthesise(coefficients[places] * signs)

    def __enter__(self) -> GribSource:
        return self

    def __exit__(self, *exception: object) -> None:
        """Files are open only while they are read."""


def message_values(path: str | os.PathLike, message: Message) -> np.ndarray:
    """Returns the values (n,) of a message in its order, missing ones as NaN.

    Reduced rows are made full, as :class:`GribSource` reads them.
    """
    with _Open(Path(path), message.offset, message.part) as handle:
        values = _values(eccodes(), handle)
        if message.grid_type in REDUCED:
            return reduced_rows(_getter(eccodes(), handle), str(path)).full(values).ravel()
        return values


def _values(codes: Any, handle: int) -> np.ndarray:
    """Returns the values of an open message, missing ones as NaN."""
    if codes.codes_get(handle, "bitmapPresent"):
        codes.codes_set(handle, "missingValue", MISSING)
    values = codes.codes_get_values(handle)
    values[values == MISSING] = np.nan
    return values


def _straight(values: np.ndarray, get: Get) -> np.ndarray:
    """Reverses every second line of a message that is scanned to and fro."""
    if not get("alternativeRowScanning"):
        return values
    values = values.copy()
    values[1::2] = values[1::2, ::-1]
    return values


class _Open:
    """A message of a file, decoded within the block."""

    def __init__(self, path: Path, offset: int, part: int) -> None:
        self.place = (path, offset, part)

    def __enter__(self) -> int:
        codes = eccodes()
        path, offset, part = self.place
        try:
            with open(path, "rb") as file:
                file.seek(offset)
                if part:
                    codes.codes_grib_multi_support_on()
                for _ in range(part):
                    codes.codes_release(codes.codes_grib_new_from_file(file))
                self.handle = codes.codes_grib_new_from_file(file)
        finally:
            if part:
                codes.codes_grib_multi_support_off()
        return self.handle

    def __exit__(self, *exception: object) -> None:
        eccodes().codes_release(self.handle)


def _getter(codes: Any, handle: int) -> Get:
    """Gives the keys of a message; None where it has no such key."""

    def get(key: str) -> Any:
        try:
            if key == "pl":
                return codes.codes_get_array(handle, key)
            return codes.codes_get(handle, key)
        except codes.KeyValueNotFoundError:
            return None

    return get


@functools.lru_cache(maxsize=16)
def _grid_of(path: str, offset: int, part: int) -> Orientation:
    """Returns the rows and columns of a gridded message."""
    with _Open(Path(path), offset, part) as handle:
        return orientation_of_message(_getter(eccodes(), handle), path)


class _frozen:
    """A grid as a key of a cache: equal where the grids are."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._key = (grid.kind, grid.latitudes.tobytes(), grid.longitudes.tobytes())

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _frozen) and self._key == other._key


@functools.lru_cache(maxsize=2)
def _synthesis(key: _frozen, truncation: int) -> tuple[SphericalHarmonics, np.ndarray, np.ndarray]:
    """Returns the transform to a grid, the places of its coefficients among a file's, and their
    signs.

    A file holds (m=0, l=0…T), (m=1, l=1…T), …; what the grid does not resolve is left out. IFS
    coefficients are 4π-normalised without the factor (−1)^m that the transform's have.
    """
    grid = key.grid
    harmonics = SphericalHarmonics(grid, truncation=min(truncation, largest_degree(grid)))
    degrees, orders = harmonics.degrees, harmonics.orders
    # Before order m lie (T+1) + T + … + (T+2−m) coefficients.
    places = orders * (truncation + 1) - orders * (orders - 1) // 2 + (degrees - orders)
    return harmonics, places, np.where(orders % 2, -1.0, 1.0)
