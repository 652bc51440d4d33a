"""Opening of files of any format as sources; the format is detected from the first bytes."""

from __future__ import annotations

import functools
import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import xarray as xr

from phire import progress
from phire.errors import InputError, naming_arguments
from phire.fields import grib, grib_messages
from phire.fields.collection import CollectedSource, FileMetadata
from phire.fields.dataset import DatasetSource, dataset_grid, field_variables
from phire.fields.grid import Grid
from phire.fields.selection import ChannelSelection
from phire.fields.source import Source, close
from phire.fields.source_writing import CHANNELS
from phire.fields.store import DATASET, FieldStore

Paths = str | os.PathLike | Sequence[str | os.PathLike]

STORE, NETCDF, ZARR, GRIB = "field store", "NetCDF", "Zarr", "GRIB"


@naming_arguments()
def open_source(
    paths: Paths,
    variables: Sequence[str] | None = None,
    *,
    level: float | None = None,
    member: int | None = None,
    grid: Grid | None = None,
) -> Source:
    """Opens one or more field stores, NetCDF, Zarr or GRIB files as one source.

    Args:
        paths: A file, a glob pattern such as ``era5_*.nc``, or a list of them. The files may split
            the times, the variables, or both; fields are read in the order of time.
        variables: Names of variables, one channel each; by default all.
        level: Value of the level to read, for variables with levels.
        member: Number of the ensemble member to read, for variables with members.
        grid: Grid on which spherical-harmonic coefficients of GRIB are synthesised.

    Returns:
        A :class:`phire.fields.source.Source` that can be pickled, and is a context manager that
        closes its files.

    Raises:
        InputError: A file does not exist, has a format that phire does not read, or lacks a
            variable, level or member; or the files differ in grid, units or times.
    """
    files = expand(paths)
    if len(files) == 1 and format_of(files[0]) == STORE:
        store = FieldStore(files[0])
        if level is not None or member is not None or grid is not None:
            store.close()
            raise InputError(
                f"{files[0]} is a field store, which has no levels, members and coefficients: "
                "leave out --level, --member and --grid."
            )
        return store if variables is None else OpenSelection(store, variables)
    parts = open_parts(files, variables, level=level, member=member, grid=grid)
    check_choices(parts, level=level, member=member, grid=grid)
    return CollectedSource(parts, variables)


def open_parts(
    files: Sequence[Path],
    variables: Sequence[str] | None = None,
    *,
    level: float | None = None,
    member: int | None = None,
    grid: Grid | None = None,
) -> list[FileMetadata]:
    """Reads the metadata of all files that have one of the variables.

    Args:
        files: The files.
        variables, level, member, grid: See :func:`open_source`.

    Raises:
        InputError: A variable is in none of the files, or a file cannot be read.
    """
    names: dict[str, None] = {}
    parts: list[FileMetadata] = []
    for path in progress.tracked(files, "opening", unit="files") if len(files) > 8 else files:
        opener, source, available = _open_file(path, variables, level, member, grid)
        names |= dict.fromkeys(available)
        if source is None:
            continue
        parts.append(FileMetadata.of(str(path), opener, source))
        close(source)
    missing = [v for v in variables or () if not any(v in part.channels for part in parts)]
    if missing:
        several = len(files) > 1
        where = f"{len(files)} files ({files[0].name} …) have" if several else f"{files[0]} has"
        raise InputError(
            f"{where} no variable {missing[0]!r} of fields; "
            f"{'they have' if several else 'it has'} {', '.join(names)}."
        )
    return parts


def check_choices(
    parts: Sequence[FileMetadata],
    *,
    level: float | None = None,
    member: int | None = None,
    grid: Grid | None = None,
) -> None:
    """Checks that a given level, member or grid of synthesis applies to at least one file.

    Args:
        parts: The files.
        level, member, grid: See :func:`open_source`.

    Raises:
        InputError: No file has levels, members or coefficients to choose from.
    """
    first = Path(parts[0].name)
    several = len(parts) > 1
    where = f"{len(parts)} files ({first.name} …)" if several else str(first)
    if level is not None and not any(part.has_levels for part in parts):
        raise InputError(f"--level {level:g}: the variables of {where} have no levels to choose.")
    if member is not None and not any(part.has_members for part in parts):
        raise InputError(f"--member {member}: the variables of {where} have no members to choose.")
    if grid is not None and not any(part.spectral for part in parts):
        raise InputError(
            f"--grid: {where} {'have' if several else 'has'} no spherical-harmonic coefficients to "
            "synthesise; gridded fields keep their grid."
        )


class OpenSelection(ChannelSelection):
    """Source of selected channels of a field store, which it closes."""

    def __init__(self, store: FieldStore, channels: Sequence[str]) -> None:
        try:
            super().__init__(store, channels, name=str(store.path))
        except InputError:
            store.close()
            raise

    def __enter__(self) -> OpenSelection:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the store."""
        self.source.close()


def split_names(text: str | os.PathLike) -> tuple[str, tuple[str, ...] | None]:
    """Splits ``FILE[:NAMES]`` into the path and the names, which are None without a colon."""
    path = os.fspath(text)
    head, colon, names = path.rpartition(":")
    if os.path.exists(path) or not colon or os.sep in names or not head:
        return path, None
    return head, tuple(name.strip() for name in names.split(",") if name.strip())


def expand_named(text: str | os.PathLike) -> list[Path]:
    """Returns the files of ``FILE[:NAMES]``, where FILE may be a pattern.

    Raises:
        InputError: A file does not exist, or a pattern matches no file.
    """
    return expand(split_names(text)[0])


def expand(paths: Paths) -> list[Path]:
    """Returns the files that match paths and glob patterns, each file once.

    Raises:
        InputError: A file does not exist, a pattern matches no file, or no path is given.
    """
    found: dict[Path, None] = {}
    for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        if os.path.exists(path):
            found[Path(path)] = None
        elif glob.has_magic(str(path)):
            matches = sorted(glob.glob(str(path), recursive=True))
            if not matches:
                raise InputError(f"{path} matches no file: check the pattern.")
            found |= dict.fromkeys(map(Path, matches))
        else:
            raise InputError(f"{path} does not exist: name a NetCDF, Zarr, GRIB or HDF5 file.")
    if not found:
        raise InputError("no source is given: name at least one file.")
    return list(found)


def is_zarr(path: str | os.PathLike) -> bool:
    """Returns True if a directory is a Zarr store, of format 2 or 3."""
    names = (".zgroup", ".zmetadata", "zarr.json")
    return any((Path(path) / name).exists() for name in names)


def format_of(path: str | os.PathLike) -> str:
    """Detects the format of a file: :data:`STORE`, :data:`NETCDF`, :data:`ZARR` or :data:`GRIB`.

    Raises:
        InputError: The file cannot be read, or has another format.
    """
    path = Path(path)
    if path.is_dir():
        if is_zarr(path):
            return ZARR
        raise InputError(
            f"{path} is a directory, but not a Zarr store: name its files, such as {path}/*.nc."
        )
    try:
        with open(path, "rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): check its permissions."
        ) from None
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return STORE if _is_store(path) else NETCDF
    if head.startswith((b"CDF\x01", b"CDF\x02", b"CDF\x05")):
        return NETCDF
    if b"GRIB" in head:
        return GRIB
    raise InputError(f"{path} is not NetCDF, Zarr, GRIB or HDF5, the formats that phire reads.")


def _is_store(path: Path) -> bool:
    """Returns True if an HDF5 file is a field store, not NetCDF; both may have a dataset ``data``.

    Damaged files count as field stores: opening them gives the message.
    """
    try:
        with h5py.File(path, "r") as file:
            data = file.get(DATASET)
            if not isinstance(data, h5py.Dataset):
                # Without any dimension scale it is not NetCDF either, and opening it as a store
                # reports what is missing. A list, not an iterator: a suspended iterator of h5py
                # holds h5py's lock, and another thread that frees it would wait forever.
                items = list(file.values())
                return not any(b"DIMENSION_SCALE" in _class(item) for item in items)
            scales = data.dims[0].keys() if data.ndim else []
            return "channel" in scales or not scales
    except OSError:
        return True


def _class(item: h5py.Dataset | h5py.Group) -> bytes:
    found = item.attrs.get("CLASS", b"")
    return found if isinstance(found, bytes) else str(found).encode()


def open_dataset(path: str | os.PathLike) -> xr.Dataset:
    """Opens NetCDF or Zarr lazily with xarray, without caching.

    Raises:
        InputError: xarray cannot open the file or decode its times.
    """
    options: dict[str, object] = {"engine": "netcdf4"}
    zarr = format_of(path) == ZARR
    if zarr:
        options = {"engine": "zarr", "consolidated": _is_consolidated(Path(path))}
    try:
        dataset = xr.open_dataset(path, chunks=None, cache=False, decode_timedelta=False, **options)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} cannot be opened by xarray: {error}") from None
    if not zarr:
        return dataset
    # The variables of a Zarr directory have no order. phire stores that of the channels; otherwise
    # they are sorted by name.
    first = [name for name in dataset.attrs.get(CHANNELS, ()) if name in dataset.data_vars]
    return dataset[first + sorted(set(dataset.data_vars) - set(first))]


def _is_consolidated(path: Path) -> bool:
    described = path / "zarr.json"
    return (path / ".zmetadata").exists() or (
        described.exists() and '"consolidated_metadata"' in described.read_text(encoding="utf-8")
    )


def _open_file(
    path: Path,
    variables: Sequence[str] | None,
    level: float | None,
    member: int | None,
    grid: Grid | None,
) -> tuple[Callable[[], Source], Source | None, list[str]]:
    """Opens the wanted variables of one file.

    Args:
        path: The file.
        variables, level, member, grid: See :func:`open_source`.

    Returns:
        A picklable function that opens the file again, the open source (None if the file has none
        of the variables), and the names of all variables of the file.
    """
    kind = format_of(path)
    if kind == GRIB:
        messages = grib_messages.scan(path)
        available = list(dict.fromkeys(m.variable for m in messages))
        present = _present(variables, available, {m.short_name for m in messages})
        opener = functools.partial(
            grib.GribSource,
            path,
            variables=present,
            level=level,
            member=member,
            grid=grid,
            messages=messages,
        )
        return opener, opener() if present else None, available
    if kind == STORE:
        store = FieldStore(path)
        available = list(store.channels)
        present = _present(variables, available)
        if not present:
            store.close()
        source = OpenSelection(store, present) if present else None
        return functools.partial(_open_store_channels, path, present), source, available
    dataset = open_dataset(path)
    available = field_variables(dataset, variables)
    if not available:
        dataset.close()
        raise InputError(
            f"{path} has no variable with rows and columns (it has "
            f"{', '.join(map(str, dataset.variables)) or 'no variables'}): name a file of "
            "gridded fields."
        )
    present = _present(variables, available)
    opener = functools.partial(_open_variables, path, present, level, member)
    return (
        opener,
        _of_dataset(dataset, path, present, level, member) if present else None,
        available,
    )


def _present(
    variables: Sequence[str] | None, available: list[str], aliases: set[str] = frozenset()
) -> list[str]:
    if variables is None:
        return available
    return [name for name in variables if name in available or name in aliases]


def _open_variables(
    path: Path, variables: Sequence[str], level: float | None, member: int | None
) -> DatasetSource:
    return _of_dataset(open_dataset(path), path, variables, level, member)


def _of_dataset(
    dataset: xr.Dataset,
    path: Path,
    variables: Sequence[str],
    level: float | None,
    member: int | None,
) -> DatasetSource:
    return DatasetSource(dataset, variables=variables, level=level, member=member, name=str(path))


def _open_store_channels(path: Path, channels: Sequence[str]) -> OpenSelection:
    return OpenSelection(FieldStore(path), channels)


def grid_of_file(path: str | os.PathLike) -> Grid:
    """Returns the grid of the fields of a file, which may lack times.

    Raises:
        InputError: The file does not exist, has a format that phire does not read, or has no grid.
    """
    (path,) = expand(path)[:1]
    if format_of(path) in (NETCDF, ZARR):
        with open_dataset(path) as dataset:
            try:
                grid = dataset_grid(dataset)
            except InputError as error:
                raise InputError(f"{path}: {error}") from None
    elif format_of(path) == GRIB:
        grid = grib.GribSource(path, messages=grib_messages.scan(path)[:1]).grid
    else:
        with FieldStore(path) as store:
            grid = store.grid
    if grid is None or not grid.has_points:
        raise InputError(
            f"{path} has no grid: name a file of fields with latitudes and longitudes, or with a "
            "projection."
        )
    return grid
