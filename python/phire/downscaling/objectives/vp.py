"""VP: the variance-preserving diffusion in the form of noise levels."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras

from phire.downscaling.diffusion_target import DiffusionTarget
from phire.downscaling.objectives import denoiser_training
from phire.downscaling.objectives.denoiser_training import DenoiserTraining, build_denoiser
from phire.downscaling.preconditioning import unit_mixture, vp_sigma
from phire.downscaling.task import Task
from phire.training.registry import objective

LEAST_TIME = 1e-5
"""Least time in training (Song et al. 2021)."""


@objective("vp")
def vp_objective(
    task: Task,
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
    """Trains a network of the noise in the variance-preserving process, at uniform times.

    Source: Song et al. 2021 (arXiv:2011.13456), in the form of Karras et al. 2022, table 1. The
    network is told 999·t.

    Args:
        task: Network and records.
        target, residual, latent, sigma_data, channel_weights, condition_dropout, sigma_min,
            sigma_max, ema: See the objective ``edm``.

    Raises:
        InputError: An option does not fit the records.
    """

    def levels(quantile: Any) -> Any:
        return vp_sigma(LEAST_TIME + (1 - LEAST_TIME) * quantile, xp=keras.ops)

    return DenoiserTraining(
        build_denoiser(task, "vp"),
        DiffusionTarget(task.schema, target, tuple(sigma_data), task.residual),
        levels=levels,
        mixture=functools.partial(unit_mixture, "vp", xp=keras.ops),
        weight=keras.ops.ones_like,
        channel_weights=denoiser_training.channel_weights(task, channel_weights),
        condition_dropout=condition_dropout,
        latent=task.latent,
    )
