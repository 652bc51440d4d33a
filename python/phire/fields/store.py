"""Reading of field stores: HDF5 files with the dataset ``/data``, channel × time × row × column.

Each field of a channel is one chunk, compressed with Blosc. The coordinates follow CF and are
dimension scales, so that ``xarray.open_dataset(path, engine="h5netcdf")`` reads a store. A file
with ``/data`` only is a store, too: see :meth:`phire.fields.grid.Grid.bare`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# Registers Blosc, which fails once the process has opened a store. A worker may unpickle a store
# before it imports the modules that write fields.
import phire.fields.compression  # noqa: F401
from phire.errors import InputError
from phire.fields import units
from phire.fields.curvilinear import DEGREES, CurvilinearGrid
from phire.fields.grid import Grid
from phire.fields.source import (
    MAPPING,
    WIND_DIRECTION,
    Times,
    indices,
)
from phire.fields.time_axis import EPOCH, TimeAxis

DATASET = "data"
DIMENSIONS = ("channel", "time", "latitude", "longitude")
STATIC = "static"
"""Group of the static maps, (row, column) each."""
RECORD = "phire"
"""Attribute of the file with its provenance as JSON."""
CELL_METHODS = "channel_cell_methods"
"""Dataset with the CF cell_methods of each channel of aggregated fields."""
INFINITE = "infinite"
"""Attribute of /data with the number of infinite values."""
MISSING = "missing"
"""Attribute of /data with the numbers of missing values and of entirely missing fields."""


class FieldStore:
    """Field store open for reading; a :class:`phire.fields.source.Source`.

    It can be pickled, and opens its file again when it is unpickled.

    Args:
        path: The HDF5 file.

    Attributes:
        path: The file.
        channels, units, grid, time: See :class:`phire.fields.source.Source`.

    Raises:
        InputError: The file does not exist or is not an HDF5 file, or has no dataset ``/data`` of
            channel × time × row × column.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._open()
        data = self._data
        channels, count, rows, columns = data.shape
        try:
            self.time = self._read_time(count)
            self.grid = self._read_grid(rows, columns)
        except InputError as error:
            self.close()
            raise InputError(f"{self.path}: {error}") from None
        bare = tuple(f"channel_{c}" for c in range(channels))
        if "channel" in self._file:
            bare = tuple(_text(name) for name in self._file["channel"][:])
        elif channels == 2 and self.grid.kind == "driscoll-healy":
            bare = ("divergence", "vorticity")  # channels of AtmoDist's files
        self.channels = bare
        stated = data.attrs.get("channel_units")
        if stated is None:
            stated = ["s**-1" if c in ("divergence", "vorticity") else "" for c in bare]
        self._read_as = [units.in_kelvin(_text(unit)) for unit in stated]
        self.units = tuple(rule.units for rule in self._read_as)
        directions = data.attrs.get(WIND_DIRECTION, ())
        self.wind_directions = tuple(_text(direction) for direction in directions)

    def _open(self) -> None:
        """Opens the file and checks its dataset ``/data``."""
        path = self.path
        if not path.exists():
            raise InputError(f"{path} does not exist: name a field store (HDF5 with /data).")
        try:
            self._file = h5py.File(path, "r")
        except OSError:
            if h5py.is_hdf5(path):
                raise InputError(
                    f"{path} is damaged or incomplete: copy or write it again."
                ) from None
            raise InputError(
                f"{path} is not an HDF5 file: make a field store of other formats with "
                "`phire convert`."
            ) from None
        data = self._file.get(DATASET)
        if not isinstance(data, h5py.Dataset):
            names = ", ".join(f"/{name}" for name in self._file) or "nothing"
            self._file.close()
            raise InputError(
                f"{path} has no dataset /data (it has {names}): make a field store of it with "
                "`phire convert`."
            )
        if data.ndim != 4 or 0 in data.shape or data.dtype.kind not in "fiu":
            shape, kind = data.shape, data.dtype
            self._file.close()
            raise InputError(
                f"/data of {path} has the shape {shape} ({len(shape)} dimensions) and type {kind}: "
                "it must be numbers of channel × time × row × column."
            )
        if data.is_virtual:
            self._require_sources(data)
        self._data = data

    def _require_sources(self, data: h5py.Dataset) -> None:
        # HDF5 silently returns the fill value for fields whose file does not exist.
        for source in data.virtual_sources():
            if not (self.path.parent / source.file_name).exists():
                self._file.close()
                raise InputError(
                    f"{self.path} is a virtual store of {source.file_name}, which does not exist "
                    "any more: put it back, or run `phire join` again."
                )

    def _read_time(self, count: int) -> TimeAxis:
        """Reads the times of ``count`` fields; steps if the store has none."""
        if "time" not in self._file:
            return TimeAxis.steps(count)
        variable = self._file["time"]
        if variable.shape != (count,):
            raise InputError(
                f"/time has the shape {variable.shape}, but /data has {count} fields: give each "
                "field its time."
            )
        units = _text(variable.attrs.get("units", "1"))
        values = variable[:]
        if " since " not in units:
            return TimeAxis(values, None)
        calendar = _text(variable.attrs.get("calendar", "standard"))
        if units == f"seconds since {EPOCH}":
            return TimeAxis(values, calendar)
        return TimeAxis.from_cf(values, units, calendar)

    def _read_grid(self, rows: int, columns: int) -> Grid:
        """Reads the grid of a given shape from the coordinates of the store."""
        if "row" in self._file and "column" in self._file:
            return Grid.pixels(rows, columns)
        if "y" in self._file and "x" in self._file:
            return self._read_curvilinear(rows, columns)
        if "latitude" not in self._file or "longitude" not in self._file:
            return Grid.bare(rows, columns)
        latitudes, longitudes = self._file["latitude"][:], self._file["longitude"][:]
        if (len(latitudes), len(longitudes)) != (rows, columns):
            raise InputError(
                f"/latitude and /longitude have {len(latitudes)} and {len(longitudes)} values, but "
                f"/data has {rows} rows and {columns} columns: give each its coordinate."
            )
        return Grid.from_coordinates(latitudes, longitudes)

    def _read_curvilinear(self, rows: int, columns: int) -> Grid:
        """Reads a projected grid by y and x, or a curvilinear one by its points."""
        y, x = self._file["y"][:], self._file["x"][:]
        if (len(y), len(x)) != (rows, columns):
            raise InputError(
                f"/y and /x have {len(y)} and {len(x)} values, but /data has {rows} rows and "
                f"{columns} columns: give each its coordinate."
            )
        if _text(self._file["y"].attrs.get("units", "")) in ("m", DEGREES):
            mapping = self._file.get(MAPPING)
            stated = "" if mapping is None else _text(mapping.attrs.get("crs_wkt", ""))
            return CurvilinearGrid.projected(y, x, stated)
        if not all(name in self._file for name in DIMENSIONS[2:]):
            return Grid.pixels(rows, columns)
        return CurvilinearGrid.of_points(*(self._file[name][:] for name in DIMENSIONS[2:]))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (C, T, H, W) of the dataset ``/data``."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored values."""
        return self._data.dtype

    @property
    def record(self) -> dict[str, Any] | None:
        """Provenance (:func:`phire.provenance.record`); None if phire did not make the store."""
        text = self._file.attrs.get(RECORD)
        return None if text is None else json.loads(_text(text))

    @property
    def missing(self) -> tuple[int, int] | None:
        """Numbers of missing values and of entirely missing fields; None if not counted.

        A field is entirely missing if every point lacks at least one channel.
        """
        counts = self._data.attrs.get(MISSING)
        return None if counts is None else (int(counts[0]), int(counts[1]))

    @property
    def infinite(self) -> int | None:
        """Number of infinite values; None if not counted."""
        count = self._data.attrs.get(INFINITE)
        return None if count is None else int(count)

    @property
    def cell_methods(self) -> tuple[str, ...]:
        """CF ``cell_methods`` of each channel; an empty tuple if the store states none."""
        if CELL_METHODS not in self._file:
            return ()
        return tuple(_text(method) for method in self._file[CELL_METHODS][:])

    @property
    def static_maps(self) -> dict[str, str]:
        """Units of the static maps under ``/static``, by name."""
        group = self._file.get(STATIC)
        if not isinstance(group, h5py.Group):
            return {}
        return {name: _text(group[name].attrs.get("units", "")) for name in group}

    @property
    def parts(self) -> list[Path]:
        """Paths of the stores joined in a virtual store; an empty list for other stores."""
        if not self._data.is_virtual:
            return []
        return [self.path.parent / source.file_name for source in self._data.virtual_sources()]

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
        channels, count, height, width = self._data.shape
        chosen = indices(times, count)
        window = (range(height)[rows], range(width)[columns])
        fields = np.empty((len(chosen), *map(len, window), channels), np.float32)
        plane = np.empty(tuple(map(len, window)), np.float32)
        for i, time in enumerate(chosen):
            for channel in range(channels):
                # One field of a channel is one chunk, which HDF5 decompresses once and converts to
                # float32 while reading.
                self._data.read_direct(plane, np.s_[channel, time, rows, columns])
                fields[i, :, :, channel] = plane
        for channel, rule in enumerate(self._read_as):
            rule.apply(fields[..., channel])
        return fields

    def read_planes(self, time: int, channels: Sequence[int] | None = None) -> np.ndarray:
        """Reads one field with the channels first, as stored: (C, H, W) float32.

        Args:
            time: Index of the field.
            channels: Indices of the channels; by default all.
        """
        channels = range(self.shape[0]) if channels is None else channels
        planes = np.empty((len(channels), *self.shape[2:]), np.float32)
        for place, channel in enumerate(channels):
            self._data.read_direct(planes, np.s_[channel, time], np.s_[place])
            self._read_as[channel].apply(planes[place])
        return planes

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> FieldStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_file", "_data")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


def open_store(path: str | os.PathLike) -> FieldStore:
    """Opens a field store for reading; see :class:`FieldStore`."""
    return FieldStore(path)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
