"""VP objective: variance-preserving diffusion, in terms of noise levels σ."""

from __future__ import annotations

import functools
from typing import Any

import keras

from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.denoiser_training import DenoiserTraining, train_denoiser
from phire.downscaling.preconditioning import unit_mixture, vp_sigma
from phire.part_registry import options_of
from phire.training.registry import objective

LEAST_TIME = 1e-5
"""Smallest time in training, as in Song et al. 2021."""


@objective("vp")
@options_of(train_denoiser)
def vp_objective(task: Task, **options: Any) -> DenoiserTraining:
    """Trains a network to predict the noise of the variance-preserving process at uniform times.

    The input ``noise_level`` of the network is 999·t. Source: Song et al. 2021, arXiv:2011.13456,
    in the form of Karras et al. 2022, arXiv:2206.00364, table 1.

    Args:
        task: Network and records.
        **options: See :func:`phire.downscaling.objectives.denoiser_training.train_denoiser`.

    Raises:
        InputError: An option does not fit the records.
    """

    def levels(quantile: Any) -> Any:
        return vp_sigma(LEAST_TIME + (1 - LEAST_TIME) * quantile, xp=keras.ops)

    return train_denoiser(
        task,
        "vp",
        levels=levels,
        mixture=functools.partial(unit_mixture, "vp", xp=keras.ops),
        weight=keras.ops.ones_like,
        **options,
    )
