"""Training of a denoiser, the common part of all diffusion objectives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from phire.downscaling.diffusion_target import DiffusionTarget
from phire.downscaling.generator_task import Task
from phire.downscaling.latent_space import LatentSpace
from phire.downscaling.network_inputs import network_inputs
from phire.downscaling.objectives.supervised import Supervised
from phire.downscaling.preconditioning import CONDITIONS, Mixture
from phire.errors import InputError, OptionError
from phire.networks import network as networks
from phire.training import Objective, minimise, scaled
from phire.training.objective import Batch

BINS = 4
"""Number of equally probable bins of noise levels whose losses are logged separately."""


def build_denoiser(task: Task, objective: str) -> keras.Model:
    """Builds the task's network as a denoiser.

    Raises:
        InputError: The network cannot be a denoiser, or the task conserves block means.
    """
    if "denoiser" not in networks.part(task.network).options:
        able = [name for name, part in networks.parts().items() if "denoiser" in part.options]
        raise InputError(
            f"objective {objective} needs a network that can denoise, which {task.network} cannot: "
            f"choose one of {', '.join(able)}."
        )
    if task.conserve:
        raise InputError(
            f"--conserve applies to generators, but the objective {objective} trains a denoiser: "
            "leave it out."
        )
    return task.build_network(denoiser=True)


def train_denoiser(
    task: Task,
    objective: str,
    levels: Callable[[Any], Any],
    mixture: Callable[[Any], Mixture],
    weight: Callable[[Any], Any],
    *,
    target: str = "residual",
    residual: str | None = None,
    latent: str | None = None,
    sigma_data: Sequence[float] | None = None,
    channel_weights: Sequence[float] | None = None,
    condition_dropout: float = 0.0,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    ema: float | None = 0.999,
) -> DenoiserTraining:
    """Returns the objective that trains the task's network as a denoiser.

    The keyword-only arguments are options of all diffusion objectives. The training call and the
    samplers read ``residual``, ``latent``, ``sigma_min``, ``sigma_max`` and ``ema`` from the
    run's options.

    Args:
        task: Network and records.
        objective: Name of the objective, for messages.
        levels, mixture, weight: See :class:`DenoiserTraining`.
        target: ``residual``, the difference from the interpolated coarse field for channels that
            input and targets share, or ``field``.
        residual: Run of phire-train whose prediction is subtracted in place of the interpolated
            field. Train it with --folds, so that each sample's prediction comes from a network that
            was not trained on it.
        latent: Run of the objective vqvae in whose latent space the denoiser works: targets are
            encoded and samples decoded. ``target`` is then ``field``.
        sigma_data: Root mean square of each channel's target; None to measure it on the records.
        channel_weights: Weight of each channel's loss; None for equal weights.
        condition_dropout: Fraction of training samples whose conditions are set to zero, for
            classifier-free guidance (``--sampler …,guidance=1``).
        sigma_min, sigma_max: Smallest and largest noise level for sampling; None to compute them
            from the spectrum of the targets.
        ema: Default decay of the EMA of the weights.

    Raises:
        InputError: An option does not fit the network or the records.
    """
    return DenoiserTraining(
        build_denoiser(task, objective),
        DiffusionTarget(task.schema, target, tuple(sigma_data), task.residual),
        levels=levels,
        mixture=mixture,
        weight=weight,
        channel_weights=checked_channel_weights(task, channel_weights),
        condition_dropout=condition_dropout,
        latent=task.latent,
    )


def checked_channel_weights(task: Task, weights: Sequence[float] | None) -> np.ndarray:
    """Returns the weights of the channels as an array (C,); ones for None.

    Raises:
        InputError: The number of weights is not that of the channels, or one is not positive.
    """
    checked = np.ones(len(task.channels)) if weights is None else np.asarray(weights, float)
    if checked.shape != (len(task.channels),) or not checked.min() > 0:
        raise OptionError(
            f"channel_weights={np.ravel(checked).tolist()} must be one positive number for each of "
            f"{', '.join(task.channels)}."
        )
    return checked


class DenoiserTraining(Objective):
    """Objective of a denoiser: predicts target, noise or velocity from a noisy target.

    The network F gets a·target + b·noise and the noise level, and the loss is the mean over valid
    points of w·(F − p·target − q·noise)². The factors a, b, p and q are functions of the level
    (:class:`phire.downscaling.preconditioning.Mixture`).

    The levels of a batch are stratified: the quantile of sample i of B is drawn from
    [i/B, (i + 1)/B). In validation the draws depend only on the number of the batch, so all epochs
    are scored at the same levels, and small batches together cover all levels. ``loss_sigma_1`` …
    ``loss_sigma_4`` in the log are the losses in the four quarters of the levels, from the smallest
    on; their mean is ``loss``.

    Args:
        generator: Network with the inputs ``noisy`` and ``noise_level``.
        target: Map from fields to scaled targets.
        levels: Function of quantiles (B,) that returns noise levels or times (B,).
        mixture: Function of levels that returns the factors of the network's input and target.
        weight: Function of levels that returns the loss weights of F.
        channel_weights: Weights of the channels' losses, (C,).
        condition_dropout: Fraction of training samples whose conditions are set to zero.
        latent: Latent space to which batches are encoded first; None for no encoding.

    Raises:
        InputError: ``condition_dropout`` is not in [0, 1).
    """

    def __init__(
        self,
        generator: keras.Model,
        target: DiffusionTarget,
        *,
        levels: Callable[[Any], Any],
        mixture: Callable[[Any], Mixture],
        weight: Callable[[Any], Any],
        channel_weights: np.ndarray,
        condition_dropout: float = 0.0,
        latent: LatentSpace | None = None,
    ) -> None:
        if not 0 <= condition_dropout < 1:
            raise OptionError(f"condition_dropout={condition_dropout:g} must lie in [0, 1).")
        self.generator = generator
        self.target = target
        self.levels, self.mixture, self.weight = levels, mixture, weight
        self.condition_dropout = condition_dropout
        self.latent = latent
        self.channel_weights = np.float32(channel_weights / np.mean(channel_weights))
        self.networks = {"generator": generator}
        self.optimizers = {"generator": Supervised._adam(generator)}
        self.exported = ("generator",)

    def encoded(self, batch: Batch) -> Batch:
        """Encodes a batch of the records to the latent space, if there is one."""
        return batch if self.latent is None else self.latent.encode(batch)

    def clean(self, batch: Batch) -> tf.Tensor:
        """Returns the scaled target, 0 at invalid points."""
        clean, valid = self.target.scaled(Supervised.truth(batch), batch), batch.get("valid")
        return clean if valid is None else tf.where(tf.cast(valid, tf.bool), clean, 0)

    def at_level(self, level: tf.Tensor) -> Mixture:
        """Returns the mixture at levels (B,), with factors of shape (B, 1, 1, 1)."""
        factors = self.mixture(level)._asdict().items()
        return Mixture(**{name: tf.reshape(value, (-1, 1, 1, 1)) for name, value in factors})

    def output(
        self, batch: Batch, mixture: Mixture, noisy: tf.Tensor, seed: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Applies the network to a noisy target.

        Args:
            batch: Arrays of the samples, which hold the conditions.
            mixture: Factors at the samples' noise levels.
            noisy: Network's input ``noisy``, (B, H, W, C).
            seed: Seed of random inputs, (2,) int32.
            training: True to run layers in training mode.
        """
        inputs = {**batch, "noisy": noisy, "noise_level": tf.reshape(mixture.level, (-1,))}
        return self.generator(network_inputs(self.generator, inputs, seed), training=training)

    def without_some_conditions(self, batch: Batch, seed: tf.Tensor) -> Batch:
        """Sets the conditions of randomly chosen samples to zero, for classifier-free guidance.

        Source: Ho and Salimans 2022, arXiv:2207.12598.
        """
        size = tf.shape(batch["high"])[0]
        seed = tf.bitwise.bitwise_xor(seed, [0, 3 << 20])
        conditioned = tf.random.stateless_uniform([size], seed) >= self.condition_dropout
        result = dict(batch)
        for name in {*CONDITIONS} & {*batch}:
            value = batch[name]
            mask = tf.reshape(conditioned, [-1] + [1] * (value.shape.rank - 1))
            result[name] = tf.where(mask, value, tf.zeros_like(value))
        return result

    @staticmethod
    def denoised(mixture: Mixture, noisy: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        """Returns the estimate of the target from the network's input and output.

        Input and output are linear combinations of target and noise, from which the noise is
        eliminated.
        """
        determinant = mixture.signal * mixture.target_noise - mixture.noise * mixture.target_signal
        return (mixture.target_noise * noisy - mixture.noise * output) / determinant

    def panels(self, batch: Batch, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns noisy, denoised and true targets of the first channel at the median level."""
        batch = self.encoded({name: value[:4] for name, value in batch.items()})
        clean = self.clean(batch)
        mixture = self.at_level(tf.cast(self.levels(tf.fill([len(clean)], 0.5)), tf.float32))
        seed = tf.constant([0, 0])
        noise = tf.random.stateless_normal(clean.shape, seed)
        noisy = mixture.signal * clean + mixture.noise * noise
        output = self.output(batch, mixture, noisy, seed, False)
        fields = [noisy / mixture.signal, self.denoised(mixture, noisy, output), clean]
        strip = tf.concat([field[..., :1] for field in fields], axis=2).numpy()
        least, most = np.percentile(clean[..., 0], [1, 99])
        strip = np.clip((strip - least) / max(most - least, 1e-9), 0, 1)
        return {"noisy, denoised, true": strip}

    def losses(self, batch: Batch, quantile: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the loss of each sample, (B,).

        Args:
            batch: Arrays of the samples, encoded.
            quantile: Quantiles of the samples' noise levels, (B,).
            training: True to run layers in training mode and drop conditions.
        """
        valid, clean = batch.get("valid"), self.clean(batch)
        level = tf.cast(self.levels(quantile), tf.float32)
        mixture, seed = self.at_level(level), self.random_seed()
        noise = tf.random.stateless_normal(
            tf.shape(clean), tf.bitwise.bitwise_xor(seed, [0, 1 << 20])
        )
        noisy = mixture.signal * clean + mixture.noise * noise
        if training and self.condition_dropout:
            batch = self.without_some_conditions(batch, seed)
        output = self.output(batch, mixture, noisy, seed, training)
        errors = tf.square(output - mixture.target_signal * clean - mixture.target_noise * noise)
        errors *= self.channel_weights
        weight = self.weight(level)
        if valid is None:
            return weight * tf.reduce_mean(errors, (1, 2, 3))
        valid = tf.cast(valid, errors.dtype)
        count = tf.maximum(tf.reduce_sum(valid, (1, 2, 3)), 1)
        return weight * tf.reduce_sum(errors * valid, (1, 2, 3)) / count

    def _quantiles(self, batch: Batch) -> tf.Tensor:
        """Draws stratified quantiles of the samples' noise levels, (B,)."""
        size = tf.shape(batch["high"])[0]
        seed = tf.bitwise.bitwise_xor(self.random_seed(), [0, 2 << 20])
        within = tf.random.stateless_uniform([size], seed)
        quantile = (tf.cast(tf.range(size), tf.float32) + within) / tf.cast(size, tf.float32)
        return tf.clip_by_value(quantile, 1e-6, 1 - 1e-6)

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates the network by one batch; returns ``loss`` and the losses by noise level."""
        optimizer, batch = self.optimizers["generator"], self.encoded(batch)
        quantile = self._quantiles(batch)
        with tf.GradientTape() as tape:
            losses = self.losses(batch, quantile, training=True)
            loss = tf.reduce_mean(losses)
            goal = scaled(optimizer, loss)
        minimise(tape, goal, optimizer, self.generator.trainable_variables)
        return {"loss": loss, **_binned(losses, quantile)}

    def validation_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Computes the losses of a validation batch; its noise levels are the same every epoch."""
        batch = self.encoded(batch)
        quantile = self._quantiles(batch)
        losses = self.losses(batch, quantile, training=False)
        return {"loss": tf.reduce_mean(losses), **_binned(losses, quantile)}


def _binned(losses: tf.Tensor, quantile: tf.Tensor) -> Mapping[str, tf.Tensor]:
    """Returns the mean loss of each bin of noise levels, estimated without bias.

    Sums are divided by the expected number of samples in a bin, B / BINS, as the actual number
    varies in small batches and may be 0.
    """
    bin_index = tf.cast(quantile * BINS, tf.int32)
    return {
        f"loss_sigma_{i + 1}": BINS * tf.reduce_mean(tf.where(bin_index == i, losses, 0))
        for i in range(BINS)
    }
