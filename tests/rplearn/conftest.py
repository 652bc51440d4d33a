"""A small encoder and its metric, and a store of fields carried by a steady flow."""

import keras
import numpy as np
import pytest

from phire.fields.normalization import Normalization
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
