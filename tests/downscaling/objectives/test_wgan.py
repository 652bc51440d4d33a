"""WGAN: the penalty of a linear critic in closed form, the distance it finds, masks, mistakes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from complete_samples import batch, schema
from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.errors import InputError
from phire.networks import network as networks

SMALL = "wgan,critic=srgan-small,weight=0.1"


def built(specification=SMALL):
    keras.utils.set_random_seed(2)
    small = {"filters": 4, "blocks": 1, "kernel": 3}
    made = objectives.build(specification, Task(schema(), *networks.resolve("srgan", small)))
    made.begin("phase 1")
    made.step_seed = tf.constant([5, 6])
    return made


def linear(made):
    """Puts a critic of the weights 2, 2 … in the place of the objective's."""
    fine, valid = (keras.Input((8, 8, 1), name=name) for name in ("fine", "valid"))
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(2))
    made.critic = keras.Model(
        {"fine": fine, "valid": valid}, dense(keras.layers.Flatten()(fine)) + 0 * valid[:, 0, 0]
    )
    return made


def test_the_penalty_of_a_linear_critic_is_that_of_its_weights():
    made, arrays = linear(built()), batch()
    truth = made.truth(arrays)
    found = made.gradient_penalty(truth, 0 * truth, arrays, tf.constant([0.0, 0.3, 0.7, 1.0]))
    assert float(found) == pytest.approx((2 * np.sqrt(64) - 1) ** 2, rel=1e-5)
    np.testing.assert_allclose(
        made.values(truth, arrays, False), 2 * truth.numpy().sum((1, 2, 3)), rtol=1e-4
    )


def test_validation_tells_the_difference_of_the_critic_s_means():
    made, arrays = linear(built()), batch()
    truth, generated = made.truth(arrays).numpy(), made.generate(arrays, False).numpy()
    expected = 2 * (truth - generated).sum((1, 2, 3)).mean()
    found = float(made.validation_step(arrays)["wasserstein"])
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_the_critic_learns_to_tell_truth_from_the_generator():
    made, arrays = built(f"{SMALL},critic_steps=2"), batch()
    made.optimizers["generator"].learning_rate.assign(0.0)
    made.optimizers["critic"].learning_rate.assign(1e-3)
    step = tf.function(made.train_step)
    first = float(step(arrays)["wasserstein"])
    for _ in range(40):
        last = step(arrays)
    assert float(last["wasserstein"]) > first + 0.5
    assert np.isfinite(float(last["penalty"]))


def test_no_invalid_value_enters_a_loss():
    found = []
    for poison in (0.0, np.nan):
        made = built()
        scalars = {**made.validation_step(batch(poison)), **made.whole_step(batch(poison))}
        weights = [np.array(w) for one in made.networks.values() for w in one.weights]
        found.append(({name: float(value) for name, value in scalars.items()}, weights))
    assert found[0][0] == found[1][0]
    for a, b in zip(found[0][1], found[1][1]):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(list(found[0][0].values())).all()


def test_the_critic_may_be_one_of_patches_and_the_whole_field():
    made, arrays = built("wgan,critic={name: cwgan-small, filters: 4, heads: [global]}"), batch()
    assert {"fine", "valid", "low", "static", "auxiliary"} == set(made.critic.input)
    before = [np.array(weight) for weight in made.critic.trainable_weights]
    found = made.whole_step(arrays)
    assert np.isfinite([float(value) for value in found.values()]).all()
    moved = [np.abs(a - b).max() for a, b in zip(before, made.critic.trainable_weights)]
    assert np.count_nonzero(moved) > 0.8 * len(moved)


@pytest.mark.parametrize(
    ("options", "message"),
    [("penalty=0", "penalty=0 must be positive"), ("critic_steps=0", "critic_steps=0 must be"),
     ("weight=-1", "weight=-1 must not be negative")],
)  # fmt: skip
def test_impossible_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        built(f"{SMALL},{options}")
