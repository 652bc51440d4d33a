"""Messages of GRIB 1 and 2 through ecCodes: headers of a whole file, then values one by one."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from pathlib import Path
from typing import Any

import cftime
import numpy as np

from phire.errors import InputError
from phire.fields.grib_grids import (
    Get,
    orientation_of_message,
    reduced_rows,
    wind_direction,
)
from phire.fields.orientation import Orientation
from phire.fields.time import EPOCH
from phire.fields.units import instantaneous

CALENDAR = "proleptic_gregorian"

REDUCED = ("reduced_gg", "reduced_ll")

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


def message_values(path: str | os.PathLike, message: Message) -> np.ndarray:
    """Returns the values (n,) of a message in its order, missing ones as NaN.

    Reduced rows are made full, as :class:`GribSource` reads them.
    """
    with _Open(Path(path), message.offset, message.part) as handle:
        values = _values(eccodes(), handle)
        if message.grid_type in REDUCED:
            return reduced_rows(_getter(eccodes(), handle), str(path)).full(values).ravel()
        return values


def gridded_values(path: str | os.PathLike, message: Message) -> np.ndarray:
    """Returns a gridded message as an array (H, W), from north to south and west to east.

    Reduced rows are made full; missing values are NaN.
    """
    codes, place = eccodes(), orientation(path, message)
    with _Open(Path(path), message.offset, message.part) as handle:
        values = _values(codes, handle)
        get = _getter(codes, handle)
        if message.grid_type in REDUCED:
            values = reduced_rows(get, str(path)).full(values)
        elif get("jPointsAreConsecutive"):
            values = _straight(values.reshape(get("Ni"), get("Nj")), get).T
        else:
            values = _straight(values.reshape(get("Nj"), get("Ni")), get)
    height, width = place.grid.shape
    down = place.file_rows(slice(0, height), values.shape[0])
    across = place.file_columns(slice(0, width), values.shape[1])
    return place.turned(values[down, across])


def spectral_coefficients(path: str | os.PathLike, message: Message) -> tuple[int, np.ndarray]:
    """Returns the truncation and the complex coefficients of a message, in its order.

    Raises:
        InputError: The message is not truncated triangularly.
    """
    codes = eccodes()
    with _Open(Path(path), message.offset, message.part) as handle:
        degrees = {codes.codes_get(handle, key) for key in "JKM"}
        values = codes.codes_get_values(handle)
    if len(degrees) > 1:
        raise InputError(
            f"{path}: {message.variable} is not truncated triangularly (J, K, M = "
            f"{sorted(degrees)}), which phire does not read."
        )
    return degrees.pop(), values.view(np.complex128)


def orientation(path: str | os.PathLike, message: Message) -> Orientation:
    """Returns the rows and columns of a gridded message."""
    return _orientation_of(str(path), message.offset, message.part)


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
def _orientation_of(path: str, offset: int, part: int) -> Orientation:
    with _Open(Path(path), offset, part) as handle:
        return orientation_of_message(_getter(eccodes(), handle), path)
