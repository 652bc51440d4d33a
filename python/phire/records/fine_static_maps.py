"""Static maps on the fine grid, stored once per directory of records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.guarded_file import GuardedHDF5
from phire.fields.opening import split_names
from phire.fields.source import ArraySource, Source
from phire.fields.static_maps import open_maps
from phire.fields.store import STATIC
from phire.fields.store_writing import write_static_maps
from phire.records.grid_points import Points

NAME = "static.h5"


def read_static(
    text: str,
    find: Callable[[Grid], Points | None],
    wanted: Grid,
    *,
    fine: str,
    option: str = "--static",
) -> ArraySource:
    """Reads the maps of ``FILE[:NAMES]`` on the fine grid.

    Maps are the variables without a time axis or with one time, and the ``/static`` maps of a
    store.

    Args:
        text: The file and optionally the names of its maps; all by default.
        find: Finds the points of the fine grid in another grid; returns None if it lacks one.
        wanted: The fine grid.
        fine: Name of the fine fields, for messages.
        option: Option that names the file, for messages.

    Returns:
        A source of one field, (1, H, W, maps).

    Raises:
        InputError: The file lacks a map, has one with several times, or lies on another grid.
    """
    path, names = split_names(text)
    where = f"{option} {path}"
    with open_maps(path, names, option) as source:
        points = find(source.grid)
        if points is None:
            raise InputError(
                f"{where} lies on {source.grid.in_words()}, not on the points of {fine} "
                f"({wanted.describe()}): regrid it to these first."
            )
        maps = source.read([0])[:, points[0][:, None], points[1]]
        channels, units = source.channels, source.units
    for c, name in enumerate(channels):
        if np.isinf(maps[..., c]).any():
            raise InputError(f"{where}: {name} holds infinite values: set them to NaN.")
        if np.isnan(maps[..., c]).all():
            raise InputError(f"{where}: {name} is missing at all points of {fine}.")
    return ArraySource(maps, channels=channels, units=units, grid=wanted)


def write_statics(directory: Path, maps: Source) -> None:
    """Writes maps, in physical units, into a directory of records."""
    with GuardedHDF5(directory / NAME) as file:
        write_static_maps(file, maps)


def load_statics(directory: Path, channels: Sequence[str]) -> np.ndarray:
    """Reads the maps of a directory of records: (H, W, C) float32, in physical units.

    Raises:
        InputError: The file is missing or lacks a map.
    """
    path = Path(directory) / NAME
    try:
        with h5py.File(path, "r") as file:
            return np.stack([file[STATIC][name][...] for name in channels], axis=-1)
    except (OSError, KeyError):
        raise InputError(
            f"{path} is missing or lacks one of {', '.join(channels)}: make the records again."
        ) from None
