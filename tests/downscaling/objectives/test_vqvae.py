"""VQ-VAE: EMA of the codes by the formula, gradients through the codes, use of codes, mistakes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from complete_samples import batch, schema
from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.downscaling.objectives.vqvae import moved_codes
from phire.errors import InputError
from phire.networks import network as networks
from phire.networks.vqvae_autoencoder import straight_through
from phire.training.step_graphs import Stepper

NETWORK = (
    "vqvae,widths=[4,8],groups=2,encoder_attention=[],decoder_attention=[],latent_channels=3,"
    "codes=8,code_width=3"
)


def built(specification="vqvae", network=NETWORK, **options):
    keras.utils.set_random_seed(2)
    made = objectives.build(specification, Task(schema(), *networks.resolve(network), **options))
    made.begin("phase 1")
    made.step_seed = tf.constant([5, 6])
    return made


def test_codes_move_to_the_ema_of_their_values():
    random = np.random.default_rng(0)
    codes, decay = random.normal(size=(4, 2)), 0.9
    counts, totals = np.zeros(4), np.zeros((4, 2))
    found, held = tf.constant(codes), tf.constant(counts)
    for _ in range(5):
        indices = random.integers(0, 3, 20)  # the last code is never used
        values = random.normal(size=(20, 2))
        chosen = np.eye(4)[indices]
        counts = decay * counts + (1 - decay) * chosen.sum(0)
        totals = decay * totals + (1 - decay) * chosen.T @ values
        found, held = moved_codes(
            found, held, tf.constant(chosen.sum(0)), tf.constant(chosen.T @ values), decay
        )
        np.testing.assert_allclose(held, counts)
        np.testing.assert_allclose(found[:3], totals[:3] / counts[:3, None])
        np.testing.assert_array_equal(found[3], codes[3])


def test_a_step_moves_the_codes_and_begins_rare_ones_again():
    made, arrays = built("vqvae,decay=0.5,restart=0.3"), batch()
    book = made.codebook
    before = np.array(book.embeddings)
    latent, indices = (np.asarray(one) for one in made.encoded(arrays, True))
    values, chosen = latent.reshape(-1, 3), np.eye(8)[indices.ravel()]
    counts = 0.5 * chosen.sum(0)
    made.train_step(arrays)
    rare = counts < 0.3 * counts.mean()
    assert rare.any() and not rare.all()
    means = (chosen.T @ values)[~rare] / chosen.sum(0)[~rare, None]
    after = np.array(book.embeddings)
    np.testing.assert_allclose(after[~rare], means, rtol=1e-4, atol=1e-6)
    distance = np.abs(after[rare][:, None] - values).max(-1).min(-1)
    assert distance.max() < 1e-6  # each is one of the batch's values
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(book.counts, np.where(rare, 0.3 * counts.mean(), counts), rtol=1e-5)


def test_the_decoder_s_gradient_reaches_the_encoder_as_if_nothing_were_rounded():
    made, arrays = built("vqvae,commitment=0"), batch()
    latent, indices = made.encoded(arrays, True)
    with tf.GradientTape() as tape:
        tape.watch(latent)
        loss = made.losses(arrays, latent, indices, True)["loss"]
    codes = made.codebook.code(indices)
    with tf.GradientTape() as plain:
        plain.watch(codes)
        fine = made.decoder(codes, training=True)
        expected = made.content(made.truth(arrays), fine * arrays["valid"], made.weights(arrays))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    gradients = tape.gradient(loss, latent), plain.gradient(expected, codes)
    assert np.abs(gradients[1]).max() > 0
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(straight_through(latent, codes), codes, atol=1e-6)


def test_the_loss_is_the_sum_of_its_parts():
    made, arrays = built("vqvae,commitment=1,codebook=0.25"), batch()
    latent, indices = made.encoded(arrays, True)
    codes = made.codebook.code(indices)
    distance = float(np.mean(np.square(latent - codes)))
    found = {k: float(v) for k, v in made.losses(arrays, latent, indices, True).items()}
    assert found["commitment"] == pytest.approx(distance, rel=1e-5)
    assert found["codebook"] == pytest.approx(distance, rel=1e-5)
    assert found["loss"] == pytest.approx(found["content"] + 1.25 * distance, rel=1e-5)
    before = np.array(made.codebook.embeddings)
    made.train_step(arrays)
    assert np.abs(np.array(made.codebook.embeddings) - before).max() > 0


def test_use_of_codes_in_closed_form():
    made = built()
    found = made.use_of_codes(tf.constant([[0, 0], [3, 5]]))
    assert float(found["usage"]) == pytest.approx(3 / 8)
    entropy = -(0.5 * np.log(0.5) + 2 * 0.25 * np.log(0.25))
    assert float(found["perplexity"]) == pytest.approx(np.exp(entropy), rel=1e-6)


def test_training_lowers_the_loss_and_uses_the_codes():
    made = built()
    made.optimizers["generator"].learning_rate.assign(3e-3)
    stepper = Stepper(made, tf.distribute.OneDeviceStrategy("/cpu:0"), False, seed=3)

    def batches(shard):
        return tf.data.Dataset.from_tensors(batch(np.nan)).repeat(80)

    before = stepper.validate(batches)[0]
    assert stepper.train(stepper.iterator(batches), 0, 80).broken == ()
    after = stepper.validate(batches)[0]
    assert after["content"] < 0.8 * before["content"]
    assert after["usage"] > 0.7 and after["perplexity"] > 3
    assert made.panels(batch(), {})


MISTAKES = {
    "network": ("vqvae", "srgan", {}, "objective vqvae needs an autoencoder, which srgan is not"),
    "objective": ("content", NETWORK, {}, "train it by --objective vqvae"),
    "denoiser": ("edm,sigma_data=[1],sigma_min=0.1,sigma_max=2", NETWORK, {}, "can denoise"),
    "conserve": ("vqvae", NETWORK, {"conserve": True}, "--conserve applies to generators"),
    "commitment": ("vqvae,commitment=-1", NETWORK, {}, "commitment=-1 must not be negative"),
    "decay": ("vqvae,decay=1", NETWORK, {}, "decay=1 must lie between 0 and 1"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told(name):
    specification, network, options, message = MISTAKES[name]
    with pytest.raises(InputError, match=message):
        built(specification, network, **options)
