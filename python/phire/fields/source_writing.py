"""Writing of sources to field stores, NetCDF and Zarr, a few fields at a time."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import lazy_loader
import numpy as np
import xarray as xr

from phire import existing_outputs, files, interruption, progress, provenance
from phire.errors import InputError
from phire.fields.cell_methods import BOUNDS, VERTICES, TimeCells
from phire.fields.cluster import results_in_order
from phire.fields.guarded_file import GuardedHDF5
from phire.fields.source import (
    WIND_DIRECTION,
    Source,
    Times,
    TimeSelection,
    field_attributes,
    field_coordinates,
    grid_coordinates,
    horizontal_names,
    member_coordinate,
    member_count,
    read_members,
    wind_directions,
)
from phire.fields.store import RECORD
from phire.fields.store_writing import StoreWriter
from phire.fields.time_blocks import member_blocks
from phire.fields.unusable_values import UnusableValues, counting_infinite

# Loaded at its first use: importing Zarr takes a fifth of the start of commands and workers.
zarr = lazy_loader.load("zarr")


CHANNELS = "channels"
"""Attribute of a Zarr group with the order of the channels, which a directory does not keep."""

SUFFIXES = {".h5": "h5", ".hdf5": "h5", ".nc": "nc", ".zarr": "zarr"}

Append = Callable[[np.ndarray, slice, slice], None]
"""Function that writes fields (m, n, H, W, C) at slices of times and members."""


def write_source(
    source: Source,
    output: str | os.PathLike,
    *,
    options: Mapping[str, Any] | None = None,
    times: Times | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
    description: str = "writing",
    attributes: Mapping[str, Any] | None = None,
    static: Source | None = None,
    cells: TimeCells | None = None,
    client: Any = None,
) -> UnusableValues:
    """Writes the fields of a source to a field store (.h5), CF NetCDF (.nc) or Zarr (.zarr).

    Memory does not grow with the number of fields or members. The output appears under its name
    when it is complete. Ensemble members are written along a dimension ``member``, which field
    stores do not have.

    Args:
        source: The source, possibly of an ensemble.
        output: Path of the file, or of the directory for Zarr; its suffix gives the format.
        options: Options that affect the result, which are stored with it. If the output exists
            and was made with equal options, nothing is written.
        times: Indices of the fields to write; by default all.
        dtype: float32 or float64.
        overwrite: Replace an existing output.
        description: Text before the progress bar.
        attributes: Further attributes of the file, such as a CF ``comment``.
        static: Source of one field with static maps on the same grid. They are written under
            ``/static`` of a store, or as variables without time.
        cells: Periods and statistics of aggregated fields, at the written times.
        client: Client from :func:`phire.fields.cluster.cluster`, on whose workers fields are read;
            None reads them in this process.

    Returns:
        The numbers of missing and infinite values; zeros if nothing was written.

    Raises:
        InputError: The suffix is unknown, the format cannot hold members, or the output exists
            and was made with other options.
    """
    if member_count(source) > 1 and output_format(output) == "h5":
        raise InputError(
            f"{output}: a field store has no dimension for the {source.members} members: name an "
            "output that ends with .nc or .zarr."
        )
    options = dict(options or {})
    unusable = UnusableValues()
    if fields_already_made(output, options, overwrite):
        return unusable
    chosen = source if times is None else TimeSelection(source, times)
    record = provenance.record(options)
    with (
        files.replacing(output) as partial,
        interruption.shielded_context(
            _writer,
            output,
            partial,
            chosen,
            dtype,
            record,
            dict(attributes or {}),
            static,
            cells,
            unusable,
        ) as append,
        progress.progress_bar(
            description, len(chosen.time) * member_count(source), "fields"
        ) as advance,
    ):
        slices = list(member_blocks(source, len(chosen.time)))
        read = results_in_order(_read_block, chosen, slices, client, description=description)
        for (block, members), (fields, regridded) in zip(slices, read):
            # A signal within a write of HDF5, or of Zarr's threads, would leave a file that can be
            # neither closed nor removed.
            with interruption.deferred():
                append(fields, block, members)
            unusable.regridded += regridded
            if output_format(output) != "h5":  # the writer of a store counts them itself
                unusable.add(fields)
            advance(fields.shape[0] * fields.shape[1])
    return unusable


def _read_block(source: Source, block: tuple[slice, slice]) -> tuple[np.ndarray, int]:
    """Reads fields (m, n, H, W, C) of a block of times and members.

    Returns:
        The fields, and the number of infinite values before regridding.
    """
    times, members = block
    with counting_infinite() as regridded:
        fields = read_members(source, times, members)
    return np.moveaxis(fields, 1, 0), sum(regridded)


def fields_already_made(
    output: str | os.PathLike, options: Mapping[str, Any], overwrite: bool
) -> bool:
    """Returns True if an output of fields exists and was made with the same options.

    Args:
        output: Path of the output.
        options, overwrite: See :func:`phire.existing_outputs.already_made`.

    Raises:
        InputError: The suffix is unknown, or the output was made with other options.
    """
    output_format(output)
    recorded = options_of_fields(output) if os.path.lexists(output) and not overwrite else None
    return existing_outputs.already_made(output, recorded, options, overwrite)


def output_format(output: str | os.PathLike) -> str:
    """Returns the format of an output by its suffix: ``h5``, ``nc`` or ``zarr``.

    Raises:
        InputError: The suffix is unknown.
    """
    suffix = Path(output).suffix.lower()
    if suffix not in SUFFIXES:
        has = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise InputError(
            f"{output} has {has}: name an output that ends with .h5 (a field store), .nc (NetCDF) "
            "or .zarr."
        )
    return SUFFIXES[suffix]


def require_netcdf_name(output: str | os.PathLike) -> None:
    """Checks that the path of a NetCDF output ends with .nc.

    Raises:
        InputError: It has another suffix.
    """
    if Path(output).suffix.lower() != ".nc":
        raise InputError(f"{output} must end with .nc: it is a NetCDF file.")


def options_of_fields(path: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the options stored in a file of fields; None if phire did not write it."""
    path, record = Path(path), None
    with contextlib.suppress(OSError, InputError, ValueError):
        if path.is_dir():
            record = zarr.open_group(path, mode="r").attrs.get(RECORD)
        else:
            with h5py.File(path, "r") as file:
                record = file.attrs.get(RECORD)
    if record is None:
        return None
    return json.loads(record.decode() if isinstance(record, bytes) else str(record)).get("options")


@contextlib.contextmanager
def _writer(
    output: str | os.PathLike,
    partial: Path,
    source: Source,
    dtype: str,
    record: Mapping[str, Any],
    attributes: Mapping[str, Any],
    static: Source | None,
    cells: TimeCells | None,
    unusable: UnusableValues,
) -> Iterator[Append]:
    """Creates the output and yields the function that writes fields to it.

    Args:
        output: Final path, whose suffix gives the format.
        partial: Temporary path to write at.
        source: Source of the fields to be written.
        dtype, attributes, static, cells: See :func:`write_source`.
        record: Provenance; see :func:`phire.provenance.record`.
        unusable: Counts, updated by the writer of a field store.
    """
    kind = output_format(output)
    if kind == "h5":
        with StoreWriter(
            partial,
            channels=source.channels,
            units=source.units,
            grid=source.grid,
            time=source.time,
            dtype=dtype,
            record=record,
            attributes=attributes,
            static=static,
            cells=cells,
            wind_directions=wind_directions(source),
            unusable=unusable,
        ) as writer:
            yield lambda fields, times, members: writer.append(fields[0])
    elif kind == "nc":
        attributes = {**_described(record), **attributes}
        with GuardedHDF5(partial, in_order=True) as guarded:
            with _netcdf(guarded, source, dtype, attributes, cells) as file:
                for name, values, described in _map_variables(static, source):
                    variable = file.create_variable(name, horizontal_names(source.grid), np.float32)
                    variable.attrs.update(described)
                    variable[...] = values
                yield functools.partial(_append_netcdf, file, source)
    else:
        attributes = {**_described(record), **attributes}
        group = _zarr(partial, source, dtype, attributes, static, cells)
        yield functools.partial(_append_zarr, group, source)
        with warnings.catch_warnings():
            # Zarr warns that format 3 does not specify consolidated metadata. They are written
            # nevertheless: xarray reads them, and warns about stores without.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(partial)


def _described(record: Mapping[str, Any]) -> dict[str, str]:
    """Returns the attributes of a file with its CF version and provenance."""
    return {
        "Conventions": "CF-1.10",
        "history": provenance.history(record),
        RECORD: json.dumps(record),
    }


def _netcdf(
    guarded: GuardedHDF5,
    source: Source,
    dtype: str,
    attributes: Mapping[str, Any],
    cells: TimeCells | None = None,
) -> h5netcdf.File:
    """Returns a CF NetCDF-4 file with coordinates and one empty variable for each channel."""
    file = h5netcdf.File(guarded, "a")
    file.attrs.update(attributes)
    values, attributes = source.time.to_cf()
    coordinates = {"time": ("time", values, attributes)}
    horizontal = horizontal_names(source.grid)
    coordinates |= grid_coordinates(source.grid)
    dimensions = ("time", *horizontal)
    chunks = (1, *source.grid.shape)
    members = member_count(source)
    if members > 1:
        coordinates |= member_coordinate(members)
        dimensions, chunks = ("member", *dimensions), (1, *chunks)
        file.dimensions["member"] = members
    file.dimensions["time"] = None
    file.resize_dimension("time", len(values))
    for name, size in zip(horizontal, source.grid.shape):
        file.dimensions[name] = size
    for name, (dimension, values, attributes) in coordinates.items():
        along = (dimension,) if isinstance(dimension, str) else dimension
        variable = file.create_variable(name, along, values.dtype)
        variable.attrs.update(attributes)
        variable[...] = values
    if cells is not None:
        file["time"].attrs["bounds"] = BOUNDS
        file.dimensions[VERTICES] = 2
        file.create_variable(BOUNDS, ("time", VERTICES), np.int64)[...] = cells.values()
    for channel, attributes in zip(source.channels, _channel_attributes(source, cells)):
        variable = file.create_variable(
            channel,
            dimensions,
            np.dtype(dtype),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
            chunks=chunks,
            fillvalue=np.dtype(dtype).type(np.nan),
        )
        variable.attrs.update(attributes)
        if "latitude" in coordinates and "latitude" not in horizontal:
            variable.attrs["coordinates"] = "latitude longitude"
    return file


def _channel_attributes(source: Source, cells: TimeCells | None) -> list[dict[str, str]]:
    """Returns the CF attributes of the variable of each channel."""
    described = [field_attributes(source.grid, unit) for unit in source.units]
    for attributes, direction in zip(described, wind_directions(source)):
        if direction:
            attributes[WIND_DIRECTION] = direction
    for attributes, method in zip(described, () if cells is None else cells.methods):
        if method:
            attributes["cell_methods"] = method
    return described


def _append_netcdf(
    file: h5netcdf.File, source: Source, fields: np.ndarray, times: slice, members: slice
) -> None:
    for c, channel in enumerate(source.channels):
        if member_count(source) == 1:
            file[channel][times] = fields[0, ..., c]
        else:
            file[channel][members, times] = fields[..., c]


def map_names_taken(output: str | os.PathLike, source: Source) -> tuple[str, ...]:
    """Returns the names of an output's channels and coordinates, which no static map may have."""
    if output_format(output) == "h5":
        return source.channels
    return (*source.channels, *horizontal_names(source.grid), "latitude", "longitude")


def _map_variables(
    static: Source | None, source: Source
) -> Iterator[tuple[str, np.ndarray, dict[str, str]]]:
    """Yields names, values (H, W) and attributes of static maps.

    Raises:
        InputError: A map has the name of a channel or coordinate.
    """
    if static is None:
        return
    fields = static.read([0])[0]
    for c, (name, unit) in enumerate(zip(static.channels, static.units)):
        if name in source.channels:
            raise InputError(f"a static map and a channel are both called {name}: rename one.")
        if name in (*horizontal_names(source.grid), "latitude", "longitude"):
            raise InputError(
                f"{name} is a coordinate of NetCDF and Zarr files: leave out the static map of "
                "this name, or write a store (.h5)."
            )
        yield name, fields[..., c], field_attributes(source.grid, unit)


def _zarr(
    path: Path,
    source: Source,
    dtype: str,
    attributes: Mapping[str, Any],
    static: Source | None = None,
    cells: TimeCells | None = None,
) -> zarr.Group:
    """Returns a Zarr group with coordinates, static maps and one empty array for each channel."""
    import dask.array

    dimensions, coordinates = field_coordinates(source, source.time)
    shape = (len(source.time), *source.grid.shape)
    chunk = (1, *source.grid.shape)
    if member_count(source) > 1:
        shape, chunk = (source.members, *shape), (1, *chunk)
    # compute=False below writes only the metadata of this array.
    empty = dask.array.full(shape, np.nan, chunks=-1, dtype=dtype)
    variables = {
        name: (dimensions, empty, described)
        for name, described in zip(source.channels, _channel_attributes(source, cells))
    }
    if cells is not None:
        variables[BOUNDS] = (("time", VERTICES), cells.coordinate())
    dataset = xr.Dataset(variables, coordinates, {**attributes, CHANNELS: list(source.channels)})
    encoding: dict[str, dict[str, Any]] = {name: {"chunks": chunk} for name in source.channels}
    encoding["time"] = {"chunks": (max(1, len(source.time)),), "dtype": "int64"}
    if source.time.has_calendar:
        _, cf = source.time.to_cf()
        encoding["time"] |= {name: cf[name] for name in ("units", "calendar")}
    if cells is not None:
        dataset["time"].attrs["bounds"] = BOUNDS
        encoding[BOUNDS] = {name: encoding["time"][name] for name in ("units", "calendar", "dtype")}
    dataset.to_zarr(path, mode="w", encoding=encoding, compute=False, consolidated=False)
    maps = {
        name: (horizontal_names(source.grid), values, described)
        for name, values, described in _map_variables(static, source)
    }
    if maps:
        xr.Dataset(maps).to_zarr(path, mode="a", consolidated=False)
    return zarr.open_group(path, mode="r+")


def _append_zarr(
    group: zarr.Group, source: Source, fields: np.ndarray, times: slice, members: slice
) -> None:
    # One chunk at a time: Zarr writes several in threads, which continue after one has failed.
    for c, channel in enumerate(source.channels):
        for m, n in np.ndindex(fields.shape[:2]):
            place = (members.start + m, times.start + n)[member_count(source) == 1 :]
            group[channel][place] = fields[m, n, ..., c]
