"""Reading of GRIB 1 and 2 messages with ecCodes: headers of a file, and values of one message.

A file is scanned once for its headers. Values are then read by their offsets, in any order.

cfgrib arranges the messages of a file as arrays and refuses files whose messages do not form them;
here each message is read by itself. ``tests/fields/test_grib.py`` checks the fields of real files
against cfgrib's.
"""

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
from phire.fields.time_axis import EPOCH
from phire.fields.units import instantaneous

CALENDAR = "proleptic_gregorian"

REDUCED = ("reduced_gg", "reduced_ll")

WIND_NAMES = re.compile(r"^\d*[uv]$")
"""Pattern of ecCodes' short names of wind components: ``u``, ``10u``, ``100v``."""

STEP_SECONDS = {0: 60, 1: 3600, 2: 86400, 10: 10800, 11: 21600, 12: 43200, 13: 1, 254: 1}
"""Length (s) of GRIB's units of time (code table 4.4; 254 is the second in GRIB 1)."""

MISSING = -1e300
"""Value that ecCodes returns for points that are absent from the bitmap."""


@dataclasses.dataclass(frozen=True)
class Message:
    """Header of one field in a GRIB file.

    Attributes:
        offset: Position of its message in the file, bytes.
        part: Number of the field in the message; GRIB 2 allows u and v in one message.
        variable: CF name such as ``t2m``, or else the short name.
        short_name: ecCodes' short name, such as ``2t``.
        units: Units.
        level_type, level: Type and value of the level, such as ``isobaricInhPa`` and 500.
        member: Number of the ensemble member.
        time: Valid time, seconds since 1970.
        start: Start of the accumulation interval (GRIB's ``startStep``), or of the forecast if the
            step type is unknown; the valid time of instantaneous fields. Seconds since 1970.
        geometry: Grid type and digest of the section that describes the grid.
        grid_type: ecCodes' name of the grid, such as ``regular_ll`` or ``sh``.
        wind: Axes of a wind component; see :func:`phire.fields.grib_grids.wind_direction`.
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
    """Imports and returns the module ``eccodes``.

    Raises:
        InputError: ecCodes is not installed.
    """
    try:
        import eccodes as module
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"reading GRIB needs ecCodes ({error}): install it with `pip install 'phire[grib]'`."
        ) from None
    return module


def scan(path: str | os.PathLike) -> list[Message]:
    """Reads the headers of all fields of a GRIB file, in the order of the file.

    Raises:
        InputError: The file is cut off within a message, or has no message.
    """
    codes = eccodes()
    found: list[Message] = []
    codes.codes_grib_multi_support_on()  # several fields in one message of GRIB 2
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
        raise InputError(f"{path} has no GRIB message: name a GRIB file.")
    return found


def _header(codes: Any, handle: int, before: list[Message]) -> Message:
    """Returns the header of an open message; ``before`` are those of the earlier fields."""

    def get(key: str, otherwise: Any = None) -> Any:
        try:
            return codes.codes_get(handle, key)
        except codes.KeyValueNotFoundError:
            return otherwise

    # Fields of one message have the same offset and are told apart by their number.
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
    """Returns the seconds since 1970 of a date YYYYMMDD and a time HHMM."""
    days, hours = divmod(date, 100), divmod(clock, 100)
    moment = cftime.datetime(days[0] // 100, days[0] % 100, days[1], *hours, calendar=CALENDAR)
    return round(float(cftime.date2num(moment, f"seconds since {EPOCH}", calendar=CALENDAR)))


def message_values(path: str | os.PathLike, message: Message) -> np.ndarray:
    """Returns the values (n,) of a message in its order, with NaN for missing ones.

    Values of a reduced grid are interpolated to the full grid, as in :func:`gridded_values`.
    """
    with _OpenMessage(Path(path), message.offset, message.part) as handle:
        values = _values(eccodes(), handle)
        if message.grid_type in REDUCED:
            return reduced_rows(_getter(eccodes(), handle), str(path)).full(values).ravel()
        return values


def gridded_values(path: str | os.PathLike, message: Message) -> np.ndarray:
    """Returns the field (H, W) of a gridded message, from north to south and west to east.

    Values of a reduced grid are interpolated to the full grid. Missing values are NaN.
    """
    codes, place = eccodes(), orientation(path, message)
    with _OpenMessage(Path(path), message.offset, message.part) as handle:
        values = _values(codes, handle)
        get = _getter(codes, handle)
        if message.grid_type in REDUCED:
            values = reduced_rows(get, str(path)).full(values)
        elif get("jPointsAreConsecutive"):  # stored column by column
            values = _in_one_direction(values.reshape(get("Ni"), get("Nj")), get).T
        else:
            values = _in_one_direction(values.reshape(get("Nj"), get("Ni")), get)
    height, width = place.grid.shape
    down = place.file_rows(slice(0, height), values.shape[0])
    across = place.file_columns(slice(0, width), values.shape[1])
    return place.turned(values[down, across])


def spectral_coefficients(path: str | os.PathLike, message: Message) -> tuple[int, np.ndarray]:
    """Returns the largest degree and the complex coefficients of a spectral message.

    Raises:
        InputError: The truncation is not triangular.
    """
    codes = eccodes()
    with _OpenMessage(Path(path), message.offset, message.part) as handle:
        degrees = {codes.codes_get(handle, key) for key in "JKM"}
        values = codes.codes_get_values(handle)
    if len(degrees) > 1:
        raise InputError(
            f"{path}: {message.variable} is not truncated triangularly (J, K, M = "
            f"{sorted(degrees)}), which phire does not read: synthesise it on a grid first."
        )
    return degrees.pop(), values.view(np.complex128)


def orientation(path: str | os.PathLike, message: Message) -> Orientation:
    """Returns the grid and the order of rows and columns of a gridded message."""
    return _orientation_of(str(path), message.offset, message.part)


def _values(codes: Any, handle: int) -> np.ndarray:
    """Returns the values of an open message, with NaN for missing ones."""
    if codes.codes_get(handle, "bitmapPresent"):
        codes.codes_set(handle, "missingValue", MISSING)
    values = codes.codes_get_values(handle)
    values[values == MISSING] = np.nan
    return values


def _in_one_direction(values: np.ndarray, get: Get) -> np.ndarray:
    """Returns values (lines, points) with all lines in one direction.

    With GRIB's alternative row scanning, every second line runs backward.
    """
    if not get("alternativeRowScanning"):
        return values
    values = values.copy()
    values[1::2] = values[1::2, ::-1]
    return values


class _OpenMessage:
    """Context manager that opens a message of a file and yields its ecCodes handle."""

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
                for _ in range(part):  # skip the earlier fields of the message
                    codes.codes_release(codes.codes_grib_new_from_file(file))
                self.handle = codes.codes_grib_new_from_file(file)
        finally:
            if part:
                codes.codes_grib_multi_support_off()
        return self.handle

    def __exit__(self, *exception: object) -> None:
        eccodes().codes_release(self.handle)


def _getter(codes: Any, handle: int) -> Get:
    """Returns the function that returns a key of a message, or None if the key does not exist."""

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
    with _OpenMessage(Path(path), offset, part) as handle:
        return orientation_of_message(_getter(eccodes(), handle), path)
