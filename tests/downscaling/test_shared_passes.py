"""One way back through the discriminator gives both networks their gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.downscaling.objectives.srgan import SuperResolution
from phire.errors import InputError
from phire.networks import Shapes, network
from phire.networks import discriminator as discriminators
from phire.training import for_float16

WEIGHT = 0.5
SHAPES = Shapes((4, 4, 1), (8, 8, 1), 2)
TOLERANCES = {"float32": 2e-5, "mixed_bfloat16": 0.05, "mixed_float16": 0.01}


@pytest.fixture(params=TOLERANCES)
def precision(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def content(truth, generated, valid=None):
    return tf.reduce_mean(tf.square(truth - generated))


def objective(logit):
    """Small networks with plain gradient descent, and logits about a number."""
    keras.utils.set_random_seed(1)
    discriminator = discriminators.build("srgan,filters=[4],dense=8", SHAPES, False)
    generator = network.build("srgan,filters=4,blocks=1,kernel=5", SHAPES)
    made = SuperResolution(
        generator,
        discriminator,
        content,
        adversarial_weight=WEIGHT,
    )
    discriminator.get_layer("logits").bias.assign([logit])
    for name, one in made.networks.items():
        optimizer = for_float16(keras.optimizers.SGD(1.0))
        optimizer.build(one.trainable_variables)
        made.optimizers[name] = optimizer
    made.begin("phase 1")
    random = np.random.default_rng(2)
    return made, {
        "low": tf.constant(random.normal(size=(6, 4, 4, 1)), tf.float32),
        "high": tf.constant(random.normal(size=(6, 8, 8, 1)), tf.float32),
    }


def apart(made, batch):
    """Both networks' gradients, each by passes of its own."""
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits
    gradients = {}
    for name, one in made.networks.items():
        with tf.GradientTape() as tape:
            generated = made.generator({"low": batch["low"]})
            real, false = (
                made.discriminator({"fine": batch["high"]}),
                made.discriminator({"fine": generated}),
            )
            if name == "discriminator":
                wrong = cross_entropy(tf.zeros_like(false), false)
                right = cross_entropy(tf.ones_like(real), real)
                loss = (tf.reduce_mean(right) + tf.reduce_mean(wrong)) / 2
            else:
                fooled = cross_entropy(tf.ones_like(false), false)
                loss = content(batch["high"], generated) + WEIGHT * tf.reduce_mean(fooled)
            # As float16 is trained: what goes back would vanish in it otherwise.
            loss = loss * 2.0**10
        found = tape.gradient(loss, [variable.value for variable in one.trainable_variables])
        gradients[name] = [np.array(tf.cast(x, tf.float32)) / 2.0**10 for x in found]
    return gradients


@pytest.mark.parametrize("logit", [-200.0, -20.0, 0.0, 20.0, 200.0])
def test_both_gradients_are_those_of_separate_passes(precision, logit):
    # At −200 the discriminator is so sure of the generated fields that its own gradient is 0 beside
    # the generator's, which goes back with it.
    made, batch = objective(logit)
    expected = apart(made, batch)
    before = {
        name: [np.array(variable) for variable in one.trainable_variables]
        for name, one in made.networks.items()
    }
    made.train_step(batch)
    for name, one in made.networks.items():
        whole = max(np.abs(gradient).max() for gradient in expected[name])
        assert whole > 1e-3
        for variable, start, gradient in zip(one.trainable_variables, before[name], expected[name]):
            np.testing.assert_allclose(
                start - np.array(variable), gradient, atol=TOLERANCES[precision] * whole, rtol=0
            )


def test_a_discriminator_that_normalises_over_its_batch_is_refused():
    inputs = keras.Input((8, 8, 1), name="fine")
    x = keras.layers.BatchNormalization()(keras.layers.Flatten()(inputs))
    discriminator = keras.Model({"fine": inputs}, keras.layers.Dense(1)(x))
    generator = network.build("srgan,filters=4,blocks=1,kernel=5", SHAPES)
    with pytest.raises(InputError, match="each field by itself"):
        SuperResolution(generator, discriminator, content)
