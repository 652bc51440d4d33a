"""Static maps: read from any file, brought to a grid, and derived from coordinates and maps."""

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
"""Excess over 0 and 1 of a mask that bicubic regridding made."""

LAND = 0.5
"""Share of land from which a point counts as land."""


def open_maps(path: str, names: Sequence[str] | None, option: str = "--static") -> Source:
    """Opens the maps of a file as a source of one time, which closes as a context manager.

    Taken are variables without time, or with one time; of a store also its ``/static`` maps.

    Args:
        path: A store, NetCDF, Zarr or GRIB.
        names: Names of the maps; by default all.
        option: What the user gave the file by, for messages.

    Raises:
        InputError: The file is missing or has no such map, or one with several times.
    """
    where = f"{option} {path}"
    if not Path(path).exists():
        raise InputError(f"{where} does not exist: name a store, NetCDF or Zarr of maps.")
    kind = format_of(path)
    if kind in (NETCDF, ZARR):
        return _of_dataset(path, names, where)
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
                f"{where} has {len(source.time)} times ({', '.join(source.channels)}): a static "
                "map has none, or one; give what changes in time as --auxiliary."
            )
    return source


class _Maps(ArraySource):
    """Maps in memory, closing as files do."""

    def __enter__(self) -> _Maps:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is open."""


def _of_dataset(path: str, names: Sequence[str] | None, where: str) -> DatasetSource:
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
            still = [name for name, array in found.items() if _times(array) <= 1]
            names = still or list(found)
        if not names:
            raise InputError(f"{where} holds no map (a variable with rows and columns).")
        maps = {name: _without_time(found[name], where) for name in names}
        source = DatasetSource(xr.Dataset(maps, attrs=dataset.attrs), name=path)
        stack.pop_all()
    return source


def _without_time(array: xr.DataArray, where: str) -> xr.DataArray:
    """Drops the only time of a map."""
    if _times(array) > 1:
        raise InputError(
            f"{where}: {array.name} has {_times(array)} times: a static map has none, or one; give "
            "what changes in time as --auxiliary."
        )
    dimensions = time_dimensions(array)
    array = array.isel(dict.fromkeys(dimensions, 0))
    mapping = {**array.encoding, **array.attrs}.get("grid_mapping")
    scalars = [c for c, v in array.coords.items() if v.ndim == 0 and c != mapping]
    return array.drop_vars(scalars).expand_dims(time=np.zeros(1, np.int64))


def _times(array: xr.DataArray) -> int:
    return int(np.prod([array.sizes[dimension] for dimension in time_dimensions(array)]))


def _stored_maps(path: str | os.PathLike, names: Sequence[str] | None) -> _Maps | None:
    """Returns the maps under ``/static`` of a store; None of other files, and where these are
    not meant."""
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
    """Reads maps, brings them to a grid and derives further ones.

    Args:
        texts: ``FILE:NAMES`` each.
        derived: Of ``latitude`` (degrees), ``sine_longitude``, ``cosine_longitude``,
            ``slope=MAP`` (metres per metre, of heights in m) and ``coast_distance=MAP`` (km from
            the nearest point of the other kind, negative at sea; of shares of land).
        grid: The grid.
        method: Of regridding maps that lie on another grid.
        least_valid: Least share of the weights, 0 to 1, on valid values.
        stores: Files whose maps under ``/static`` are carried over, where they are field stores;
            a name that ``texts`` or an earlier store gives is left out.
        taken: Names of channels, which no map that is carried over may have.

    Returns:
        A source of one field, (1, H, W, maps); None where there is no map.

    Raises:
        InputError: A file has no such map, a derived map is unknown, or names occur twice.
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
                    raise InputError(f"{where}: {name} is missing on the whole grid.")
    for text in derived:
        name, _, of = (part.strip() for part in text.partition("="))
        _add(maps, name, *_derived(name, of, grid, maps, masks))
    if not maps:
        return None
    fields = np.stack([values for values, _ in maps.values()], axis=-1)[None]
    found = [unit for _, unit in maps.values()]
    return ArraySource(fields, channels=list(maps), units=found, grid=grid)


def _on_grid(source: Source, grid: Grid, method: str, least_valid: float) -> np.ndarray:
    """Returns the maps (H, W, maps) of a source on a grid: cut where its points are the
    source's."""
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
    """Returns a derived map and its units."""
    known = ", ".join((*FROM_COORDINATES, *(f"{n}=MAP" for n in FROM_MAPS)))
    if name not in (*FROM_COORDINATES, *FROM_MAPS) or (name in FROM_MAPS) != bool(of):
        given = f"{name}={of}" if of else name
        raise InputError(f"--static-derived {given} is none of {known}.")
    if name in FROM_COORDINATES:
        latitudes, longitudes = grid.points()
        if name == "latitude":
            return latitudes, "degrees_north"
        function = np.sin if name == "sine_longitude" else np.cos
        return function(np.deg2rad(longitudes)), "1"
    if of not in maps:
        raise InputError(
            f"--static-derived {name}={of}: there is no map {of!r}; name it by --static FILE:{of}."
        )
    values, unit = maps[of]
    where = f"--static-derived {name}={of}"
    if name == "slope":
        return SurfaceMetric.of(grid).slope(_heights(values, unit, where)), "1"
    mask, mask_grid = masks[of]
    land, mask = (_shares(part, unit, where) for part in (values, mask))
    return coast_distance(land, grid, mask, mask_grid), "km"


def _heights(values: np.ndarray, unit: str, where: str) -> np.ndarray:
    """Returns heights in metres; refuses other units, or values that cannot be heights."""
    known = units.conversion(unit, "m") if unit else (1.0, 0.0)
    shares = not unit and np.nanmin(values) >= 0 and np.nanmax(values) <= 1
    if known is None or shares:
        raise InputError(
            f"{where} is a slope of heights in m, but this map "
            + ("holds values from 0 to 1, as a mask does" if shares else f"is in {unit!r}")
            + ": name a map of heights."
        )
    return values.astype(np.float64) * known[0] + known[1]


def _shares(values: np.ndarray, unit: str, where: str) -> np.ndarray:
    """Shares of land from 0 to 1, also of a map in per cent; refuses a map of anything else."""
    known = units.conversion(unit, "1") if unit else (1.0, 0.0)
    scale = 1.0 if known is None else known[0]
    low, high = scale * np.nanmin(values), scale * np.nanmax(values)
    if known is None or low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise InputError(
            f"{where} needs a land mask (shares of land from 0 to 1), but this map holds values "
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
    """Great-circle distance from each point to the nearest point of the other kind.

    Args:
        land: (H, W) share of land, 0 to 1; points from :data:`LAND` on are land.
        grid: Its grid.
        mask: A share of land on a larger or finer grid, whose points make the coast; by default
            ``land``.
        mask_grid: Its grid.
        radius: Radius of the sphere in metres.

    Returns:
        (H, W) km, positive on land and negative at sea; NaN where ``land`` is.

    Raises:
        InputError: The mask is all land or all sea.
    """
    mask, mask_grid = (land, grid) if mask is None else (mask, mask_grid)
    is_land, points = land >= LAND, unit_vectors(*grid.points())
    present = np.isfinite(mask)
    others = unit_vectors(*mask_grid.points())
    found = np.full(grid.shape, np.nan)
    for kind, sign in ((True, 1), (False, -1)):
        own = (is_land == kind) & np.isfinite(land)
        other = others[present & ((mask >= LAND) != kind)]
        if not len(other):
            raise InputError(
                f"the land mask holds {'no sea' if kind else 'no land'}: it has no coast."
            )
        chord, _ = scipy.spatial.cKDTree(other).query(points[own])
        found[own] = sign * 2 * np.arcsin(np.minimum(chord / 2, 1)) * radius / 1e3
    return found
