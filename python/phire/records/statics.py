"""Static maps: read from any file onto the fine grid, kept once in a directory of records."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields.compression import BLOSC
from phire.fields.dataset import DatasetSource, horizontal_dimensions
from phire.fields.grid import Grid
from phire.fields.guarded_file import GuardedHDF5
from phire.fields.opening import NETCDF, STORE, ZARR, format_of, open_dataset
from phire.fields.source import ArraySource, Source
from phire.fields.store import FieldStore
from phire.fields.time_coordinate import time_dimensions
from phire.records.inputs import InputFile, split_names
from phire.records.matching import Points

NAME = "static.h5"
GROUP = "static"


def read_static(
    text: str,
    find: Callable[[Grid], Points | None],
    wanted: Grid,
    *,
    fine: str,
    option: str = "--static",
) -> ArraySource:
    """Reads the maps of ``FILE[:NAMES]`` on the fine grid.

    Taken are variables without time, or with one time; of a store also its ``/static`` maps.

    Args:
        text: The file and, if not all, the names of its maps.
        find: Finds the points of the fine grid in another; None where it lacks one.
        wanted: The fine grid.
        fine: What the fine fields are called, for messages.
        option: What the user gave it by, for messages.

    Returns:
        A source of one field, (1, H, W, maps).

    Raises:
        InputError: The file has no such map, one with several times, or another grid.
    """
    path, names = split_names(text)
    where = f"{option} {path}"
    with _open(path, names, where) as source:
        if len(source.time) > 1:
            raise InputError(
                f"{where} has {len(source.time)} times ({', '.join(source.channels)}): a static "
                "map has none, or one; give what changes in time as --auxiliary."
            )
        points = find(source.grid)
        if points is None:
            raise InputError(
                f"{where} lies on a {source.grid.describe()}, not on the points of {fine} "
                f"({wanted.describe()}): regrid it to these first."
            )
        maps = source.read([0])[:, points[0][:, None], points[1]]
        channels, units = source.channels, source.units
    for c, name in enumerate(channels):
        if np.isinf(maps[..., c]).any():
            raise InputError(f"{where}: {name} holds infinite values: mark them as missing.")
        if np.isnan(maps[..., c]).all():
            raise InputError(f"{where}: {name} is missing at all points of {fine}.")
    return ArraySource(maps, channels=channels, units=units, grid=wanted)


def _open(path: str, names: Sequence[str] | None, where: str) -> contextlib.AbstractContextManager:
    """The maps as a source that closes as a context manager."""
    if not Path(path).exists():
        raise InputError(f"{where} does not exist: name a store, NetCDF or Zarr of maps.")
    kind = format_of(path)
    if kind in (NETCDF, ZARR):
        return _of_dataset(path, names, where)
    if kind == STORE:
        maps = _group_maps(path, names)
        if maps is not None:
            return contextlib.nullcontext(maps)
    return InputFile(path, where.removesuffix(f" {path}"), names)


def _of_dataset(path: str, names: Sequence[str] | None, where: str) -> DatasetSource:
    dataset = open_dataset(path)
    found = {
        str(name): array
        for name, array in dataset.data_vars.items()
        if array.dtype.kind in "fiu" and len(horizontal_dimensions(array)) == 2
    }
    for name in names or ():
        if name not in found:
            dataset.close()
            raise InputError(f"{where} has no map {name!r}; it has {', '.join(found) or 'none'}.")
    if names is None:
        still = [name for name, array in found.items() if _times(array) <= 1]
        names = still or list(found)
    if not names:
        dataset.close()
        raise InputError(f"{where} holds no map (a variable with rows and columns).")
    maps = {}
    for name in names:
        array = found[name]
        if _times(array) > 1:
            dataset.close()
            raise InputError(
                f"{where}: {name} has {_times(array)} times: a static map has none, or one; give "
                "what changes in time as --auxiliary."
            )
        array = array.isel(dict.fromkeys(time_dimensions(array), 0))
        kept = [*map(str, horizontal_dimensions(array))]
        array = array.drop_vars([c for c in array.coords if str(c) not in kept])
        maps[name] = array.expand_dims(time=np.zeros(1, np.int64))
    return DatasetSource(xr.Dataset(maps), name=path)


def _times(array: xr.DataArray) -> int:
    return int(np.prod([array.sizes[dimension] for dimension in time_dimensions(array)]))


def _group_maps(path: str, names: Sequence[str] | None) -> ArraySource | None:
    """The maps under ``/static`` of a store; None where these are not meant."""
    with FieldStore(path) as store, h5py.File(path, "r") as file:
        group = file.get(GROUP)
        if not isinstance(group, h5py.Group) or (names and any(n not in group for n in names)):
            return None
        names = tuple(names or group)
        units = [str(group[name].attrs.get("units", "")) for name in names]
        fields = np.stack([group[name][...] for name in names], axis=-1)[None]
        return ArraySource(fields, channels=names, units=units, grid=store.grid)


def write_statics(directory: Path, maps: Source) -> None:
    """Writes maps, in physical units, into a directory of records."""
    fields = maps.read([0])[0]
    with GuardedHDF5(directory / NAME) as file:
        group = file.create_group(GROUP, track_order=True)
        for c, (name, unit) in enumerate(zip(maps.channels, maps.units)):
            group.create_dataset(name, data=fields[..., c], chunks=fields.shape[:2], **BLOSC)
            group[name].attrs["units"] = unit


def load_statics(directory: Path, channels: Sequence[str]) -> np.ndarray:
    """Reads the maps of a directory of records: (H, W, C) float32, in physical units.

    Raises:
        InputError: The file is missing or lacks a map.
    """
    path = Path(directory) / NAME
    try:
        with h5py.File(path, "r") as file:
            return np.stack([file[GROUP][name][...] for name in channels], axis=-1)
    except (OSError, KeyError):
        raise InputError(
            f"{path} is missing or lacks one of {', '.join(channels)}: make the records anew."
        ) from None
