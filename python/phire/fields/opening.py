"""Opening files of any format as sources; the format is detected from their first bytes."""

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
from phire.fields.collection import CollectedSource, Part
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
    """Opens a field store, NetCDF, Zarr or GRIB, or many of them, as one source.

    Args:
        paths: A file, a pattern such as ``era5_*.nc``, or several; one per year, per variable, per
            day or all at once. Their fields are put in the order of time.
        variables: Names of variables, a channel each; by default all.
        level: The value of the level to read, where variables have several.
        member: The number of the ensemble's member to read, where variables have several.
        grid: The grid to synthesise spherical-harmonic coefficients of GRIB on.

    Returns:
        A :class:`phire.fields.source.Source`; it can be pickled, and closes as a context manager.

    Raises:
        InputError: A file is missing, of no format that phire reads, or lacks what is asked for;
            the files differ in grid, units or times.
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
) -> list[Part]:
    """Reads the metadata of files that hold some of the variables; see :func:`open_source`.

    Raises:
        InputError: No file has one of the variables, or a file cannot be read.
    """
    names: dict[str, None] = {}
    parts: list[Part] = []
    for path in progress.tracked(files, "opening", unit="files") if len(files) > 8 else files:
        opener, source, available = _open_file(path, variables, level, member, grid)
        names |= dict.fromkeys(available)
        if source is None:
            continue
        parts.append(Part.of(str(path), opener, source))
        close(source)
    missing = [v for v in variables or () if not any(v in part.channels for part in parts)]
    if missing:
        several = len(files) > 1
        where = f"{len(files)} files ({files[0].name} …) have" if several else f"{files[0]} has"
        raise InputError(
            f"{where} no variable {missing[0]!r} of fields; "
            f"{'there are' if several else 'it has'} {', '.join(names)}."
        )
    return parts


def check_choices(
    parts: Sequence[Part],
    *,
    level: float | None = None,
    member: int | None = None,
    grid: Grid | None = None,
) -> None:
    """Refuses a level, a member or a grid of coefficients that no file has a use for.

    Raises:
        InputError: It is so.
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
    """Source of selected channels of a store; closing it closes the store."""

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
    """Returns the path and the names of ``FILE[:NAMES]``."""
    path = os.fspath(text)
    head, colon, names = path.rpartition(":")
    if os.path.exists(path) or not colon or os.sep in names or not head:
        return path, None
    return head, tuple(name.strip() for name in names.split(",") if name.strip())


def expand_named(text: str | os.PathLike) -> list[Path]:
    """Returns the files of ``FILE[:NAMES]``, where FILE may be a pattern.

    Raises:
        InputError: A file is missing, or a pattern fits none.
    """
    return expand(split_names(text)[0])


def expand(paths: Paths) -> list[Path]:
    """Returns the files that paths and patterns name, without repetition.

    Raises:
        InputError: A file is missing, a pattern fits none, or nothing is named.
    """
    found: dict[Path, None] = {}
    for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
        if os.path.exists(path):
            found[Path(path)] = None
        elif glob.has_magic(str(path)):
            matches = sorted(glob.glob(str(path), recursive=True))
            if not matches:
                raise InputError(f"{path} fits no file: check the pattern.")
            found |= dict.fromkeys(map(Path, matches))
        else:
            raise InputError(f"{path} does not exist: name a NetCDF, Zarr, GRIB or HDF5 file.")
    if not found:
        raise InputError("no source is named: name at least one file.")
    return list(found)


def is_zarr(path: str | os.PathLike) -> bool:
    """Returns True if a directory is a Zarr store, of format 2 or 3."""
    names = (".zgroup", ".zmetadata", "zarr.json")
    return any((Path(path) / name).exists() for name in names)


def format_of(path: str | os.PathLike) -> str:
    """Detects the format of a file: :data:`STORE`, :data:`NETCDF`, :data:`ZARR` or :data:`GRIB`.

    Raises:
        InputError: None of these.
    """
    path = Path(path)
    if path.is_dir():
        if is_zarr(path):
            return ZARR
        raise InputError(
            f"{path} is a directory, but no Zarr store: name its files, such as {path}/*.nc."
        )
    try:
        with open(path, "rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return STORE if _is_store(path) else NETCDF
    if head.startswith((b"CDF\x01", b"CDF\x02", b"CDF\x05")):
        return NETCDF
    if b"GRIB" in head:
        return GRIB
    raise InputError(f"{path} is none of NetCDF, Zarr, GRIB and HDF5: phire reads only these.")


def _is_store(path: Path) -> bool:
    """Returns True if an HDF5 file is a store; a NetCDF file may hold a ``data`` too."""
    try:
        with h5py.File(path, "r") as file:
            data = file.get(DATASET)
            if not isinstance(data, h5py.Dataset):
                # Without any dimension it is no NetCDF file either: the store says what lacks.
                # All at once: a suspended iterator of h5py holds its lock, and another
                # thread that collects it as garbage would wait for that lock for ever.
                items = list(file.values())
                return not any(b"DIMENSION_SCALE" in _class(item) for item in items)
            scales = data.dims[0].keys() if data.ndim else []
            return "channel" in scales or not scales
    except OSError:
        return True  # a damaged file: the store says so


def _class(item: h5py.Dataset | h5py.Group) -> bytes:
    found = item.attrs.get("CLASS", b"")
    return found if isinstance(found, bytes) else str(found).encode()


def open_dataset(path: str | os.PathLike) -> xr.Dataset:
    """Opens NetCDF or Zarr lazily with xarray, nothing cached.

    Raises:
        InputError: xarray cannot open it or decode its times.
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
    # A directory has no order: that of the channels, where phire wrote it, else of the alphabet.
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
    """Returns the wanted variables of a file (None: none), a way to reopen it, and all it has."""
    kind = format_of(path)
    if kind == GRIB:
        messages = grib_messages.scan(path)
        available = list(dict.fromkeys(m.variable for m in messages))
        here = _present(variables, available, {m.short_name for m in messages})
        opener = functools.partial(
            grib.GribSource,
            path,
            variables=here,
            level=level,
            member=member,
            grid=grid,
            messages=messages,
        )
        return opener, opener() if here else None, available
    if kind == STORE:
        store = FieldStore(path)
        available = list(store.channels)
        here = _present(variables, available)
        if not here:
            store.close()
        source = OpenSelection(store, here) if here else None
        return functools.partial(_open_store_channels, path, here), source, available
    dataset = open_dataset(path)
    available = field_variables(dataset, variables)
    if not available:
        dataset.close()
        raise InputError(
            f"{path} holds no variable with rows and columns (it has "
            f"{', '.join(map(str, dataset.variables)) or 'no variables'}): name a file of "
            "gridded fields."
        )
    here = _present(variables, available)
    opener = functools.partial(_open_variables, path, here, level, member)
    return opener, _of_dataset(dataset, path, here, level, member) if here else None, available


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
    """Returns the grid that the fields of a file lie on; they need no times.

    Raises:
        InputError: The file is missing or of no format that phire reads, or holds no grid.
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
