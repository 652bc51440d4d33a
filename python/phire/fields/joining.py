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
from phire.fields.source_writing import already_made
from phire.fields.store import DATASET, INFINITE, MISSING, RECORD, FieldStore
from phire.fields.store_writing import attach_time, describe_data
from phire.fields.time import TimeAxis


@naming_arguments()
def join(
    stores: Sequence[str | os.PathLike], output: str | os.PathLike, *, overwrite: bool = False
) -> None:
    """Joins field stores along time into a virtual store (HDF5 virtual dataset).

    The fields stay in the stores: these must remain where they are. Stores with dates are put in
    the order of time; without, in the order given, and steps are counted on.

    Args:
        stores: Two or more stores of the same channels, units, grid and step; patterns too.
        output: The virtual store to make (.h5).
        overwrite: Replace an output that is there.

    Raises:
        InputError: A file is no store, or differs from the first in channels, units, grid, step or
            calendar; two stores overlap in time; the output was made by something else.
    """
    paths = expand(stores)
    if len(paths) < 2:
        raise InputError("two different stores at least are needed: name them before the output.")
    if Path(output).suffix.lower() not in (".h5", ".hdf5"):
        raise InputError(f"{output} must end with .h5: a virtual store is an HDF5 file.")
    for path in paths:
        if os.path.lexists(output) and os.path.samefile(path, output):
            raise InputError(f"{output} is one of the stores itself: name another output.")
    options = {
        "stores": [str(path.resolve()) for path in paths],
        "fingerprints": [provenance.fingerprint(path) for path in paths],
    }
    if already_made(output, options, overwrite):
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
    """Names the things in which two stores differ."""
    facts = {
        "channels": (first.channels, other.channels),
        "grid": (first.grid.describe(), other.grid.describe()),
    }
    facts["times"] = tuple("dates" if s.time.has_calendar else "steps" for s in (first, other))
    if first.time.has_calendar and not first.time.shares_calendar(other.time):
        facts["calendar"] = (first.time.calendar, str(other.time.calendar))
    if first.time.step is not None and other.time.step is not None:
        facts["step"] = (first.time.step_text, other.time.step_text)
    differing = [
        f"{name} ({'; '.join(v if isinstance(v, str) else ', '.join(v) for v in values)})"
        for name, values in facts.items()
        if values[0] != values[1]
    ]
    difference = units.difference(other.channels, other.units, first.units)
    if difference and "channels" not in {text.partition(" ")[0] for text in differing}:
        differing.append(f"units ({difference})")
    if differing:
        raise InputError(
            f"{first.path} and {other.path} differ in {', '.join(differing)}: join stores of the "
            "same."
        )
    if not first.grid.equals(other.grid) and shared_columns(other.grid, first.grid) is not None:
        raise InputError(
            f"{first.path} and {other.path} begin the circle of longitudes at "
            f"{first.grid.longitudes[0]:g}° and {other.grid.longitudes[0]:g}°: a store without "
            f"copies cannot turn it; use `phire convert {first.path} {other.path} …`, which does."
        )
    if not first.grid.equals(other.grid):
        raise InputError(
            f"{first.path} and {other.path} differ in the latitudes or longitudes of their grids."
        )


def _in_order(stores: list[FieldStore]) -> tuple[list[FieldStore], TimeAxis]:
    """Returns the stores in the order of time, and their times together."""
    for store in stores:
        if not store.time.increasing:
            raise InputError(
                f"the times of {store.path} do not ascend: bring them in order with "
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
    channels, _, height, width = stores[0].shape
    dtype = np.result_type(*(store.dtype for store in stores))
    layout = h5py.VirtualLayout((channels, len(time), height, width), dtype)
    start = 0
    folder = output.resolve().parent
    for store in stores:
        stop = start + len(store.time)
        # Relative to the virtual store where they lie below it, so that the folder can be moved.
        path = store.path.resolve()
        name = path.relative_to(folder) if path.is_relative_to(folder) else path
        layout[:, start:stop] = h5py.VirtualSource(str(name), DATASET, store.shape, store.dtype)
        start = stop
    with (
        files.replacing(output) as partial,
        interruption.undisturbed(GuardedHDF5, partial) as file,
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
