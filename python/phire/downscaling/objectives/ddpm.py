"""DDPM: a network of noise, velocity or clean field at discrete times."""

from __future__ import annotations

import functools
from typing import Any

import keras

from phire.downscaling.discrete_process import DiscreteProcess
from phire.downscaling.generator_task import Task
from phire.downscaling.objectives.denoiser_training import DenoiserTraining, train_denoiser
from phire.errors import OptionError
from phire.parts import options_of
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
    """Trains a denoiser at uniform discrete times (Ho et al. 2020, arXiv:2006.11239).

    The network is told the time, 0 to T − 1. Runs are sampled by ``ddim`` and ``ddpm``, and by the
    samplers of noise levels.

    Args:
        task: Network and records.
        prediction: ``epsilon`` (the noise), ``v`` (the velocity) or ``x0`` (the clean field).
        rates: Noise rates: ``linear``, ``scaled-linear``, ``cosine`` or ``sigmoid``.
        times: T.
        beta_start, beta_end: First and last rate; not for ``cosine``.
        zero_terminal_snr: Leave no signal at the last time (Lin et al. 2024, arXiv:2305.08891);
            with ``v`` or ``x0``.
        min_snr: γ of min-SNR weights (arXiv:2303.09556), such as 5; equal weights by default.
        **options: See :func:`phire.downscaling.objectives.denoiser_training.train_denoiser`.

    Raises:
        InputError: An option is impossible or does not fit the records.
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
