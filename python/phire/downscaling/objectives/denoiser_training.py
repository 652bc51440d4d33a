"""Training of a denoiser: noise is added to the target, and the network removes it."""

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
"""Bins of noise levels, of equal share in training, whose losses are logged apart."""


def build_denoiser(task: Task, objective: str) -> keras.Model:
    """Builds the task's network as a denoiser.

    Raises:
        InputError: The network cannot be one, or the task conserves block means.
    """
    if "denoiser" not in networks.part(task.network).options:
        able = [name for name, part in networks.parts().items() if "denoiser" in part.options]
        raise InputError(
            f"objective {objective} needs a network that can denoise, which {task.network} cannot: "
            f"choose one of {', '.join(able)}."
        )
    if task.conserve:
        raise InputError(
            f"--conserve is of generators: a denoiser of the objective {objective} gives no field "
            "whose means could be kept; leave it out."
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
    ema: float = 0.999,
) -> DenoiserTraining:
    """Returns the training of the task's network as a denoiser.

    The keyword-only arguments are options of all diffusion objectives. The training call and the
    samplers read ``residual``, ``latent``, ``sigma_min``, ``sigma_max`` and ``ema`` from the
    resolved options.

    Args:
        task: Network and records.
        objective: Name of the objective, for messages.
        levels, mixture, weight: See :class:`DenoiserTraining`.
        target: ``residual`` to the interpolated coarse field, for the channels that both sides
            have, or ``field``.
        residual: A run of phire-train whose fields the residual is to instead; one trained with
            --folds gives residuals of samples that its networks have not seen.
        latent: A run of the objective vqvae, in whose latent space the denoiser works: the target
            is the latent field, and what is sampled is decoded. ``target`` is then ``field``.
        sigma_data: Root mean square of each channel's target; by default measured on the records.
        channel_weights: Weight of each channel's loss; equal by default.
        condition_dropout: Share of samples in training whose conditions are zeros, so that sampling
            can be guided: ``--sampler …,guidance=1``.
        sigma_min, sigma_max: Least and largest noise level when sampling; by default from the
            spectrum of the targets.
        ema: Decay of the moving average of the weights where --ema is not given.

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
    """Returns a positive weight for each target; 1 by default.

    Raises:
        InputError: There is another number of them, or one is not positive.
    """
    found = np.ones(len(task.channels)) if weights is None else np.asarray(weights, float)
    if found.shape != (len(task.channels),) or not found.min() > 0:
        raise OptionError(
            f"channel_weights={np.ravel(found).tolist()} must be one positive number for each of "
            f"{', '.join(task.channels)}."
        )
    return found


class DenoiserTraining(Objective):
    """Trains a network to predict the target, its noise or their velocity from a noisy target.

    The loss is the mean over valid points of w·(F − p·target − q·noise)², where F is given
    a·target + b·noise and told the level; a, b, p and q are functions of the level
    (:class:`phire.downscaling.preconditioning.Mixture`). Levels of a batch are stratified: sample i
    of B has a quantile drawn from [i/B, (i + 1)/B). In validation the draw depends on the number of
    the batch alone, so that every epoch is judged at the same levels, and small batches at all of
    them. ``loss_sigma_1`` … are the losses of samples in
    quarters of the levels, the smallest first, estimated without bias at any batch size; their mean
    is ``loss``.

    Args:
        generator: Network with the inputs ``noisy`` and ``noise_level``.
        target: Target of unit size.
        levels: ``levels(quantile)`` returns noise levels or times (B,).
        mixture: ``mixture(level)``, likewise (B,).
        weight: ``weight(level)`` of the squared error of F.
        channel_weights: One a channel.
        condition_dropout: Share of samples in training whose conditions are zeros.
        latent: Latent space that batches are encoded to first; None for none.

    Raises:
        InputError: ``condition_dropout`` is not from 0 to below 1.
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
            raise OptionError(f"condition_dropout={condition_dropout:g} must be from 0 to below 1.")
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
        """Returns a batch of the records in the space that the denoiser works in."""
        return batch if self.latent is None else self.latent.encode(batch)

    def clean(self, batch: Batch) -> tf.Tensor:
        """Returns the target of unit size, 0 where it is not valid."""
        clean, valid = self.target.scaled(Supervised.truth(batch), batch), batch.get("valid")
        return clean if valid is None else tf.where(tf.cast(valid, tf.bool), clean, 0)

    def at_level(self, level: tf.Tensor) -> Mixture:
        """Returns the mixture at levels (B,), each factor (B, 1, 1, 1)."""
        factors = self.mixture(level)._asdict().items()
        return Mixture(**{name: tf.reshape(value, (-1, 1, 1, 1)) for name, value in factors})

    def output(
        self, batch: Batch, told: Mixture, given: tf.Tensor, seed: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Returns the network's output for a mixture."""
        inputs = {**batch, "noisy": given, "noise_level": tf.reshape(told.level, (-1,))}
        return self.generator(network_inputs(self.generator, inputs, seed), training=training)

    def without_some_conditions(self, batch: Batch, seed: tf.Tensor) -> Batch:
        """Returns a batch where the conditions of randomly chosen samples are zeros.

        Source: classifier-free guidance, Ho and Salimans 2022, arXiv:2207.12598.
        """
        size = tf.shape(batch["high"])[0]
        seed = tf.bitwise.bitwise_xor(seed, [0, 3 << 20])
        kept = tf.random.stateless_uniform([size], seed) >= self.condition_dropout
        found = dict(batch)
        for name in {*CONDITIONS} & {*batch}:
            value = batch[name]
            mask = tf.reshape(kept, [-1] + [1] * (value.shape.rank - 1))
            found[name] = tf.where(mask, value, tf.zeros_like(value))
        return found

    @staticmethod
    def denoised(told: Mixture, given: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        """Returns the target that follows from a mixture and the network's output.

        Both are linear in target and noise; the noise is eliminated.
        """
        determinant = told.signal * told.target_noise - told.noise * told.target_signal
        return (told.target_noise * given - told.noise * output) / determinant

    def panels(self, batch: Batch, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Noisy, denoised and true targets of the first channel at the middle level."""
        batch = self.encoded({name: value[:4] for name, value in batch.items()})
        clean = self.clean(batch)
        told = self.at_level(tf.cast(self.levels(tf.fill([len(clean)], 0.5)), tf.float32))
        seed = tf.constant([0, 0])
        given = told.signal * clean + told.noise * tf.random.stateless_normal(clean.shape, seed)
        output = self.output(batch, told, given, seed, False)
        fields = [given / told.signal, self.denoised(told, given, output), clean]
        strip = tf.concat([field[..., :1] for field in fields], axis=2).numpy()
        least, most = np.percentile(clean[..., 0], [1, 99])
        strip = np.clip((strip - least) / max(most - least, 1e-9), 0, 1)
        return {"noisy, denoised, true": strip}

    def losses(self, batch: Batch, quantile: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the loss of each sample, (B,), at levels of these quantiles."""
        valid, clean = batch.get("valid"), self.clean(batch)
        level = tf.cast(self.levels(quantile), tf.float32)
        told, seed = self.at_level(level), self.random_seed()
        noise = tf.random.stateless_normal(
            tf.shape(clean), tf.bitwise.bitwise_xor(seed, [0, 1 << 20])
        )
        given = told.signal * clean + told.noise * noise
        if training and self.condition_dropout:
            batch = self.without_some_conditions(batch, seed)
        output = self.output(batch, told, given, seed, training)
        errors = tf.square(output - told.target_signal * clean - told.target_noise * noise)
        errors *= self.channel_weights
        weight = self.weight(level)
        if valid is None:
            return weight * tf.reduce_mean(errors, (1, 2, 3))
        valid = tf.cast(valid, errors.dtype)
        count = tf.maximum(tf.reduce_sum(valid, (1, 2, 3)), 1)
        return weight * tf.reduce_sum(errors * valid, (1, 2, 3)) / count

    def _quantiles(self, batch: Batch) -> tf.Tensor:
        size = tf.shape(batch["high"])[0]
        seed = tf.bitwise.bitwise_xor(self.random_seed(), [0, 2 << 20])
        within = tf.random.stateless_uniform([size], seed)
        quantile = (tf.cast(tf.range(size), tf.float32) + within) / tf.cast(size, tf.float32)
        return tf.clip_by_value(quantile, 1e-6, 1 - 1e-6)

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates the network by one batch."""
        optimizer, batch = self.optimizers["generator"], self.encoded(batch)
        quantile = self._quantiles(batch)
        with tf.GradientTape() as tape:
            losses = self.losses(batch, quantile, training=True)
            loss = tf.reduce_mean(losses)
            goal = scaled(optimizer, loss)
        minimise(tape, goal, optimizer, self.generator.trainable_variables)
        return {"loss": loss, **_binned(losses, quantile)}

    def validation_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Losses of a held-out batch at fixed levels and noise; nothing is updated."""
        batch = self.encoded(batch)
        quantile = self._quantiles(batch)
        losses = self.losses(batch, quantile, training=False)
        return {"loss": tf.reduce_mean(losses), **_binned(losses, quantile)}


def _binned(losses: tf.Tensor, quantile: tf.Tensor) -> Mapping[str, tf.Tensor]:
    """Means over each bin's samples, taken over the number that it has on average."""
    place = tf.cast(quantile * BINS, tf.int32)
    return {
        f"loss_sigma_{i + 1}": BINS * tf.reduce_mean(tf.where(place == i, losses, 0))
        for i in range(BINS)
    }
