"""Descriptions of field stores, climatologies and other files, as printed by ``phire info``.

A description maps the names of properties to text, or to a :class:`phire.value_text.Stated`, a
text that also has a value for programs.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from phire import value_text
from phire.errors import InputError
from phire.fields import grib, grib_messages, opening
from phire.fields.climatologies import ARRAYS, Climatology
from phire.fields.conversion import irregularities
from phire.fields.dataset import DatasetSource, field_variables
from phire.fields.further_dimensions import LEVELS
from phire.fields.grid import Grid
from phire.fields.store import RECORD, FieldStore
from phire.fields.time_axis import TimeAxis
from phire.fields.unusable_values import UnusableValues
from phire.fields.value_counts import (
    QUICK,
    count_messages,
    count_store,
    count_variables,
    stated_counts,
)


def describe_store(path: str | os.PathLike, *, values: bool | None = None) -> dict[str, Any] | None:
    """Returns the description of a field store; None for any other file.

    Args:
        path: The file.
        values: See :func:`describe_source`; ignored if the store states its numbers of missing
            and infinite values.

    Raises:
        InputError: The store is damaged.
    """
    path = Path(path)
    if not path.is_file() or _format(path) != opening.STORE:
        return None
    with FieldStore(path) as store:
        properties: dict[str, Any] = {
            "kind": "virtual field store" if store.parts else "field store",
            "channels": value_text.channels_stated(store.channels, store.units),
            **_grid_properties(store.grid),
            **_time_properties(store.time),
            "cell methods": _cell_methods(store),
            "static maps": value_text.channels_stated(
                store.static_maps, store.static_maps.values()
            ),
            "type": str(store.dtype),
            "size": value_text.Stated(
                value_text.size_text(path.stat().st_size), path.stat().st_size
            ),
        }
        if store.parts:
            properties["stores"] = [str(part) for part in store.parts]
        properties |= _store_counts(store, values)
        if store.record is not None:
            properties["made by"] = " ".join(store.record.get("command", []))
            properties["made at"] = store.record.get("created")
            properties["phire"] = store.record.get("versions", {}).get("phire")
        return {name: value for name, value in properties.items() if value not in (None, "")}


def _store_counts(store: FieldStore, values: bool | None) -> dict[str, Any]:
    """Returns the numbers of missing and infinite values, as stored by the writer or counted."""
    if store.missing is not None and store.infinite is not None:
        (missing, wholly), infinite = store.missing, store.infinite
    elif _counts_wanted(values, np.prod(store.shape)):
        count = count_store(store)
        missing, wholly, infinite = count.missing, count.wholly, count.infinite
    else:
        return _uncounted(int(np.prod(store.shape)))
    return {
        "missing values": _counted(missing, store.shape),
        "fields missing wholly": wholly,
        "infinite values": _counted(infinite, store.shape),
    }


def _counts_wanted(values: bool | None, size: float) -> bool:
    return bool(values) or (values is None and size <= QUICK)


def _uncounted(size: int) -> dict[str, Any]:
    text = f"not counted ({size:,} values): pass --values to count them"
    return {"missing values": value_text.Stated(text, None)}


def _stated(counts: dict[str, UnusableValues]) -> dict[str, Any]:
    return {name: value_text.Stated(*fact) for name, fact in stated_counts(counts).items()}


def describe_climatology(path: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the description of a file of ``phire climatology``; None for any other file.

    Raises:
        InputError: The file is a climatology of another version.
    """
    path = Path(path)
    if not path.is_file() or not h5py.is_hdf5(path):
        return None
    with contextlib.suppress(OSError), h5py.File(path, "r") as file:
        # By content: a climatology and a field store have the same suffix.
        if {"description", *ARRAYS} <= set(file):
            record = json.loads(file.attrs.get(RECORD, "{}"))
            known = Climatology.load(path)
            properties = {
                "kind": "climatology",
                "channels": value_text.channels_stated(known.channels, known.units),
                "statistics of": known.statistics_of,
                "harmonics of the year": known.harmonics,
                "months": ", ".join(map(str, known.months)),
                **({} if known.grid is None else _grid_properties(known.grid)),
                "made by": " ".join(record.get("command", [])),
                "made at": record.get("created"),
            }
            return {name: value for name, value in properties.items() if value not in (None, "")}
    return None


def describe_source(
    path: str | os.PathLike, *, values: bool | None = None
) -> dict[str, Any] | None:
    """Returns the description of a NetCDF, Zarr or GRIB file; None for any other path.

    Args:
        path: The file.
        values: True counts missing and infinite values, for which all values are read; False does
            not. By default they are counted if there are at most :data:`QUICK` values.

    Raises:
        InputError: The file is damaged.
    """
    path = Path(path)
    kind = _format(path) if path.exists() else None
    if kind in (None, opening.STORE):
        return None
    properties: dict[str, Any] = {"kind": f"{kind} file" if path.is_file() else f"{kind} directory"}
    of_kind = _grib_properties if kind == opening.GRIB else _dataset_properties
    return properties | of_kind(path, values)


def _cell_methods(store: FieldStore) -> str:
    """Returns the CF cell methods of a store's channels as text; empty if it states none."""
    methods = dict(zip(store.channels, store.cell_methods))
    if len(set(methods.values())) == 1:
        return next(iter(methods.values()))
    return ", ".join(f"{channel} {method}" for channel, method in methods.items() if method)


def _format(path: Path) -> str | None:
    try:
        return opening.format_of(path)
    except InputError:
        return None


def _dataset_properties(path: Path, values: bool | None) -> dict[str, Any]:
    """Returns the properties of a NetCDF or Zarr file: variables, levels, grid, times, counts."""
    properties: dict[str, Any] = {}
    with contextlib.closing(opening.open_dataset(path)) as dataset:
        for name in field_variables(dataset):
            array = dataset[name]
            shape = " × ".join(f"{dimension} {size}" for dimension, size in array.sizes.items())
            unit = array.attrs.get("units", "units unknown")
            sizes = {str(dimension): size for dimension, size in array.sizes.items()}
            value = {"sizes": sizes, "units": array.attrs.get("units")}
            properties[f"variable {name}"] = value_text.Stated(f"{shape} ({unit})", value)
            for dimension in array.dims:
                if dimension not in properties and dimension in array.coords:
                    properties |= _level_properties(str(dimension), array.coords[dimension].values)
        names = field_variables(dataset)
        if names:
            with contextlib.suppress(InputError):
                level = None
                for dimension in dataset[names[0]].dims:
                    if f"{dimension}" in properties:
                        level = float(dataset[dimension].values[0])
                source = DatasetSource(dataset, variables=names[:1], level=level)
                properties |= {**_grid_properties(source.grid), **_time_properties(source.time)}
            size = sum(dataset[name].size for name in names)
            if _counts_wanted(values, size):
                properties |= _stated(count_variables(dataset, names, f"{path}"))
            else:
                properties |= _uncounted(size)
    return properties


def _level_properties(dimension: str, values: np.ndarray) -> dict[str, Any]:
    if dimension not in LEVELS or values.dtype.kind not in "fiu":
        return {}
    text = ", ".join(f"{value:g}" for value in values)
    return {dimension: value_text.Stated(text, values.tolist())}


def _grib_properties(path: Path, values: bool | None) -> dict[str, Any]:
    """Returns the properties of a GRIB file: variables and their levels, grid, times, counts."""
    properties: dict[str, Any] = {}
    messages = grib_messages.scan(path)
    for name in dict.fromkeys(message.variable for message in messages):
        of_variable = [message for message in messages if message.variable == name]
        levels = sorted({(message.level_type, message.level) for message in of_variable})
        listed = ", ".join(f"{kind} {level:g}" for kind, level in levels)
        kinds = "/".join(sorted({message.grid_type for message in of_variable}))
        properties[f"variable {name}"] = value_text.Stated(
            f"{len(of_variable)} fields ({of_variable[0].units}), {listed}, {kinds}",
            {
                "fields": len(of_variable),
                "units": of_variable[0].units,
                "levels": [{"type": kind, "level": level} for kind, level in levels],
                "grids": kinds.split("/"),
            },
        )
    first = [m for m in messages if m.variable == messages[0].variable]
    first = [m for m in first if (m.level_type, m.level) == (first[0].level_type, first[0].level)]
    time = TimeAxis(sorted(m.time for m in first), grib_messages.CALENDAR)
    with contextlib.suppress(InputError):
        properties |= _grid_properties(grib.GribSource(path, messages=first).grid)
    properties |= _time_properties(time)
    size = len(messages) * grib_messages.message_values(path, messages[0]).size
    if _counts_wanted(values, size):
        return properties | _stated(count_messages(path, messages))
    return properties | _uncounted(size)


def _counted(count: int, shape: Sequence[int]) -> value_text.Stated:
    return value_text.Stated(f"{count:,} ({count / np.prod(shape):.3%})", count)


def _period(first: str, last: str) -> value_text.Stated:
    return value_text.Stated(f"{first} to {last}", [first, last])


def _range(first: float, last: float) -> value_text.Stated:
    return value_text.Stated(f"{first:.6g} … {last:.6g} degrees", [float(first), float(last)])


def _grid_properties(grid: Grid) -> dict[str, Any]:
    """Returns a grid's description, and the ranges of its coordinates if it has any."""
    properties: dict[str, Any] = {"grid": grid.describe()}
    if grid.has_coordinates:
        for name, values in (("latitudes", grid.latitudes), ("longitudes", grid.longitudes)):
            properties[name] = _range(values[0], values[-1])
        text = "{:.4g} × {:.4g} degrees".format(*grid.spacing)
        properties["spacing"] = value_text.Stated(text, [float(value) for value in grid.spacing])
    elif grid.has_points:
        for name, values in zip(("latitudes", "longitudes"), grid.points()):
            properties[name] = _range(values.min(), values.max())
    return properties


def _time_properties(time: TimeAxis) -> dict[str, Any]:
    """Returns the number of fields, the range, step and calendar of times, and their gaps."""
    properties: dict[str, Any] = {
        "fields": len(time),
        "time": _period(time.format(0), time.format(-1)),
        "step": time.step_text,
        "calendar": time.calendar or value_text.Stated("none: fields are counted", None),
    }
    if not time.increasing:
        properties["order"] = "times do not ascend"
    found = irregularities(time, most=20)
    properties["gaps and repetitions"] = found or value_text.Stated("none", [])
    return properties
