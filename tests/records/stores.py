"""Stores that the tests of records are cut from."""

from __future__ import annotations

import numpy as np

from phire.fields.store_writing import StoreWriter
from phire.fields.time_axis import TimeAxis

HOUR = 3600


def make_store(path, *, grid, steps=range(24), channels=("divergence", "vorticity"), change=None):
    """A store whose every value is distinct: it tells its time, row, column and channel."""
    steps = np.asarray(list(steps))
    height, width = grid.shape
    value = np.arange(len(steps) * height * width * len(channels), dtype=np.float64)
    value = value.reshape(len(steps), height, width, len(channels))
    fields = (np.sin(value * 0.7) + 1e-3 * (value % 977)).astype(np.float32) * 1e-5
    if change is not None:
        change(fields)
    with StoreWriter(
        path,
        channels=channels,
        units=("s**-1",) * len(channels),
        grid=grid,
        time=TimeAxis(steps * 3 * HOUR, "standard"),
    ) as writer:
        writer.append(fields)
    return fields


def shard_bytes(directory):
    """The content of every shard of a directory of records."""
    return {path.name: path.read_bytes() for path in sorted(directory.glob("*.tfrecord"))}
