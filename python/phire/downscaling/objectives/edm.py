"""EDM: a denoiser with Karras's preconditioning and log-normal noise levels."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from phire.downscaling.diffusion_target import DiffusionTarget
from phire.downscaling.objectives import denoiser_training
from phire.downscaling.objectives.denoiser_training import DenoiserTraining, build_denoiser
from phire.downscaling.preconditioning import (
    WEIGHTS,
    log_uniform_sigma,
    lognormal_sigma,
    output_weight,
    unit_mixture,
)
from phire.downscaling.task import Task
from phire.errors import InputError
from phire.training.registry import objective


@objective("edm")
def edm_objective(
    task: Task,
    *,
    target: str = "residual",
    residual: str | None = None,
    latent: str | None = None,
    sigma_data: Sequence[float] | None = None,
    p_mean: float = -0.8,
    p_std: float = 1.3,
    log_uniform: float = 0.0,
    weight: str = "edm",
    channel_weights: Sequence[float] | None = None,
    condition_dropout: float = 0.0,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    ema: float = 0.999,
) -> DenoiserTraining:
    """Trains a denoiser as EDM does (Karras et al. 2022, arXiv:2206.00364).

    The target is divided by its root mean square, so that all noise levels are in units of it.

    Args:
        task: Network and records.
        target: ``residual`` to the interpolated coarse field, for the channels that both sides
            have, or ``field``.
        residual: A run of phire-train whose fields the residual is to instead; one trained with
            --folds gives residuals of samples that its networks have not seen.
        latent: A run of the objective vqvae, in whose latent space the denoiser works: the target
            is the latent field, and what is sampled is decoded. ``target`` is then ``field``.
        sigma_data: Root mean square of each channel's target; by default measured on the records.
        p_mean, p_std: Mean and standard deviation of ln σ in training.
        log_uniform: Share of samples whose ln σ is uniform between ``sigma_min`` and
            ``sigma_max`` instead.
        weight: ``edm``, ``soft-min-snr`` or ``snr``; see
            :func:`phire.downscaling.preconditioning.output_weight`.
        channel_weights: Weight of each channel's loss; equal by default.
        condition_dropout: Share of samples in training whose conditions are zeros, so that sampling
            can be guided: ``--sampler …,guidance=1``.
        sigma_min, sigma_max: Least and largest level when sampling; by default from the spectrum
            of the targets.
        ema: Decay of the moving average of the weights where --ema is not given.

    Raises:
        InputError: An option is impossible or does not fit the records.
    """
    if weight not in WEIGHTS:
        raise InputError(f"weight={weight} must be one of {', '.join(WEIGHTS)}.")
    if not 0 <= log_uniform <= 1 or p_std <= 0:
        raise InputError(
            f"log_uniform={log_uniform:g} must lie between 0 and 1, and p_std={p_std:g} be "
            "positive."
        )
    levels = functools.partial(
        _levels, p_mean=p_mean, p_std=p_std, log_uniform=log_uniform, sigma_min=sigma_min,
        sigma_max=sigma_max,
    )  # fmt: skip
    return DenoiserTraining(
        build_denoiser(task, "edm"),
        DiffusionTarget(task.schema, target, tuple(sigma_data), task.residual),
        levels=levels,
        mixture=functools.partial(unit_mixture, "edm", xp=keras.ops),
        weight=functools.partial(output_weight, weight, sigma_data=1.0),
        channel_weights=denoiser_training.channel_weights(task, channel_weights),
        condition_dropout=condition_dropout,
        latent=task.latent,
    )


def _levels(
    quantile: Any, *, p_mean: float, p_std: float, log_uniform: float, sigma_min: float,
    sigma_max: float,
) -> Any:  # fmt: skip
    """Levels by quantile; every so many samples the other distribution is used."""
    normal = lognormal_sigma(quantile, p_mean, p_std, keras.ops, tf.math.ndtri)
    if not log_uniform:
        return normal
    uniform = log_uniform_sigma(quantile, sigma_min, sigma_max)
    number = tf.cast(tf.range(tf.shape(quantile)[0]), tf.float32)
    chosen = tf.floor((number + 1) * log_uniform) > tf.floor(number * log_uniform)
    return tf.where(chosen, uniform, normal)
