"""Rectified-flow objective: predicts the velocity between noise and target."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.denoiser_training import DenoiserTraining, train_denoiser
from phire.downscaling.preconditioning import lognormal_sigma, unit_mixture
from phire.errors import OptionError
from phire.part_registry import options_of
from phire.training.registry import objective


@objective("flow")
@options_of(train_denoiser)
def flow_objective(
    task: Task,
    *,
    p_mean: float = 0.0,
    p_std: float = 1.0,
    **options: Any,
) -> DenoiserTraining:
    """Trains a rectified flow at logit-normal times (Esser et al. 2024, arXiv:2403.03206).

    The input ``noise_level`` of the network is σ = t/(1 − t), whose logarithm is the logit of the
    time t. The flow is sampled like a denoiser at noise levels σ; see
    :func:`phire.downscaling.preconditioning.flow_scalings`.

    Args:
        task: Network and records.
        p_mean, p_std: Mean and standard deviation of the logit of t in training.
        **options: See :func:`phire.downscaling.objectives.denoiser_training.train_denoiser`.

    Raises:
        InputError: An option is out of range or does not fit the records.
    """
    if p_std <= 0:
        raise OptionError(f"p_std={p_std:g} must be positive.")
    return train_denoiser(
        task,
        "flow",
        levels=functools.partial(
            lognormal_sigma, mean=p_mean, std=p_std, xp=keras.ops, ndtri=tf.math.ndtri
        ),
        mixture=functools.partial(unit_mixture, "flow", xp=keras.ops),
        weight=keras.ops.ones_like,
        **options,
    )
