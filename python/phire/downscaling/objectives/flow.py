"""Rectified flow: a network of the velocity between noise and the target."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
import tensorflow as tf

from phire.downscaling.diffusion_target import DiffusionTarget
from phire.downscaling.objectives import denoiser_training
from phire.downscaling.objectives.denoiser_training import DenoiserTraining, build_denoiser
from phire.downscaling.preconditioning import lognormal_sigma, unit_mixture
from phire.downscaling.task import Task
from phire.errors import InputError
from phire.training.registry import objective


@objective("flow")
def flow_objective(
    task: Task,
    *,
    target: str = "residual",
    residual: str | None = None,
    latent: str | None = None,
    sigma_data: Sequence[float] | None = None,
    p_mean: float = 0.0,
    p_std: float = 1.0,
    channel_weights: Sequence[float] | None = None,
    condition_dropout: float = 0.0,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    ema: float = 0.999,
) -> DenoiserTraining:
    """Trains a rectified flow at logit-normal times (Esser et al. 2024, arXiv:2403.03206).

    The network is told σ = t/(1 − t), whose logarithm is the logit of the time, and a sampler of
    noise levels serves it: see :func:`phire.downscaling.preconditioning.flow_scalings`.

    Args:
        task: Network and records.
        target, residual, latent, sigma_data, channel_weights, condition_dropout, sigma_min,
            sigma_max, ema: See the objective ``edm``.
        p_mean, p_std: Mean and standard deviation of the logit of t in training.

    Raises:
        InputError: An option is impossible or does not fit the records.
    """
    if p_std <= 0:
        raise InputError(f"p_std={p_std:g} must be positive.")
    return DenoiserTraining(
        build_denoiser(task, "flow"),
        DiffusionTarget(task.schema, target, tuple(sigma_data), task.residual),
        levels=functools.partial(
            lognormal_sigma, mean=p_mean, std=p_std, xp=keras.ops, ndtri=tf.math.ndtri
        ),
        mixture=functools.partial(unit_mixture, "flow", xp=keras.ops),
        weight=keras.ops.ones_like,
        channel_weights=denoiser_training.channel_weights(task, channel_weights),
        condition_dropout=condition_dropout,
        latent=task.latent,
    )
