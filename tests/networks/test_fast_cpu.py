"""Layers with a faster way on TensorFlow give what the plain ones give."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.networks.fast_cpu import (
    FewFilterConvolution,
    LeakyReLU,
    SiLU,
)
from phire.networks.pixel_shuffle import PixelShuffle


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
    shapes = [(8, 4), (6, 8), (5, 8)]
    blocks = {shape: layer.block_side(tf.zeros((1, *shape, 3))) for shape in shapes}
    assert blocks == {(8, 4): 2, (6, 8): 2, (5, 8): 1}
    assert layer.block_side(keras.KerasTensor((None, None, None, 3))) == 1
    assert pair(9, 1)[0].block_side(tf.zeros((1, 8, 4, 3))) == 4
    assert layer.is_faster()
    assert not any(pair(*other)[0].is_faster() for other in [(3, 2), (9, 8), (6, 2)])


def test_it_is_saved_and_loaded(tmp_path):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, FewFilterConvolution(2, 9, padding="same")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("f4")
    np.testing.assert_array_equal(model(x), loaded(x))
    assert isinstance(loaded.layers[-1], FewFilterConvolution)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("block", [2, 3])
def test_pixels_just_shuffled_are_taken_as_the_blocks_that_they_were(block, dtype):
    """In a graph only; without one, and where the blocks are others, they are made again."""
    inputs = keras.Input((6, 4, 3 * block**2))
    x = keras.layers.Conv2D(3 * block**2, 3, padding="same", dtype=dtype)(inputs)
    shuffled = PixelShuffle(block, dtype=dtype)(x)
    model = keras.Model(inputs, FewFilterConvolution(2, 5, padding="same")(shuffled))
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 6, 4, 3 * block**2)), tf.float32)

    def outputs_and_gradients(x):
        with tf.GradientTape() as tape:
            outputs = model(x)
            target = tf.reduce_sum(outputs**2)
        return [outputs, *tape.gradient(target, [v.value for v in model.trainable_variables])]

    forward = tf.function(model).get_concrete_function(x).graph
    assert ("SpaceToDepth" in {op.type for op in forward.get_operations()}) == (block == 3)
    for mine, made_again in zip(tf.function(outputs_and_gradients)(x), outputs_and_gradients(x)):
        scale = float(tf.reduce_max(tf.abs(made_again)))
        tolerance = 1e-5 if dtype == "float32" else 0.02
        np.testing.assert_allclose(mine, made_again, atol=tolerance * scale)


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.5])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_leaky_relu_and_its_gradient_are_kerass(slope, dtype):
    random = np.random.default_rng(0)
    x = tf.constant([*random.normal(size=100), 0.0], dtype)
    weights = tf.constant(random.normal(size=101), dtype)
    found = []
    for kind in (LeakyReLU, keras.layers.LeakyReLU):
        layer = kind(negative_slope=slope, dtype=dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
            target = tf.reduce_sum(weights * outputs)
        found.append((outputs, tape.gradient(target, x)))
    for mine, keras_own in zip(*found):
        np.testing.assert_array_equal(mine, keras_own)


def test_a_convolution_and_its_activation_need_not_keep_what_lies_between():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3)(inputs)
    model = keras.Model(inputs, LeakyReLU(negative_slope=0.2)(x))

    @tf.function
    def gradients(x):
        with tf.GradientTape() as tape:
            target = tf.reduce_sum(model(x) ** 2)
        return tape.gradient(target, [v.value for v in model.trainable_variables])

    graph = gradients.get_concrete_function(tf.zeros((1, 8, 8, 3))).graph
    (activation,) = (op for op in graph.get_operations() if op.type == "LeakyRelu")
    assert "LeakyReluGrad" not in {op.type for op in activation.inputs[0].consumers()}
    (gradient,) = (op for op in graph.get_operations() if op.type == "LeakyReluGrad")
    assert gradient.inputs[1].op is activation


def test_a_dense_layer_of_an_earlier_version_is_loaded():
    saved = {
        "class_name": "ManyInputDense", "module": "phire.networks.fast_cpu",
        "registered_name": "phire>ManyInputDense",
        "config": {"name": "wide", "trainable": True, "dtype": "float32", "units": 7,
                   "activation": "linear", "use_bias": True},
    }  # fmt: skip
    layer = keras.saving.deserialize_keras_object(saved)
    x = np.random.default_rng(0).normal(size=(3, 20)).astype("f4")
    y = layer(x)
    np.testing.assert_allclose(y, x @ layer.get_weights()[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 1e-2)])
def test_silu_and_its_gradients_in_closed_form(dtype, tolerance):
    values = np.linspace(-30, 30, 241).reshape(1, 241)
    sigmoid = 1 / (1 + np.exp(-values))
    x = tf.constant(values, dtype)
    layer = SiLU(dtype=dtype)

    @tf.function
    def derivatives():
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = layer(x)
            first = inner.gradient(y, x)
        return y, first, outer.gradient(first, x)

    slope = sigmoid * (1 - sigmoid)
    expected = [
        values * sigmoid, sigmoid + values * slope, slope * (2 + values * (1 - 2 * sigmoid))
    ]  # fmt: skip
    for found, right in zip(derivatives(), expected):
        assert found.dtype == dtype
        np.testing.assert_allclose(
            tf.cast(found, "float64"), right, rtol=tolerance, atol=3 * tolerance
        )
