"""EDM objective: preconditioned denoiser with log-normal noise levels."""

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
from phire.part_registry import options_of
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
    """Trains a denoiser with the preconditioning and noise levels of EDM.

    Targets are scaled to a root mean square of 1, and noise levels σ are relative to it. Source:
    Karras et al. 2022, arXiv:2206.00364.

    Args:
        task: Network and records.
        p_mean, p_std: Mean and standard deviation of ln σ in training.
        log_uniform: Fraction of training samples whose ln σ is drawn from a uniform distribution
            between ``sigma_min`` and ``sigma_max``.
        weight: Loss weight: ``edm``, ``soft-min-snr`` or ``snr``; see
            :func:`phire.downscaling.preconditioning.output_weight`.
        sigma_min, sigma_max: Smallest and largest noise level for sampling and for
            ``log_uniform``; None to compute them from the spectrum of the targets.
        **options: See :func:`phire.downscaling.objectives.denoiser_training.train_denoiser`.

    Raises:
        InputError: An option is out of range or does not fit the records.
    """
    if weight not in WEIGHTS:
        raise OptionError(f"weight={weight} must be one of {', '.join(WEIGHTS)}.")
    if not 0 <= log_uniform <= 1:
        raise OptionError(f"log_uniform={log_uniform:g} must lie between 0 and 1.")
    if p_std <= 0:
        raise OptionError(f"p_std={p_std:g} must be positive.")
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
    """Returns noise levels by quantile; a fraction ``log_uniform`` of them is log-uniform."""
    normal = lognormal_sigma(quantile, p_mean, p_std, keras.ops, tf.math.ndtri)
    if not log_uniform:
        return normal
    uniform = log_uniform_sigma(quantile, sigma_min, sigma_max)
    # The binary digits of a random quantile beyond 2⁻¹⁰ serve as a second random number, which
    # chooses the distribution independently of the size of the batch.
    return tf.where(quantile * 1024 % 1 < log_uniform, uniform, normal)
