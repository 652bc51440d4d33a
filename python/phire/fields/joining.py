"""Joining field stores along time into one virtual store, without copying."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from phire import files, interruption, progress, provenance
from phire.errors import InputError, naming_arguments
from phire.fields import units
from phire.fields.conversion import irregularities
from phire.fields.guarded_file import GuardedHDF5
from phire.fields.longitudes import shared_columns
from phire.fields.opening import expand
from phire.fields.source_writing import fields_already_made
from phire.fields.store import DATASET, INFINITE, MISSING, RECORD, FieldStore
from phire.fields.store_writing import attach_time, describe_data
from phire.fields.time_axis import TimeAxis


@naming_arguments()
def join(
    stores: Sequence[str | os.PathLike], output: str | os.PathLike, *, overwrite: bool = False
) -> None:
    """Joins field stores along time into a virtual store (HDF5 virtual dataset).

    The virtual store refers to the fields in the given stores, which must not be moved or deleted.
    Stores with dates are joined in the order of time. Stores without dates are joined in the given
    order, with their steps numbered consecutively.

    Args:
        stores: Paths or glob patterns of two or more stores with the same channels, units, grid
            and step.
        output: Path of the virtual store (.h5).
        overwrite: Replace an existing output.

    Raises:
        InputError: A file is not a field store, or differs from the first in channels, units,
            grid, step or calendar; two stores overlap in time; or the output exists and was made
            with other options.
    """
    paths = expand(stores)
    if len(paths) < 2:
        raise InputError("at least two different stores are needed: name them before the output.")
    if Path(output).suffix.lower() not in (".h5", ".hdf5"):
        raise InputError(f"{output} must end with .h5: a virtual store is an HDF5 file.")
    for path in paths:
        if os.path.lexists(output) and os.path.samefile(path, output):
            raise InputError(f"{output} is one of the stores: name another output.")
    options = {
        "stores": [str(path.resolve()) for path in paths],
        "fingerprints": [provenance.fingerprint(path) for path in paths],
    }
    if fields_already_made(output, options, overwrite):
        return
    opened: list[FieldStore] = []
    try:
        for path in paths:
            opened.append(FieldStore(path))
        for store in opened[1:]:
            _require_alike(opened[0], store)
        ordered, time = _in_order(opened)
        _write(ordered, time, Path(output), options)
    finally:
        for store in opened:
            store.close()
    progress.say(f"{output}: {len(time)} fields of {len(ordered)} stores, {time.step_text}.")
    for line in irregularities(time):
        progress.say(f"Note: {line}.")


def _require_alike(first: FieldStore, other: FieldStore) -> None:
    """Checks that two stores can be joined.

    Raises:
        InputError: They differ in channels, units, grid, step or calendar.
    """
    properties = {
        "channels": (first.channels, other.channels),
        "grid": (first.grid.describe(), other.grid.describe()),
    }
    properties["times"] = tuple("dates" if s.time.has_calendar else "steps" for s in (first, other))
    if first.time.has_calendar and not first.time.shares_calendar(other.time):
        properties["calendar"] = (first.time.calendar, str(other.time.calendar))
    if first.time.step is not None and other.time.step is not None:
        properties["step"] = (first.time.step_text, other.time.step_text)
    differing = [
        f"{name} ({'; '.join(v if isinstance(v, str) else ', '.join(v) for v in values)})"
        for name, values in properties.items()
        if values[0] != values[1]
    ]
    difference = units.difference(other.channels, other.units, first.units)
    if difference and "channels" not in {text.partition(" ")[0] for text in differing}:
        differing.append(f"units ({difference})")
    if differing:
        raise InputError(
            f"{first.path} and {other.path} differ in {', '.join(differing)}: join stores that "
            "agree."
        )
    if not first.grid.equals(other.grid) and shared_columns(other.grid, first.grid) is not None:
        raise InputError(
            f"the longitudes of {first.path} and {other.path} start at "
            f"{first.grid.longitudes[0]:g}° and {other.grid.longitudes[0]:g}°, which a virtual "
            f"store cannot change: use `phire convert {first.path} {other.path} …`."
        )
    if not first.grid.equals(other.grid):
        raise InputError(
            f"{first.path} and {other.path} differ in the latitudes or longitudes of their grids: "
            "regrid one of them with `phire regrid` first."
        )


def _in_order(stores: list[FieldStore]) -> tuple[list[FieldStore], TimeAxis]:
    """Returns the stores in the order of time, and the times of all.

    Raises:
        InputError: The times of a store do not ascend, or two stores overlap in time.
    """
    for store in stores:
        if not store.time.increasing:
            raise InputError(
                f"the times of {store.path} do not ascend: sort them with "
                f"`phire convert {store.path} …` first."
            )
    if not stores[0].time.has_calendar:
        return stores, TimeAxis.steps(sum(len(store.time) for store in stores))
    ordered = sorted(stores, key=lambda store: int(store.time.values[0]))
    for before, after in itertools.pairwise(ordered):
        if after.time.values[0] <= before.time.values[-1]:
            raise InputError(
                f"{before.path} (to {before.time.format(-1)}) and {after.path} (from "
                f"{after.time.format(0)}) overlap in time: cut one with `phire convert --time`."
            )
    return ordered, TimeAxis.concatenate([store.time for store in ordered])


def _write(stores: list[FieldStore], time: TimeAxis, output: Path, options: dict) -> None:
    """Writes the virtual store of stores in the order of time."""
    channels, _, height, width = stores[0].shape
    dtype = np.result_type(*(store.dtype for store in stores))
    layout = h5py.VirtualLayout((channels, len(time), height, width), dtype)
    start = 0
    folder = output.resolve().parent
    for store in stores:
        stop = start + len(store.time)
        # A path below the folder of the virtual store is stored relative to it, so that the folder
        # can be moved as a whole.
        path = store.path.resolve()
        name = path.relative_to(folder) if path.is_relative_to(folder) else path
        layout[:, start:stop] = h5py.VirtualSource(str(name), DATASET, store.shape, store.dtype)
        start = stop
    with (
        files.replacing(output) as partial,
        interruption.shielded_context(GuardedHDF5, partial) as file,
    ):
        data = file.create_virtual_dataset(DATASET, layout, fillvalue=np.nan)
        counts = [store.missing for store in stores]
        if None not in counts:
            data.attrs[MISSING] = np.sum(counts, axis=0)
        infinite = [store.infinite for store in stores]
        if None not in infinite:
            data.attrs[INFINITE] = sum(infinite)
        first = stores[0]
        describe_data(file, first.channels, first.units, first.grid, first.wind_directions)
        file.attrs[RECORD] = json.dumps(provenance.record(options))
        attach_time(file, time)
