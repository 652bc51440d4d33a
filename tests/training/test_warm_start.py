"""Warm start and fine-tuning: which weights come from another network, and which learn."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.errors import InputError
from phire.training.warm_start import copy_weights, freeze_all_but, named_layers


def network(channels=2, width=4, extra=False, targets=1):
    x = inputs = keras.Input((8, 8, channels))
    x = keras.layers.Conv2D(width, 3, padding="same")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.SeparableConv2D(width, 3, padding="same")(x)
    if extra:
        x = keras.layers.Dense(width + 1)(x)
        x = keras.layers.Dense(width)(x)
    x = keras.layers.Conv2D(width, 3, padding="same")(x)
    x = keras.layers.Conv2D(targets, 1, name="targets")(x)
    return keras.Model(inputs, x)


def randomised(**options):
    made = network(**options)
    random = np.random.default_rng(1)
    made.set_weights([random.normal(size=w.shape) for w in made.get_weights()])
    return made


def test_names_are_those_of_a_fresh_process():
    names = ["conv2d", "batch_normalization", "separable_conv2d", "conv2d_1", "targets"]
    assert list(named_layers(network())) == list(named_layers(network())) == names


def copied(source, target):
    """Names of the target's layers whose weights are found in the source."""
    known = [layer.get_weights() for layer in source.layers if layer.weights]
    return [
        name for name, layer in named_layers(target).items()
        if any(len(w) == len(layer.weights) and all(
            a.shape == tuple(b.shape) and np.array_equal(a, b)
            for a, b in zip(w, layer.get_weights())) for w in known)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "new"),
    [
        ({}, []),
        ({"channels": 5}, ["conv2d"]),
        ({"targets": 3}, ["targets"]),
        ({"extra": True}, ["dense", "dense_1"]),
        ({"channels": 5, "extra": True, "targets": 2}, ["conv2d", "dense", "dense_1", "targets"]),
    ],
)
def test_corresponding_layers_are_copied(options, new):
    source, target = randomised(), network(**options)
    assert copy_weights(source, target) == new
    assert copied(source, target) == [n for n in named_layers(target) if n not in new]


def test_networks_of_another_width_have_nothing_in_common():
    with pytest.raises(InputError, match="no layer of the network"):
        copy_weights(network(), network(width=6))


def test_layers_that_match_no_pattern_are_frozen():
    made = network()
    assert freeze_all_but(made, ["conv2d_*", "targets"]) == ["conv2d_1", "targets"]
    before = made.get_weights()
    made.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 2))
    made.fit(x, x[..., :1], verbose=0)
    layers = named_layers(made)
    changed = {
        name for name, layer in layers.items()
        for w in layer.weights
        for a, b in zip(made.weights, before) if a is w and not np.array_equal(a, b)
    }  # fmt: skip
    assert changed == {"conv2d_1", "targets"}  # the statistics of the batches are frozen, too


def test_a_pattern_of_no_layer_is_told():
    with pytest.raises(
        InputError, match=r"--trainable dense matches no layer .* conv2d, batch_norm"
    ):
        freeze_all_but(network(), ["conv2d", "dense"])
