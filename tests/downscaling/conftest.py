"""A tiny trained generator, shared by the room's tests."""

from __future__ import annotations

import numpy as np
import pytest

from phire.downscaling import train_generator
from phire.fields import Grid, StoreWriter, TimeAxis
from phire.records import write_downscaling_records


def waves(grid, count):
    """(count, H, W, 2) fields that travel around the globe, of the size of vorticity."""
    longitude = np.deg2rad(grid.longitudes)
    latitude = np.deg2rad(grid.latitudes)[:, None]
    fields = np.empty((count, *grid.shape, 2))
    for t in range(count):
        for c in range(2):
            fields[t, ..., c] = 1e-5 * sum(
                np.cos(latitude) ** 3 * np.cos(k * (longitude - 0.1 * t) + c) / k
                for k in (2, 5, 9, 14)
            ) + 3e-6 * np.sin(5 * latitude)
    return fields


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """24 fields of 32 × 64 points, 3 h apart."""
    path = tmp_path_factory.mktemp("store") / "waves.h5"
    grid = Grid.cell_centred(32)
    time = TimeAxis(946684800 + 10800 * np.arange(24), "standard")
    with StoreWriter(
        path, channels=["divergence", "vorticity"], units=["s**-1"] * 2, grid=grid, time=time
    ) as writer:
        writer.append(waves(grid, 24))
    return path


@pytest.fixture(scope="session")
def records(store):
    path = store.with_name("records")
    write_downscaling_records(
        store, path, patch=(16, 16), scale=4, patches_per_field=4, shards=2, normalization="z"
    )
    return path


@pytest.fixture(scope="session")
def options():
    """Options of a training that takes seconds."""
    return {
        "network": "srgan-small,filters=4,blocks=1",
        "objective": "srgan,pretrain_epochs=1,pretrain_rate=1e-3",
        "epochs": (1,),
        "learning_rates": (1e-4,),
        "batch_size": 16,
    }


@pytest.fixture(scope="session")
def run(records, options):
    path = records.with_name("run")
    train_generator(records, path, **options)
    return path
