"""Fine maps beside the coarse input, scale and shift by time, refusal of windows."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.errors import InputError
from phire.networks import build
from phire.networks.blocks.interpolation_layer import Interpolation
from phire.networks.blocks.sample_inputs import (
    added_to_interpolated,
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


@pytest.mark.parametrize(
    ("inputs", "targets", "channels", "added", "learned"),
    [
        (2, 2, None, [0, 1], False),
        (3, 2, None, [0, 1], True),
        (1, 3, None, [0], True),
        (3, 2, [2, 0], [2, 0], False),
    ],
)
def test_what_a_network_adds_to(inputs, targets, channels, added, learned):
    shapes = Shapes.of((6, 7, inputs), (8, 10, targets), margin=1)
    tensors = named_inputs(shapes)
    output = keras.Input((8, 10, targets))
    x = added_to_interpolated(output, tensors, shapes, "bicubic", channels)
    model = keras.Model([output, tensors["low"]], x)
    random = np.random.default_rng(2)
    low = random.normal(size=(2, 6, 7, inputs)).astype("f4")
    own = random.normal(size=(2, 8, 10, targets)).astype("f4")
    start = np.zeros_like(own)
    start[..., : len(added)] = np.asarray(Interpolation(2)(low))[:, 2:-2, 2:-2][..., added]
    np.testing.assert_allclose(model([own, low]), own + start, atol=1e-5)
    assert bool(model.trainable_weights) == learned


@pytest.mark.parametrize("name", ["resnet", "unet-dl4ds", "fsrcnn", "swin2sr", "conv-baseline"])
def test_add_means_the_same_in_every_network(name):
    small = {
        "resnet": {"filters": 2, "blocks": 1}, "unet-dl4ds": {"filters": 2, "blocks": 1},
        "fsrcnn": {"filters": 2, "narrow": 2, "blocks": 1}, "conv-baseline": {"filters": [2, 2]},
        "swin2sr": {"filters": 4, "depths": [1], "heads": 1, "window_size": 2},
    }[name]  # fmt: skip
    model = build(name, (4, 4, 3), (8, 8, 2), add="bilinear", **small)
    learned = model.get_layer("interpolated_to_targets").get_weights()
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    model.get_layer("interpolated_to_targets").set_weights(learned)
    low = np.random.default_rng(3).normal(size=(1, 4, 4, 3)).astype("f4")
    expected = np.asarray(Interpolation(2, "bilinear")(low))[..., :2]
    np.testing.assert_allclose(model({"low": low}), expected, atol=1e-5)
