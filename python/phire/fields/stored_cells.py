"""Periods and statistics stated by a field store, for outputs that are made from it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import h5py
import numpy as np

from phire.fields.cell_methods import BOUNDS, TimeCells
from phire.fields.opening import STORE, format_of
from phire.fields.store import FieldStore
from phire.fields.time_axis import TimeAxis


def stored_cells(
    paths: Sequence[str | os.PathLike], channels: Sequence[str], time: TimeAxis
) -> TimeCells | None:
    """Returns the periods and statistics of fields of a store; None if it does not state them.

    Args:
        paths: Input files; the result is None unless there is exactly one, and it is a store.
        channels: Names of the channels in the store.
        time: Times of the fields.
    """
    if len(paths) != 1 or format_of(paths[0]) != STORE:
        return None
    with FieldStore(paths[0]) as store, h5py.File(paths[0], "r") as file:
        methods = dict(zip(store.channels, store.cell_methods))
        if BOUNDS not in file or not {*channels} <= methods.keys():
            return None
        order = np.argsort(store.time.values, kind="stable")
        places = order[np.searchsorted(store.time.values[order], time.values)]
        start, stop = (TimeAxis(ends[places], time.calendar) for ends in file[BOUNDS][...].T)
    return TimeCells(start, stop, tuple(methods[channel] for channel in channels))
