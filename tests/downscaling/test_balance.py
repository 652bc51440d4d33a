"""The balancing rule: who takes a second step, by the discriminator's loss."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.downscaling.contents.pointwise import mse
from phire.downscaling.objectives.srgan import SuperResolution
from phire.networks import build


def objective(logit_gap):
    """An objective whose discriminator tells bright fields from dark ones by a fixed gap."""
    inputs = keras.Input((8, 8, 1), name="fine")
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    logits = keras.layers.Dense(1, kernel_initializer="ones")(mean)
    discriminator = keras.Model({"fine": inputs}, logits)
    generator = build("srgan,filters=2,blocks=1,kernel=3", (4, 4, 1), (8, 8, 1))
    for weight in generator.weights:
        weight.assign(0 * weight)  # generates zeros
    made = SuperResolution(generator, discriminator, mse)
    made.begin("phase 1")
    batch = {
        "low": tf.zeros((4, 4, 4, 1)),
        "high": tf.fill((4, 8, 8, 1), float(logit_gap)),
    }
    return made, batch


def steps(made):
    return {name: int(optimizer.iterations) for name, optimizer in made.optimizers.items()}


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        # Real logits are the gap, generated ones 0: the loss is (softplus(−gap) + ln 2) / 2.
        (10.0, {"generator": 2, "discriminator": 1}),  # 0.347 < 0.46
        (1.0, {"generator": 1, "discriminator": 1}),  # 0.503
        (0.0, {"generator": 1, "discriminator": 2}),  # 0.693 > 0.6
    ],
)
def test_the_weaker_one_takes_a_second_step(gap, expected):
    made, batch = objective(gap)
    scalars = tf.function(made.whole_step)(batch)
    loss = (np.log1p(np.exp(-gap)) + np.log(2)) / 2
    assert float(scalars["discriminator"]) == pytest.approx(loss, rel=1e-5)
    assert steps(made) == expected


def test_pretraining_leaves_the_discriminator_alone():
    made, batch = objective(1.0)
    made.begin("pretraining")
    before = [np.array(weight) for weight in made.discriminator.weights]
    scalars = tf.function(made.whole_step)(batch)
    assert set(scalars) == {"loss", "content"}
    assert steps(made) == {"generator": 1, "discriminator": 0}
    for a, b in zip(before, made.discriminator.weights):
        np.testing.assert_array_equal(a, b)


def test_a_step_equals_both_updates_done_by_hand():
    made, batch = objective(1.0)
    random = np.random.default_rng(0)
    for weight in made.generator.weights:
        weight.assign(0.05 * random.normal(size=weight.shape))
    # Noise about the gap of 1: a discriminator's loss near 0.5, where no one steps twice.
    batch = {
        name: fields + tf.constant(random.normal(size=fields.shape), tf.float32)
        for name, fields in batch.items()
    }
    start = {n: [np.array(w) for w in network.weights] for n, network in made.networks.items()}
    scalars = made.whole_step(batch)
    assert 0.46 < float(scalars["discriminator"]) < 0.6
    assert steps(made) == {"generator": 1, "discriminator": 1}
    after = {n: [np.array(w) for w in network.weights] for n, network in made.networks.items()}
    for name, network in made.networks.items():
        for weight, value in zip(network.weights, start[name]):
            weight.assign(value)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    for name in ("discriminator", "generator"):
        # Both gradients are those of the start.
        with tf.GradientTape() as tape:
            generated = made.generator({"low": batch["low"]})
            real, false = (
                made.discriminator({"fine": batch["high"]}),
                made.discriminator({"fine": generated}),
            )
            losses = {
                "discriminator": tf.reduce_mean(
                    tf.concat([entropy(tf.ones_like(real), real),
                               entropy(tf.zeros_like(false), false)], 0)
                ),
                "generator": tf.reduce_mean((generated - batch["high"]) ** 2)
                + 1e-3 * tf.reduce_mean(entropy(tf.ones_like(false), false)),
            }  # fmt: skip
        variables = made.networks[name].trainable_variables
        gradients = tape.gradient(losses[name], [v.value for v in variables])
        adam = keras.optimizers.Adam(1e-4)
        adam.build(variables)
        adam.apply(gradients, variables)
        for weight, value in zip(made.networks[name].weights, after[name]):
            np.testing.assert_allclose(weight, value, rtol=1e-5, atol=1e-7)
        for weight, value in zip(made.networks[name].weights, start[name]):
            weight.assign(value)


def test_the_second_step_of_the_discriminator_is_of_the_same_fields():
    made, batch = objective(0.0)
    random = np.random.default_rng(0)
    for weight in made.generator.weights:
        weight.assign(0.05 * random.normal(size=weight.shape))
    batch = {
        name: tf.constant(random.normal(size=fields.shape), tf.float32)
        for name, fields in batch.items()
    }
    variables = made.discriminator.trainable_variables
    start = [np.array(variable) for variable in variables]
    generated = tf.constant(made.generator({"low": batch["low"]}))
    scalars = made.whole_step(batch)
    assert float(scalars["discriminator"]) > 0.6
    assert "generated" not in scalars  # it is no scalar to log
    assert steps(made) == {"generator": 1, "discriminator": 2}
    after = [np.array(variable) for variable in variables]
    for variable, value in zip(variables, start):
        variable.assign(value)
    adam = keras.optimizers.Adam(1e-4)
    adam.build(variables)
    for _ in range(2):
        with tf.GradientTape() as tape:
            real, false = (
                made.discriminator({"fine": batch["high"]}),
                made.discriminator({"fine": generated}),
            )
            logits = tf.concat([real, false], 0)
            labels = tf.concat([tf.ones_like(real), tf.zeros_like(false)], 0)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
        adam.apply(tape.gradient(loss, [v.value for v in variables]), variables)
    for variable, value in zip(variables, after):
        np.testing.assert_allclose(variable, value, rtol=1e-6, atol=1e-8)
