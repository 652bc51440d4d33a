"""DDPM objective: predicts noise, velocity or clean field at discrete times."""

from __future__ import annotations

import functools
from typing import Any

import keras

from phire.downscaling.discrete_process import DiscreteProcess
from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.denoiser_training import DenoiserTraining, train_denoiser
from phire.errors import OptionError
from phire.part_registry import options_of
from phire.training.registry import objective


@objective("ddpm")
@options_of(train_denoiser)
def ddpm_objective(
    task: Task,
    *,
    prediction: str = "epsilon",
    rates: str = "linear",
    times: int = 1000,
    beta_start: float = 1e-4,
    beta_end: float = 0.02,
    zero_terminal_snr: bool = False,
    min_snr: float | None = None,
    **options: Any,
) -> DenoiserTraining:
    """Trains a denoiser at uniformly distributed discrete times.

    The input ``noise_level`` of the network is the time, from 0 to T − 1. All samplers can be used
    for prediction, ``ddim`` and ``ddpm`` as well as those on noise levels σ. Source: Ho et al.
    2020, arXiv:2006.11239.

    Args:
        task: Network and records.
        prediction: Predicted quantity: ``epsilon`` (the noise), ``v`` (the velocity) or ``x0`` (the
            clean field).
        rates: Kind of noise rates: ``linear``, ``scaled-linear``, ``cosine`` or ``sigmoid``.
        times: Number of times T.
        beta_start, beta_end: First and last noise rate; unused for ``cosine``.
        zero_terminal_snr: Rescale the rates so that the last time has no signal, for ``v`` and
            ``x0`` (Lin et al. 2024, arXiv:2305.08891).
        min_snr: Upper bound γ of min-SNR loss weights, such as 5 (Hang et al. 2023,
            arXiv:2303.09556); None for equal weights.
        **options: See :func:`phire.downscaling.objectives.denoiser_training.train_denoiser`.

    Raises:
        InputError: An option is out of range or does not fit the records.
    """
    process = DiscreteProcess(prediction, rates, times, beta_start, beta_end, zero_terminal_snr)
    if min_snr is not None and min_snr <= 0:
        raise OptionError(f"min_snr={min_snr:g} must be positive.")
    weight = keras.ops.ones_like
    if min_snr is not None:
        weight = functools.partial(process.weight, gamma=min_snr, xp=keras.ops)
    return train_denoiser(
        task,
        "ddpm",
        levels=functools.partial(process.times_at, xp=keras.ops),
        mixture=functools.partial(process.mixture, xp=keras.ops),
        weight=weight,
        **options,
    )
