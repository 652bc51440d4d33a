"""The encoders have the paper's sizes, and survive being saved."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError
from phire.networks import encoder as encoders
from phire.networks.custom_layers import custom_layers
from phire.networks.fast_cpu import BatchNormalization
from phire.networks.temporal_distance_head import temporal_distance_network

RANDOM = np.random.default_rng(0)


def test_resnet_small_has_the_papers_size():
    encoder = encoders.build("resnet-small", (160, 160, 2))
    network = temporal_distance_network(encoder, 23)
    assert encoder.count_params() == 2_277_712
    assert network.count_params() == 2_747_856
    assert network.count_params() == 2_747_856
    shapes = [encoder.get_layer(f"stage{i}").output.shape[1:] for i in (1, 2, 3, 4)]
    assert shapes == [(40, 40, 16), (20, 20, 32), (10, 10, 64), (5, 5, 128)]


def test_which_layers_carry_a_bias():
    encoder = encoders.build("resnet-small", (160, 160, 2))
    network = temporal_distance_network(encoder, 23)
    own = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    inner = [layer for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.use_bias for layer in own] == [True, True]
    assert inner[0].use_bias
    assert not any(layer.use_bias for layer in inner[1:])
    assert not network.get_layer("logits").use_bias
    # One projection where the filters change: three of them, none with a stride (oneDNN would
    # write beyond the gradient of a kernel of few filters, see residual_block).
    projections = [layer for layer in inner if layer.kernel_size == (1, 1)]
    assert [layer.filters for layer in projections] == [32, 64, 128]
    assert all(layer.strides == (1, 1) for layer in projections)


def test_resnet_18_has_the_standard_blocks():
    encoder = encoders.build("resnet-18", (160, 160, 2))
    # He et al. 2016: 11.2 million without the classifier, with three channels and a 7×7 stem.
    assert encoder.count_params() == pytest.approx(11.18e6, rel=0.01)
    assert encoder.output_shape == (None, 5, 5, 512)


def test_resnet_101_is_that_of_keras_applications():
    encoder = encoders.build("resnet-101", (64, 64, 3))
    original = keras.applications.ResNet101(
        include_top=False, weights=None, input_shape=(64, 64, 3)
    )
    assert encoder.count_params() == original.count_params()
    assert encoder.get_layer("stage4").output.shape[1:] == (2, 2, 2048)
    encoder.set_weights(original.get_weights())
    x = RANDOM.normal(size=(1, 64, 64, 3)).astype("f4")
    np.testing.assert_allclose(
        encoder(x, training=False), original(x, training=False), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("name", sorted(set(encoders.parts()) - {"resnet-101"}))
def test_an_encoder_is_saved_and_loaded(name, tmp_path):
    encoder = encoders.build(name, (32, 32, 2))
    x = RANDOM.normal(size=(3, 32, 32, 2)).astype("f4")
    encoder(x, training=True)  # moves the batch statistics
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras", custom_layers())
    np.testing.assert_array_equal(encoder(x, training=False), loaded(x, training=False))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in encoder.layers]


def test_an_unknown_encoder_is_named():
    with pytest.raises(InputError, match="'resnet-5' is unknown: choose one of resnet-101"):
        encoders.build("resnet-5", (32, 32, 2))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"filters": (4, 4), "blocks": (1,)}, "must have one number for each stage"),
        ({"stem_filters": 0}, "no number below 1"),
        ({"colour": 1}, "encoder tiny has no option 'colour': it has stem_filters=8"),
    ],
)
def test_options_that_an_encoder_cannot_have_are_named(options, said):
    with pytest.raises(InputError, match=said):
        encoders.build("tiny", (32, 32, 2), options=options)


def test_fused_normalisation_equals_keras_own():
    x = RANDOM.normal(2.0, 3.0, size=(8, 6, 5, 4)).astype("f4")
    fused, plain = BatchNormalization(), keras.layers.BatchNormalization()
    results, gradients = [], []
    for layer in (fused, plain):
        layer.build(x.shape)
        layer.gamma.assign([1.0, 2.0, 3.0, 4.0])
        layer.beta.assign([0.1, 0.2, 0.3, 0.4])
        with tf.GradientTape() as tape:
            inputs = tf.constant(x)
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            target = tf.reduce_sum(outputs**3)
        gradients.append(tape.gradient(target, [inputs, layer.gamma.value, layer.beta.value]))
        results.append([outputs, layer(x, training=False), layer.moving_mean])
    for a, b in zip(results[0], results[1]):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
    for a, b in zip(gradients[0], gradients[1]):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-2)
    # The kernel takes the unbiased variance for the moving average.
    n = 8 * 6 * 5
    np.testing.assert_allclose(
        fused.moving_variance - 0.99, (plain.moving_variance - 0.99) * n / (n - 1), rtol=1e-3
    )
