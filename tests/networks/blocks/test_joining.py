"""Fine maps beside the coarse input, scale and shift by time, refusal of windows."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.errors import InputError
from phire.networks.blocks.joining import (
    named_inputs,
    refuse_window,
    scaled_and_shifted_by_time,
    with_fine_maps_coarsened,
)
from phire.networks.shapes import Shapes


@pytest.fixture(scope="module")
def inputs():
    shapes = Shapes.of((6, 7, 2), (16, 20, 1), static=1, auxiliary=2, time=3, margin=1)
    return shapes, named_inputs(shapes)


def test_fine_maps_are_block_means_continued_over_the_margin(inputs):
    shapes, tensors = inputs
    model = keras.Model(tensors, with_fine_maps_coarsened(tensors, shapes))
    random = np.random.default_rng(0)
    batch = {
        name: random.normal(size=(2, *t.shape[1:])).astype("f4") for name, t in tensors.items()
    }
    joined = np.asarray(model(batch))
    assert joined.shape == (2, 6, 7, 2 + 1 + 2)
    np.testing.assert_array_equal(joined[..., :2], batch["low"])
    maps = np.concatenate([batch["static"], batch["auxiliary"]], axis=-1)
    means = maps.reshape(2, 4, 4, 5, 4, 3).mean(axis=(2, 4))
    expected = np.pad(means, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    np.testing.assert_allclose(joined[..., 2:], expected, atol=1e-6)


def test_time_scales_and_shifts_and_begins_as_the_identity(inputs):
    _, tensors = inputs
    low, time = tensors["low"], tensors["time"]
    model = keras.Model([low, time], scaled_and_shifted_by_time(low, tensors))
    random = np.random.default_rng(1)
    x = random.normal(size=(2, 6, 7, 2)).astype("f4")
    t = random.normal(size=(2, 3)).astype("f4")
    np.testing.assert_array_equal(model([x, t]), x)
    kernel = random.normal(size=(3, 4)).astype("f4")
    model.get_layer("time_scale_shift").kernel.assign(kernel)
    scale, shift = np.split((t @ kernel)[:, None, None], 2, axis=-1)
    np.testing.assert_allclose(model([x, t]), x * (1 + scale) + shift, atol=1e-5)


def test_a_window_is_refused():
    shapes = Shapes.of((6, 7, 2), (24, 28, 1), window=3)
    with pytest.raises(InputError, match="network swin2sr reads single fields"):
        refuse_window(shapes, "swin2sr")
