"""EDM: a denoiser with Karras's preconditioning and log-normal noise levels."""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.denoiser_training import DenoiserTraining, train_denoiser
from phire.downscaling.preconditioning import (
    WEIGHTS,
    log_uniform_sigma,
    lognormal_sigma,
    output_weight,
    unit_mixture,
)
from phire.errors import OptionError
from phire.parts import options_of
from phire.training.registry import objective


@objective("edm")
@options_of(train_denoiser)
def edm_objective(
    task: Task,
    *,
    p_mean: float = -0.8,
    p_std: float = 1.3,
    log_uniform: float = 0.0,
    weight: str = "edm",
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    **options: Any,
) -> DenoiserTraining:
    """Trains a denoiser as EDM does (Karras et al. 2022, arXiv:2206.00364).

    The target is divided by its root mean square, so that all noise levels are in units of it.

    Args:
        task: Network and records.
        p_mean, p_std: Mean and standard deviation of ln σ in training.
        log_uniform: Share of samples whose ln σ is uniform between ``sigma_min`` and
            ``sigma_max`` instead.
        weight: ``edm``, ``soft-min-snr`` or ``snr``; see
            :func:`phire.downscaling.preconditioning.output_weight`.
        sigma_min, sigma_max: Least and largest level when sampling, too; by default from the
            spectrum of the targets.
        **options: See :func:`phire.downscaling.objectives.denoiser_training.train_denoiser`.

    Raises:
        InputError: An option is impossible or does not fit the records.
    """
    if weight not in WEIGHTS:
        raise OptionError(f"weight={weight} must be one of {', '.join(WEIGHTS)}.")
    if not 0 <= log_uniform <= 1 or p_std <= 0:
        raise OptionError(
            f"log_uniform={log_uniform:g} must lie between 0 and 1, and p_std={p_std:g} be "
            "positive."
        )
    levels = functools.partial(
        _levels, p_mean=p_mean, p_std=p_std, log_uniform=log_uniform, sigma_min=sigma_min,
        sigma_max=sigma_max,
    )  # fmt: skip
    return train_denoiser(
        task,
        "edm",
        levels=levels,
        mixture=functools.partial(unit_mixture, "edm", xp=keras.ops),
        weight=functools.partial(output_weight, weight, sigma_data=1.0),
        **options,
    )


def _levels(
    quantile: Any, *, p_mean: float, p_std: float, log_uniform: float, sigma_min: float,
    sigma_max: float,
) -> Any:  # fmt: skip
    """Levels by quantile: of the other distribution where its low digits say so."""
    normal = lognormal_sigma(quantile, p_mean, p_std, keras.ops, tf.math.ndtri)
    if not log_uniform:
        return normal
    uniform = log_uniform_sigma(quantile, sigma_min, sigma_max)
    # Of a drawn quantile the digits beyond 2⁻¹⁰ are as good as a second draw, at any batch size.
    return tf.where(quantile * 1024 % 1 < log_uniform, uniform, normal)
