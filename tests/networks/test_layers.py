"""Layers with a faster way on TensorFlow give what the plain ones give."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.networks.layers import FewFilterConvolution


def pair(size, filters, channels=3):
    """The layer and Keras's own, of the same weights."""
    random = np.random.default_rng(0)
    layers = [
        kind(filters, size, padding="same") for kind in (FewFilterConvolution, keras.layers.Conv2D)
    ]
    weights = [random.normal(size=(size, size, channels, filters)), random.normal(size=filters)]
    for layer in layers:
        layer.build((None, None, None, channels))
        layer.set_weights(weights)
    return layers


@pytest.mark.parametrize("size", [5, 7, 9, 11])
@pytest.mark.parametrize("shape", [(8, 12), (6, 10), (7, 9), (4, 4)])
@pytest.mark.parametrize("filters", [1, 2, 3])
def test_a_convolution_to_few_channels_is_kerass(size, shape, filters):
    layers = pair(size, filters)
    random = np.random.default_rng(1)
    x = tf.constant(random.normal(size=(2, *shape, 3)), tf.float32)
    weights = tf.constant(random.normal(size=(2, *shape, filters)), tf.float32)
    found = []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
            target = tf.reduce_sum(weights * outputs)
        variables = [v.value for v in layer.trainable_variables]
        found.append([outputs, *tape.gradient(target, [x, *variables])])
    for mine, keras_own in zip(*found):
        scale = float(tf.reduce_max(tf.abs(keras_own)))
        np.testing.assert_allclose(mine, keras_own, atol=3e-6 * scale)


def test_it_takes_blocks_where_they_fit_and_only_there():
    layer, _ = pair(9, 2)
    blocks = {shape: layer._block(tf.zeros((1, *shape, 3))) for shape in [(8, 4), (6, 8), (5, 8)]}
    assert blocks == {(8, 4): 4, (6, 8): 2, (5, 8): None}
    assert layer._block(keras.KerasTensor((None, None, None, 3))) is None
    assert pair(3, 2)[0]._block(tf.zeros((1, 8, 8, 3))) is None
    assert pair(9, 8)[0]._block(tf.zeros((1, 8, 8, 3))) is None


def test_it_is_saved_and_loaded(tmp_path):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, FewFilterConvolution(2, 9, padding="same")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("f4")
    np.testing.assert_array_equal(model(x), loaded(x))
    assert isinstance(loaded.layers[-1], FewFilterConvolution)
