"""The conditional adversary: its update against a plain one, and what is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from complete_samples import batch, schema
from phire.downscaling import train_generator
from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.downscaling.network_inputs import network_inputs
from phire.errors import InputError
from phire.networks import network as networks
from phire.records import write_downscaling_records

PLAIN = "cgan,discriminator={name: residual, filters: 4, blocks: 1, dropout: 0}"


def built(specification):
    keras.utils.set_random_seed(2)
    task = Task(schema(), *networks.resolve("srgan,filters=4,blocks=1,kernel=3"))
    made = objectives.build(specification, task)
    made.begin("phase 1")
    made.step_seed = tf.constant([5, 6])
    return made


def test_a_step_is_dl4ds_own():
    made, arrays = built(PLAIN), batch()
    generator, discriminator = (keras.models.clone_model(made.networks[n])
                                for n in ("generator", "discriminator"))  # fmt: skip
    generator.set_weights(made.generator.get_weights())
    discriminator.set_weights(made.discriminator.get_weights())
    for optimizer in made.optimizers.values():
        optimizer.learning_rate = 2e-4
    valid = arrays["valid"]
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    with tf.GradientTape(persistent=True) as tape:
        fake = generator(network_inputs(generator, arrays), training=True) * valid
        real = tf.where(valid > 0, arrays["high"], 0)
        judged = {n: arrays[n] for n in discriminator.input if n != "fine"}
        of_real, of_fake = (
            discriminator({**judged, "fine": x}, training=True) for x in (real, fake)
        )
        content = tf.reduce_sum(tf.abs(real - fake)) / tf.reduce_sum(valid)
        adversarial = cross_entropy(tf.ones_like(of_fake), of_fake)
        generator_loss = adversarial + 100 * content
        discriminator_loss = cross_entropy(tf.ones_like(of_real), of_real) + cross_entropy(
            tf.zeros_like(of_fake), of_fake
        )
    scalars = made.whole_step(arrays)
    assert float(scalars["loss"]) == pytest.approx(float(generator_loss), rel=1e-5)
    assert float(scalars["discriminator"]) == pytest.approx(float(discriminator_loss), rel=1e-5)
    for name, network, loss in (
        ("generator", generator, generator_loss),
        ("discriminator", discriminator, discriminator_loss),
    ):
        optimizer = keras.optimizers.Adam(2e-4, beta_1=0.5)
        gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
        optimizer.apply(gradients, network.trainable_variables)
        for a, b in zip(made.networks[name].get_weights(), network.get_weights()):
            # A step of Adam is as long as the rate, whatever the gradient.
            np.testing.assert_allclose(a, b, atol=2e-6)
    assert made.further_steps() == []


def test_validation_draws_no_dropout():
    made = built("cgan,discriminator={name: residual, filters: 4, blocks: 1}")
    scores = [made.validation_step(batch()) for _ in range(2)]
    for name, value in scores[0].items():
        assert float(value) == float(scores[1][name]), name


@pytest.fixture(scope="module")
def windows(store):
    path = store.with_name("windows")
    write_downscaling_records(
        store, path, patch=(8, 8), scale=2, patches_per_field=2, shards=1, window=2,
        normalization="z", time="2000-01-01,2000-01-02",
    )  # fmt: skip
    return path


def test_windows_are_judged_whole(windows, tmp_path):
    run = train_generator(
        windows, tmp_path / "run", validation=windows, batch_size=4, epochs=(1,),
        learning_rates=(2e-4,), network="resnet,filters=2,blocks=1",
        objective="cgan,content=dssim_mae(size=3),discriminator={name: residual, filters: 4, "
        "blocks: 1},discriminator_rate=0.5",
    )  # fmt: skip
    row = run.history.iloc[0]
    assert np.isfinite(
        row[["loss", "discriminator", "val_loss", "val_discriminator"]].tolist()
    ).all()
    assert row["learning_rate_generator"] == pytest.approx(2e-4)
    assert row["learning_rate_discriminator"] == pytest.approx(1e-4)
    assert set(run.network("discriminator").input) == {"low", "fine"}


@pytest.mark.parametrize(
    ("specification", "said"),
    [
        ("cgan,discriminator=srgan-small", "reads the coarse field, but srgan-small does not"),
        ("cgan,weight=-1", "weight=-1 must not be negative"),
        ("cgan,beta_1=1", "beta_1=1 must lie between"),
        ("cgan,discriminator_rate=0", "discriminator_rate=0 must be positive"),
        ("cgan,discriminator={name: residual, filters: 2, normalization: batch}",
         "has batch normalization"),
        ("cgan,discriminator=wgan", "discriminator 'wgan' is unknown"),
        ("cgan,content=nothing", "content nothing is neither"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(specification, said):
    with pytest.raises(InputError, match=said):
        built(specification)
