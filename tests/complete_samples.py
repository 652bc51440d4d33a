"""Samples with every array: coarse margins, maps, covariates, masks."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.records.schema import DOWNSCALING, SampleArray, SampleSchema

DOMAIN = Grid.regional(np.linspace(60, 50, 40), np.linspace(0, 10, 48))
SHAPES = {
    "low": ("psl", "tas"), "high": ("tas",), "static": ("orography", "lsm"),
    "auxiliary": ("station",), "time": ("sine", "cosine"), "valid": ("tas",),
}  # fmt: skip
SIZES = {"low": (6, 6), "time": (), "static": (8, 8), "auxiliary": (8, 8), "high": (8, 8),
         "valid": (8, 8)}  # fmt: skip


def schema():
    arrays = {
        name: SampleArray(
            channels, ("",) * len(channels), (*SIZES[name], len(channels)),
            normalization=Normalization(
                "z", channels, (1.0,) * len(channels), (2.0,) * len(channels)
            ),
        )
        for name, channels in SHAPES.items()
    }  # fmt: skip
    arrays["position"] = SampleArray(("row", "column"), ("", ""), (2,))
    return SampleSchema(DOWNSCALING, arrays, scale=2, margin=1, domain=DOMAIN)


def batch(poison=0.0):
    random = np.random.default_rng(0)
    arrays = {
        name: random.normal(size=(4, *SIZES[name], len(channels))).astype("f4")
        for name, channels in SHAPES.items()
    }
    arrays["valid"] = (arrays["valid"] > -0.3).astype("f4")
    arrays["high"] = np.where(arrays["valid"] > 0, arrays["high"], np.float32(poison))
    arrays["position"] = random.integers(0, 30, (4, 2)).astype("i4")
    return {name: tf.constant(value) for name, value in arrays.items()}


def windowed():
    """Schema and batch of samples without maps in windows of two times, the second time turned."""
    plain = schema()
    arrays = {
        name: dataclasses.replace(array, shape=(2, *array.shape))
        for name, array in plain.arrays.items()
        if name in ("low", "high", "valid")
    }
    samples = {
        name: tf.stack([value, value[::-1]], 1) for name, value in batch().items() if name in arrays
    }
    return dataclasses.replace(plain, arrays=arrays, window=2), samples
