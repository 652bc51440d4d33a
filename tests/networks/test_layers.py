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


@pytest.mark.parametrize("options", [{}, {"padding": "valid"}, {"strides": 2}])
@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("shape", [(None, None), (9, 12), (10, 12)])
def test_so_is_one_of_unknown_size_and_of_other_padding(size, options, shape):
    """Of even kernels and strides, Keras's own is taken."""
    layers = [kind(2, size, **options) for kind in (FewFilterConvolution, keras.layers.Conv2D)]
    inputs = keras.Input((*shape, 3))
    models = [keras.Model(inputs, layer(inputs)) for layer in layers]
    models[1].set_weights(models[0].get_weights())
    x = np.random.default_rng(0).normal(size=(2, shape[0] or 9, 12, 3)).astype("f4")
    mine, keras_own = (model.predict_on_batch(x) for model in models)
    assert models[0].output_shape == models[1].output_shape
    np.testing.assert_allclose(mine, keras_own, atol=1e-5)


def test_it_takes_blocks_where_they_fit_and_only_there():
    layer, _ = pair(9, 2)
    blocks = {shape: layer._block(tf.zeros((1, *shape, 3))) for shape in [(8, 4), (6, 8), (5, 8)]}
    assert blocks == {(8, 4): 2, (6, 8): 2, (5, 8): 1}
    assert layer._block(keras.KerasTensor((None, None, None, 3))) == 1
    assert pair(9, 1)[0]._block(tf.zeros((1, 8, 4, 3))) == 4
    assert layer._suited()
    assert not any(pair(*other)[0]._suited() for other in [(3, 2), (9, 8), (6, 2)])


def test_it_is_saved_and_loaded(tmp_path):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, FewFilterConvolution(2, 9, padding="same")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("f4")
    np.testing.assert_array_equal(model(x), loaded(x))
    assert isinstance(loaded.layers[-1], FewFilterConvolution)
