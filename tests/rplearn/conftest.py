"""A small encoder and its metric, and a store of fields carried by a steady flow."""

import keras
import numpy as np
import pytest

from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.fields.store_writing import StoreWriter
from phire.fields.time_axis import TimeAxis
from phire.records import write_pair_records
from phire.rplearn import train_representation
from phire.rplearn.metric import LearnedMetric

CHANNELS, UNITS = ("vorticity", "temperature"), ("s**-1", "K")
MEAN, STD = np.array([2e-7, 280.0]), np.array([3e-5, 6.0])


@pytest.fixture(scope="session")
def normalization():
    return Normalization(
        kind="log1p",
        channels=CHANNELS,
        mean=tuple(MEAN),
        std=tuple(STD),
        log_mean=(0.001, -0.002),
        log_std=(0.16, 0.15),
    )


def small_encoder(size=16, channels=2, seed=0):
    keras.utils.set_random_seed(seed)
    fields = keras.Input((size, size, channels))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="convolution")(fields)
    x = keras.layers.BatchNormalization(name="normalised")(x)
    x = keras.layers.ReLU(name="stage1")(x)
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="stage2")(x)
    return keras.Model(fields, x, name="encoder")


@pytest.fixture(scope="session")
def metric(normalization):
    return LearnedMetric(
        small_encoder(),
        layer="stage2",
        scales={"stage1": 0.5, "stage2": 2.0},
        normalization=normalization,
        channels=CHANNELS,
        units=UNITS,
        patch=(16, 16),
        step=3600,
        classes=8,
        scores={"accuracy": 0.6},
    )


@pytest.fixture
def fields():
    """Makes physical fields of (n, H, W, 2)."""

    def make(n=3, height=16, width=16, seed=0):
        rng = np.random.default_rng(seed)
        values = rng.standard_normal((n, height, width, 2))
        return (MEAN + STD * values).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def flow_store(tmp_path_factory):
    """Two channels carried east by one column a step, on a global grid, hourly."""
    path = tmp_path_factory.mktemp("flow") / "flow.h5"
    rng = np.random.default_rng(0)
    grid = Grid.driscoll_healy(32)
    wave = np.fft.rfftn(rng.standard_normal((32, 64, 2)), axes=(0, 1))
    smooth = np.fft.irfftn(wave[:, :33], s=(32, 64), axes=(0, 1))
    smooth = (smooth + np.roll(smooth, 1, 0) + np.roll(smooth, 1, 1)) / np.sqrt(3)
    fields = MEAN + STD * np.stack([np.roll(smooth, t, axis=1) for t in range(60)])
    time = TimeAxis(3600 * np.arange(60), "standard")
    with StoreWriter(path, channels=CHANNELS, units=UNITS, grid=grid, time=time) as writer:
        writer.append(fields.astype(np.float32))
    return path


@pytest.fixture(scope="session")
def flow_pairs(flow_store, tmp_path_factory):
    """Pairs of the first two thirds of the flow, and held-out ones of the rest."""
    folder = tmp_path_factory.mktemp("pairs")
    options = {"patch": (16, 16), "classes": 4, "latitudes": (-40, 40), "shards": 2}
    write_pair_records(
        flow_store, folder / "training", patches_per_field=10, time=",1970-01-02T16:00", **options
    )
    write_pair_records(
        flow_store,
        folder / "held-out",
        patches_per_field=6,
        time="1970-01-02T16:00,",
        statistics=folder / "training",
        **options,
    )
    return folder


SMALL = {
    "network": "tiny",
    "network_options": {"filters": (4, 4, 4, 8), "stem_filters": 4},
    "objective": "temporal-distance,head_filters=8",
    "batch_size": 16,
    "epochs": 2,
    "cool_down_epochs": 0,
    "devices": "cpu",
}


@pytest.fixture(scope="session")
def flow_run(flow_pairs, tmp_path_factory):
    """A trained run of two epochs after a warm-up of one."""
    path = tmp_path_factory.mktemp("run") / "run"
    train_representation(
        flow_pairs / "training",
        run=path,
        validation=flow_pairs / "held-out",
        warm_up_epochs=1,
        warm_up_batches=5,
        **SMALL,
    )
    return path
