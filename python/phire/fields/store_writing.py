"""Writing of field stores: HDF5 file, CF coordinates, times, periods and static maps."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from phire import provenance
from phire.fields.cell_methods import BOUNDS, VERTICES, TimeCells
from phire.fields.compression import BLOSC
from phire.fields.grid import Grid
from phire.fields.guarded_file import GuardedHDF5
from phire.fields.source import (
    WIND_DIRECTION,
    Source,
    field_attributes,
    grid_coordinates,
    horizontal_names,
)
from phire.fields.store import CELL_METHODS, DATASET, DIMENSIONS, INFINITE, MISSING, RECORD, STATIC
from phire.fields.time_axis import TimeAxis
from phire.fields.unusable_values import UnusableValues


class StoreWriter:
    """Writer of a field store, to which fields are appended along time.

    To be used within :func:`phire.files.replacing`: the file is a valid store after it is closed.

    Args:
        path: Path of the file.
        channels: Names of the channels.
        units: Units of each channel.
        grid: The grid; rows are stored in its order.
        time: Times of all fields; by default each :meth:`append` gives those of its fields.
        dtype: float32 or float64.
        record: Provenance, stored as JSON; see :func:`phire.provenance.record`.
        attributes: Further attributes of the file.
        static: Source of one field with static maps on the same grid.
        cells: Periods and statistics of aggregated fields.
        wind_directions: See :func:`phire.fields.source.wind_directions`.
        unusable: Counts to which the appended fields are added; by default new ones.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        channels: Sequence[str],
        units: Sequence[str],
        grid: Grid,
        time: TimeAxis | None = None,
        dtype: str = "float32",
        record: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
        static: Source | None = None,
        cells: TimeCells | None = None,
        wind_directions: Sequence[str] = (),
        unusable: UnusableValues | None = None,
    ) -> None:
        self._time = time
        self._cells = cells
        self._static = static
        self._appended: list[TimeAxis] = []
        self._count = 0
        self._unusable = UnusableValues() if unusable is None else unusable
        self._file = GuardedHDF5(path)
        shape = (len(channels), 0, *grid.shape)
        self._data = self._file.create_dataset(
            DATASET,
            shape=shape,
            maxshape=(shape[0], None, *grid.shape),
            chunks=(1, 1, *grid.shape),
            dtype=dtype,
            fillvalue=np.nan,
            **BLOSC,
        )
        describe_data(self._file, channels, units, grid, wind_directions)
        if record is not None:
            self._file.attrs[RECORD] = json.dumps(record)
            if {"created", "command"} <= record.keys():
                self._file.attrs["history"] = provenance.history(record)
        self._file.attrs.update(attributes or {})

    def append(self, fields: np.ndarray, time: TimeAxis | None = None) -> None:
        """Appends fields.

        Args:
            fields: (n, H, W, C).
            time: Times of these fields, if the writer was created without times.
        """
        count = len(fields)
        self._unusable.add(fields)
        self._data.resize(self._count + count, axis=1)
        self._data[:, self._count : self._count + count] = np.moveaxis(fields, -1, 0)
        self._file.check()  # a full disk is noticed here, not only when the file is closed
        self._count += count
        if time is not None:
            self._appended.append(time)

    def close(self) -> None:
        """Writes the coordinates and closes the file."""
        time = self._time
        if time is None:
            time = TimeAxis.concatenate(self._appended) if self._appended else TimeAxis.steps(0)
        found = self._unusable
        self._data.attrs[MISSING] = np.array([found.missing, found.wholly], np.int64)
        self._data.attrs[INFINITE] = found.infinite
        # Fewer fields than announced times: the work was cut short.
        attach_time(self._file, time[: self._count] if self._count else TimeAxis.steps(0))
        if self._cells is not None:
            attach_cells(self._file, self._cells)
        if self._static is not None:
            write_static_maps(self._file, self._static)
        self._file.close()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        if kind is None:
            self.close()
        else:  # the partial file is discarded: its coordinates need not be written
            self._file.close()


def describe_data(
    file: h5py.File, channels: Sequence[str], units: Sequence[str], grid: Grid,
    wind_directions: Sequence[str] = (),
) -> None:  # fmt: skip
    """Writes the description of ``/data`` except its times: channels, units, wind axes and grid.

    Args:
        file: A file with the dataset ``/data``.
        channels, units, grid, wind_directions: See :class:`StoreWriter`.
    """
    if any(wind_directions):
        file[DATASET].attrs[WIND_DIRECTION] = np.array(
            list(wind_directions), dtype=h5py.string_dtype()
        )
    file[DATASET].attrs["channel_units"] = np.array(list(units), dtype=h5py.string_dtype())
    for name, texts in (("channel", channels), ("channel_units", units)):
        file[name] = np.array([str(text) for text in texts], dtype=h5py.string_dtype())
    for name, (_, values, attributes) in grid_coordinates(grid).items():
        file[name] = values
        file[name].attrs.update(attributes)
    if not grid.has_distances:
        for name, size in zip(horizontal_names(grid), grid.shape):
            file[name] = np.arange(size)
    file[DATASET].attrs.update(field_attributes(grid, ""))
    file.attrs["Conventions"] = "CF-1.10"


def attach_time(file: h5py.File, time: TimeAxis) -> None:
    """Writes the times of ``/data`` and attaches all coordinates as dimension scales.

    Args:
        file: A file after :func:`describe_data`.
        time: Times of the fields.
    """
    values, attributes = time.to_cf()
    file["time"] = np.asarray(values, dtype=np.int64)
    file["time"].attrs.update(attributes)
    horizontal = next(
        pair for pair in (("y", "x"), DIMENSIONS[2:], ("row", "column")) if pair[0] in file
    )
    for axis, name in enumerate((*DIMENSIONS[:2], *horizontal)):
        file[name].make_scale(name)
        file[DATASET].dims[axis].attach_scale(file[name])
    for name in DIMENSIONS[2:]:
        if horizontal == ("y", "x") and name in file:
            for axis, dimension in enumerate(horizontal):
                file[name].dims[axis].attach_scale(file[dimension])
            file[DATASET].attrs["coordinates"] = " ".join(DIMENSIONS[2:])
    file["channel_units"].dims[0].attach_scale(file["channel"])


def attach_cells(file: h5py.File, cells: TimeCells) -> None:
    """Writes the periods of aggregated fields and the statistic of each channel.

    Args:
        file: A file after :func:`attach_time`.
        cells: Periods and statistics.
    """
    file[BOUNDS] = cells.values()
    file["time"].attrs["bounds"] = BOUNDS
    file[VERTICES] = np.arange(2)
    file[VERTICES].make_scale(VERTICES)
    for axis, name in enumerate(("time", VERTICES)):
        file[BOUNDS].dims[axis].attach_scale(file[name])
    file[CELL_METHODS] = np.array(cells.methods, dtype=h5py.string_dtype())
    file[CELL_METHODS].dims[0].attach_scale(file["channel"])
    if cells.methods[0] and len(set(cells.methods)) == 1:
        file[DATASET].attrs["cell_methods"] = cells.methods[0]


def write_static_maps(file: h5py.File, maps: Source) -> None:
    """Writes static maps under ``/static`` of a store, or of a file without fields.

    Coordinates of the file, if it has any, are attached as dimension scales.

    Args:
        file: The file.
        maps: Source of one field, with one channel for each map.
    """
    fields = maps.read([0])[0]
    group = file.create_group(STATIC, track_order=True)  # in the order of the maps, not by name
    for c, (name, unit) in enumerate(zip(maps.channels, maps.units)):
        group.create_dataset(name, data=fields[..., c], chunks=fields.shape[:2], **BLOSC)
        group[name].attrs["units"] = unit
        for axis, dimension in enumerate(horizontal_names(maps.grid)):
            if dimension in file:
                group[name].dims[axis].attach_scale(file[dimension])
