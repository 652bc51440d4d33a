"""Static maps, read from files, regridded, and derived from coordinates or other maps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import scipy  # loads its submodules when they are used
import xarray as xr

from phire import progress, value_text
from phire.errors import InputError
from phire.fields import units
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.dataset import DatasetSource, horizontal_dimensions
from phire.fields.great_circle import unit_vectors
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.opening import (
    NETCDF,
    STORE,
    ZARR,
    format_of,
    open_dataset,
    open_source,
    split_names,
)
from phire.fields.regridding import RegriddedSource
from phire.fields.source import ArraySource, Source
from phire.fields.store import STATIC, FieldStore
from phire.fields.surface_metric import SurfaceMetric
from phire.fields.time_coordinate import time_dimensions
from phire.fields.unusable_values import counting_infinite, infinite_note

FROM_COORDINATES = ("latitude", "sine_longitude", "cosine_longitude")
FROM_MAPS = ("slope", "coast_distance")

OVERSHOOT = 0.3
"""Largest excess over the range 0 … 1 accepted in a mask: bicubic regridding overshoots."""

LAND = 0.5
"""Smallest fraction of land at a point that counts as land."""


def open_maps(path: str, names: Sequence[str] | None, option: str = "--static") -> Source:
    """Opens the maps of a file as a source of one time, which is a context manager.

    Maps are variables without time or with a single time, and the ``/static`` maps of a store.

    Args:
        path: A field store, NetCDF, Zarr or GRIB file.
        names: Names of the maps; by default all.
        option: Option that named the file, for messages.

    Raises:
        InputError: The file does not exist, lacks a map, or has a map with several times.
    """
    where = f"{option} {path}"
    if not Path(path).exists():
        raise InputError(f"{where} does not exist: name a store, NetCDF or Zarr of maps.")
    kind = format_of(path)
    if kind in (NETCDF, ZARR):
        return _of_dataset(path, names, option)
    maps = _stored_maps(path, names)
    if maps is not None:
        return maps
    try:
        source = open_source(path, names)
    except InputError as error:
        raise InputError(f"{option}: {error}") from None
    if len(source.time) > 1:
        with source:
            raise InputError(
                f"{where} has {len(source.time)} times ({', '.join(source.channels)}), but a "
                f"static map must have one or none: {_remedy(option)}."
            )
    return source


class _Maps(ArraySource):
    """Source of maps in memory that is a context manager, like sources of files."""

    def __enter__(self) -> _Maps:
        return self

    def __exit__(self, *exception: object) -> None:
        """Does nothing: no file is open."""


def _remedy(option: str) -> str:
    """Returns a clause on what to give in place of maps with several times."""
    if option == "--static":
        return "give fields that change in time as --auxiliary"
    return f"give {option} a file with one time"


def _of_dataset(path: str, names: Sequence[str] | None, option: str) -> DatasetSource:
    """Opens the maps of a NetCDF or Zarr file; see :func:`open_maps`."""
    where = f"{option} {path}"
    dataset = open_dataset(path)
    with contextlib.ExitStack() as stack:
        stack.callback(dataset.close)
        found = {
            str(name): array
            for name, array in dataset.data_vars.items()
            if array.dtype.kind in "fiu" and len(horizontal_dimensions(array)) == 2
        }
        for name in names or ():
            if name not in found:
                raise InputError(
                    f"{where} has no map {name!r}; it has {', '.join(found) or 'none'}."
                )
        if names is None:
            without_time = [name for name, array in found.items() if _times(array) <= 1]
            names = without_time or list(found)
        if not names:
            raise InputError(
                f"{where} has no map (a variable with rows and columns): name another file."
            )
        maps = {name: _without_time(found[name], path, option) for name in names}
        source = DatasetSource(xr.Dataset(maps, attrs=dataset.attrs), name=path)
        stack.pop_all()
    return source


def _without_time(array: xr.DataArray, path: str, option: str) -> xr.DataArray:
    """Returns a map with a single step in place of its time, if it has one.

    Raises:
        InputError: The map has several times.
    """
    if _times(array) > 1:
        raise InputError(
            f"{option} {path}: {array.name} has {_times(array)} times, but a static map must have "
            f"one or none: {_remedy(option)}."
        )
    dimensions = time_dimensions(array)
    array = array.isel(dict.fromkeys(dimensions, 0))
    # Scalar coordinates of different maps may conflict in one dataset; the grid mapping is needed.
    mapping = {**array.encoding, **array.attrs}.get("grid_mapping")
    scalars = [c for c, v in array.coords.items() if v.ndim == 0 and c != mapping]
    return array.drop_vars(scalars).expand_dims(time=np.zeros(1, np.int64))


def _times(array: xr.DataArray) -> int:
    """Returns the number of times of a variable, 1 without a time dimension."""
    return int(np.prod([array.sizes[dimension] for dimension in time_dimensions(array)]))


def _stored_maps(path: str | os.PathLike, names: Sequence[str] | None) -> _Maps | None:
    """Returns the maps under ``/static`` of a store.

    Returns None for other files, for a store without maps, and if one of ``names`` is not there.
    """
    if format_of(path) != STORE:
        return None
    with FieldStore(path) as store, h5py.File(path, "r") as file:
        group = file.get(STATIC)
        if not isinstance(group, h5py.Group) or (names and any(n not in group for n in names)):
            return None
        names = tuple(names or group)
        if not names:
            return None
        stated = [str(group[name].attrs.get("units", "")) for name in names]
        fields = np.stack([group[name][...] for name in names], axis=-1)[None]
        return _Maps(fields, channels=names, units=stated, grid=store.grid)


def maps_on_grid(
    texts: Sequence[str],
    derived: Sequence[str],
    grid: Grid,
    *,
    method: str = "conservative",
    least_valid: float = 0.5,
    stores: Sequence[str | os.PathLike] = (),
    taken: Sequence[str] = (),
) -> ArraySource | None:
    """Reads maps, regrids them if necessary, and derives further maps.

    Args:
        texts: Files with the names of maps, ``FILE:NAMES``.
        derived: Derived maps: ``latitude`` (degrees), ``sine_longitude``, ``cosine_longitude``,
            ``slope=MAP`` (metres per metre, from heights in m), or ``coast_distance=MAP`` (km to
            the nearest point of the other kind, negative at sea, from shares of land).
        grid: Grid of the result.
        method: Method of regridding maps on other grids.
        least_valid: Share of a target point's weights, 0 to 1, that must lie on valid values.
        stores: Input files; the ``/static`` maps of field stores among them are copied, except
            those with a name that ``texts`` or an earlier store has given.
        taken: Names of channels and coordinates; a copied map with such a name is left out.

    Returns:
        A source of one field, (1, H, W, maps); None if there is no map.

    Raises:
        InputError: A file lacks a map, a derived map is unknown, or two maps have one name.
    """
    maps: dict[str, tuple[np.ndarray, str]] = {}
    masks: dict[str, tuple[np.ndarray, Grid]] = {}
    wanted_masks = {text.partition("=")[2] for text in derived if text.startswith("coast")}
    opened = (open_maps(*split_names(text)) for text in texts)
    named = [(f"--static {split_names(text)[0]}", True, maps) for text, maps in zip(texts, opened)]
    named += [(f"{path}: its static maps", False, _stored_maps(path, None)) for path in stores]
    for where, asked, source in named:
        if source is None:
            continue
        with source:
            # Coasts are found on the mask's original grid, which may be finer or larger.
            for name in wanted_masks & set(source.channels) - masks.keys():
                masks[name] = source.read([0])[0, ..., source.channels.index(name)], source.grid
            try:
                with counting_infinite() as infinite:
                    fields = _on_grid(source, grid, method, least_valid)
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
            if sum(infinite):
                progress.say(f"Note: {infinite_note(sum(infinite), f'{where}: ')}.")
            elif np.isinf(fields).any():
                count = value_text.counted(int(np.isinf(fields).sum()), "infinite value")
                progress.say(f"Note: {where}: {count} in the static maps.")
            for c, name in enumerate(source.channels):
                if not asked and (name in maps or name in taken):
                    continue
                _add(maps, name, fields[..., c], source.units[c])
                if asked and np.isnan(fields[..., c]).all():
                    raise InputError(
                        f"{where}: {name} is missing on the whole grid: name a map that covers it."
                    )
    for text in derived:
        name, _, of = (part.strip() for part in text.partition("="))
        _add(maps, name, *_derived(name, of, grid, maps, masks))
    if not maps:
        return None
    fields = np.stack([values for values, _ in maps.values()], axis=-1)[None]
    found = [unit for _, unit in maps.values()]
    return ArraySource(fields, channels=list(maps), units=found, grid=grid)


def _on_grid(source: Source, grid: Grid, method: str, least_valid: float) -> np.ndarray:
    """Returns the maps (H, W, maps) of a source on a grid.

    If the grid is a window of the source's projected grid, the maps are cut without regridding.
    """
    if source.grid.equals(grid):
        return source.read([0])[0]
    if isinstance(source.grid, CurvilinearGrid):
        window = source.grid.find(grid)
        if window is not None:
            return source.read([0])[0][window]
    return RegriddedSource(source, grid, method, least_valid=least_valid).read([0])[0]


def _add(maps: dict[str, tuple[np.ndarray, str]], name: str, values: np.ndarray, unit: str) -> None:
    if name in maps:
        raise InputError(f"two static maps are called {name}: leave one out.")
    maps[name] = values, unit


def _derived(
    name: str,
    of: str,
    grid: Grid,
    maps: dict[str, tuple[np.ndarray, str]],
    masks: dict[str, tuple[np.ndarray, Grid]],
) -> tuple[np.ndarray, str]:
    """Returns a derived map (H, W) and its units.

    Args:
        name: Name of the derived map.
        of: Name of the map that it is derived from; empty for maps of coordinates.
        grid: Grid of the result.
        maps: Maps on this grid, with units, by name.
        masks: Land masks on their original grids, by name.

    Raises:
        InputError: The derived map is unknown, or the map that it needs does not exist.
    """
    known = ", ".join((*FROM_COORDINATES, *(f"{n}=MAP" for n in FROM_MAPS)))
    if name not in (*FROM_COORDINATES, *FROM_MAPS) or (name in FROM_MAPS) != bool(of):
        given = f"{name}={of}" if of else name
        raise InputError(f"--static-derived {given} is not one of {known}.")
    if name in FROM_COORDINATES:
        latitudes, longitudes = grid.points()
        if name == "latitude":
            return latitudes, "degrees_north"
        function = np.sin if name == "sine_longitude" else np.cos
        return function(np.deg2rad(longitudes)), "1"
    if of not in maps:
        raise InputError(
            f"--static-derived {name}={of}: {of!r} is not a map: name it by --static FILE:{of}."
        )
    values, unit = maps[of]
    where = f"--static-derived {name}={of}"
    if name == "slope":
        return SurfaceMetric.of(grid).slope(_heights(values, unit, where)), "1"
    mask, mask_grid = masks[of]
    land, mask = (_shares(part, unit, where) for part in (values, mask))
    return coast_distance(land, grid, mask, mask_grid), "km"


def _heights(values: np.ndarray, unit: str, where: str) -> np.ndarray:
    """Returns heights converted to metres.

    Raises:
        InputError: The units are not a length, or are unknown and all values are from 0 to 1.
    """
    known = units.conversion(unit, "m") if unit else (1.0, 0.0)
    shares = not unit and np.nanmin(values) >= 0 and np.nanmax(values) <= 1
    if known is None or shares:
        raise InputError(
            f"{where} needs heights in m, but this map "
            + ("has values from 0 to 1, as a mask" if shares else f"is in {unit!r}")
            + ": name a map of heights."
        )
    return values.astype(np.float64) * known[0] + known[1]


def _shares(values: np.ndarray, unit: str, where: str) -> np.ndarray:
    """Returns shares of land from 0 to 1, converted from per cent if necessary.

    Raises:
        InputError: The map has other units, or values outside this range.
    """
    known = units.conversion(unit, "1") if unit else (1.0, 0.0)
    scale = 1.0 if known is None else known[0]
    low, high = scale * np.nanmin(values), scale * np.nanmax(values)
    if known is None or low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise InputError(
            f"{where} needs a land mask (shares of land from 0 to 1), but this map has values "
            f"from {np.nanmin(values):.4g} to {np.nanmax(values):.4g}"
            f"{f' {unit}' if unit not in ('', '1') else ''}: name a mask."
        )
    return values * scale


def coast_distance(
    land: np.ndarray,
    grid: Grid,
    mask: np.ndarray | None = None,
    mask_grid: Grid | None = None,
    radius: float = EARTH_RADIUS,
) -> np.ndarray:
    """Computes the great-circle distance from each land point to the sea, and vice versa.

    Args:
        land: (H, W) share of land, 0 to 1; points with :data:`LAND` or more are land.
        grid: Grid of ``land``.
        mask: Share of land on a larger or finer grid, in which the nearest points are searched; by
            default ``land``.
        mask_grid: Grid of ``mask``.
        radius: Radius of the sphere, m.

    Returns:
        (H, W) distances in km, positive on land and negative at sea; NaN where ``land`` is NaN.

    Raises:
        InputError: The mask is all land or all sea.
    """
    mask, mask_grid = (land, grid) if mask is None else (mask, mask_grid)
    is_land, points = land >= LAND, unit_vectors(*grid.points())
    present = np.isfinite(mask)
    others = unit_vectors(*mask_grid.points())
    found = np.full(grid.shape, np.nan)
    for kind, sign in ((True, 1), (False, -1)):
        of_kind = (is_land == kind) & np.isfinite(land)
        other = others[present & ((mask >= LAND) != kind)]
        if not len(other):
            raise InputError(
                f"the land mask has {'no sea' if kind else 'no land'} and therefore no coast: name "
                "a mask of a larger region."
            )
        # Nearest by chord is nearest by arc; the arc is 2 arcsin(chord / 2).
        chord, _ = scipy.spatial.cKDTree(other).query(points[of_kind])
        found[of_kind] = sign * 2 * np.arcsin(np.minimum(chord / 2, 1)) * radius / 1e3
    return found
