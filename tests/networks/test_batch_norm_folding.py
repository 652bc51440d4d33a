import keras
import numpy as np
import pytest

from phire.networks import encoder as encoders
from phire.networks.batch_norm_folding import folded


def normalisations(network):
    return [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]


def with_statistics(network):
    random = np.random.default_rng(0)
    for layer in normalisations(network):
        layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return network


def fields(channels=2, size=32):
    return np.random.default_rng(1).normal(size=(2, size, size, channels)).astype("f4")


@pytest.mark.parametrize("name", ["tiny", "resnet-small", "resnet-101"])
def test_gives_what_the_encoder_gives_at_every_stage(name):
    encoder = with_statistics(encoders.build(name, (None, None, 2)))
    stages = {stage: encoder.get_layer(stage).output for stage in ("stage1", "stage4")}
    before = [w.copy() for w in encoder.get_weights()]
    network = keras.Model(encoder.inputs[0], stages)
    short = folded(network)
    assert not normalisations(short) and not short.trainable_weights
    true, found = (one.predict_on_batch(fields()) for one in (network, short))
    for stage in stages:
        np.testing.assert_allclose(
            found[stage], true[stage], rtol=0, atol=1e-5 * np.abs(true[stage]).max()
        )
    for a, b in zip(before, encoder.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_follows_the_formula():
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(2, 1, bias_initializer="normal", name="sum")(inputs)
    x = keras.layers.BatchNormalization(epsilon=0.1, center=False, name="norm")(x)
    network = with_statistics(keras.Model(inputs, x))
    kernel, bias = network.get_layer("sum").get_weights()
    gamma, mean, variance = network.get_layer("norm").get_weights()
    x = fields(3, 4)
    true = gamma * (x @ kernel[0, 0] + bias - mean) / np.sqrt(variance + 0.1)
    np.testing.assert_allclose(folded(network).predict_on_batch(x), true, rtol=1e-4, atol=1e-5)


def test_keeps_what_else_reads_the_convolution_and_what_cannot_be_folded():
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(3, 3, padding="same", name="read-twice")(inputs)
    normal = keras.layers.BatchNormalization()(x)
    bent = keras.layers.Conv2D(3, 3, padding="same", activation="relu")(
        keras.layers.Add()([x, normal])
    )
    outputs = keras.layers.BatchNormalization()(bent)
    network = with_statistics(keras.Model(inputs, {"sum": x, "end": outputs}))
    short = folded(network)
    assert len(normalisations(short)) == 1  # the second comes after a ReLU
    true, found = (one.predict_on_batch(fields(size=8)) for one in (network, short))
    for name in true:
        np.testing.assert_allclose(found[name], true[name], rtol=1e-4, atol=1e-5)
