"""Preconditioning of denoisers, loss weights, and the noise levels of training.

A denoiser D wraps a network F: D(x; σ) = c_skip·x + c_out·F(c_in·x; c_noise) with
x = clean + σ·noise (Karras et al. 2022, arXiv:2206.00364). All functions take numbers, arrays or
tensors; the argument ``xp`` is the module with ``log``, ``exp`` and ``sqrt`` for them, ``numpy`` or
``keras.ops``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.special

from phire.errors import InputError, OptionError

BETA_MIN, BETA_D = 0.1, 19.9
"""Noise rate at t = 0, and its increase to t = 1, in the variance-preserving process."""

DENOISERS = ("edm", "flow", "vp", "ddpm")
"""Objectives that train a denoiser."""

CONDITIONS = ("low", "static", "auxiliary", "time", "context")
"""Inputs that condition a denoiser; classifier-free guidance sets them to zero."""

WEIGHTS = ("edm", "soft-min-snr", "snr")
"""Names of loss weights; see :func:`output_weight`."""


class Scalings(NamedTuple):
    """Factors c_skip, c_out, c_in and c_noise of a denoiser, each of the shape of σ."""

    skip: Any
    out: Any
    into: Any
    noise: Any


class Mixture(NamedTuple):
    """Factors that form a network's training input and target from the clean field and noise ε.

    The input is ``signal``·clean + ``noise``·ε, the target is ``target_signal``·clean +
    ``target_noise``·ε, and ``level`` is the network's input ``noise_level``. All have the shape of
    the noise levels.
    """

    signal: Any
    noise: Any
    target_signal: Any
    target_noise: Any
    level: Any


def mixture(scalings: Scalings, sigma: Any) -> Mixture:
    """Returns the training input and target of F for which D(x; σ) is the clean field.

    Args:
        scalings: Factors at the noise levels.
        sigma: Noise levels.
    """
    return Mixture(
        scalings.into,
        scalings.into * sigma,
        (1 - scalings.skip) / scalings.out,
        -scalings.skip * sigma / scalings.out,
        scalings.noise,
    )


def unit_mixture(kind: str, sigma: Any, xp: Any = np) -> Mixture:
    """Returns the mixture of an objective's denoiser, for data of unit standard deviation.

    Args:
        kind: Name of the objective; see :func:`unit_scalings`.
        sigma: Noise levels.
        xp: See the module.
    """
    return mixture(unit_scalings(kind, sigma, xp), sigma)


def edm_scalings(sigma: Any, sigma_data: Any = 0.5, xp: Any = np) -> Scalings:
    """Returns the factors of EDM, with c_noise = ln σ / 4.

    Source: Karras et al. 2022, arXiv:2206.00364, table 1.

    Args:
        sigma: Standard deviation of the noise.
        sigma_data: Standard deviation of the data.
        xp: See the module.
    """
    total = sigma**2 + sigma_data**2
    root = total**0.5
    return Scalings(sigma_data**2 / total, sigma * sigma_data / root, 1 / root, xp.log(sigma) / 4)


def vp_scalings(sigma: Any, steps: int = 1000, xp: Any = np) -> Scalings:
    """Returns the factors of a network that predicts the noise of the variance-preserving process.

    c_skip = 1, c_out = −σ, c_in = 1/√(1 + σ²), c_noise = (M − 1)·t(σ).
    Source: Karras et al. 2022, table 1, after Song et al. 2021 (arXiv:2011.13456).

    Args:
        sigma: Standard deviation of the noise.
        steps: Number of time steps M.
        xp: See the module.
    """
    one = 0 * sigma + 1
    return Scalings(one, -sigma, (1 + sigma**2) ** -0.5, (steps - 1) * vp_time(sigma, xp=xp))


def flow_scalings(sigma: Any) -> Scalings:
    """Returns the factors of a rectified flow, written as a denoiser.

    The state of a flow at time t is (1 − t)·clean + t·noise, and the network predicts the velocity
    noise − clean. The state divided by 1 − t is clean + σ·noise with σ = t/(1 − t), so
    c_skip = c_in = 1/(1 + σ) and c_out = −σ/(1 + σ). The network gets σ itself; ln σ is the logit
    of t. Source: Liu et al. 2022, arXiv:2209.03003.

    Args:
        sigma: Standard deviation of the noise.
    """
    into = 1 / (1 + sigma)
    return Scalings(into, -sigma * into, into, sigma)


def unit_scalings(kind: str, sigma: Any, xp: Any = np) -> Scalings:
    """Returns the factors of an objective's denoiser, for data of unit standard deviation.

    c_noise is σ itself for ``edm`` and ``flow``, as the networks take the logarithm, and the time
    step for ``vp``.

    Args:
        kind: Name of the objective, ``edm``, ``flow`` or ``vp``.
        sigma: Noise levels.
        xp: See the module.

    Raises:
        InputError: ``kind`` is no such objective.
    """
    if kind == "edm":
        return edm_scalings(sigma, 1.0, xp)._replace(noise=sigma)
    if kind == "flow":
        return flow_scalings(sigma)
    if kind == "vp":
        return vp_scalings(sigma, xp=xp)
    raise InputError(
        f"objective {kind} trains no denoiser to sample from: use a run of one of "
        f"{', '.join(DENOISERS)}."
    )


def output_weight(kind: str, sigma: Any, sigma_data: Any = 0.5) -> Any:
    """Returns the loss weight of the squared error of the network's output F.

    The weight is 1 for ``edm``, (σ·d)²/(σ² + d²)² for ``soft-min-snr`` and d²/(σ² + d²) for
    ``snr``, with d = ``sigma_data``.

    Raises:
        InputError: ``kind`` is unknown.
    """
    total = sigma**2 + sigma_data**2
    if kind == "edm":
        return total / total
    if kind == "soft-min-snr":
        return (sigma * sigma_data / total) ** 2
    if kind == "snr":
        return sigma_data**2 / total
    raise InputError(f"weight {kind!r} must be one of {', '.join(WEIGHTS)}.")


def lognormal_sigma(
    quantile: Any, mean: float = -1.2, std: float = 1.2, xp: Any = np,
    ndtri: Any = scipy.special.ndtri,
) -> Any:  # fmt: skip
    """Returns quantiles of the log-normal distribution of noise levels.

    Training takes random quantiles, validation evenly spaced ones.

    Args:
        quantile: Probabilities in (0, 1).
        mean, std: Mean and standard deviation of ln σ (``P_mean`` and ``P_std`` of EDM).
        xp: See the module.
        ndtri: Inverse of the normal distribution function for arrays of ``xp``.
    """
    return xp.exp(mean + std * ndtri(quantile))


def log_uniform_sigma(quantile: Any, sigma_min: float, sigma_max: float) -> Any:
    """Returns quantiles of the log-uniform distribution of noise levels.

    Args:
        quantile: Probabilities in [0, 1].
        sigma_min, sigma_max: Smallest and largest level.

    Raises:
        InputError: ``sigma_min`` is not between 0 and ``sigma_max``.
    """
    check_sigma_range(sigma_min, sigma_max)
    return sigma_min * (sigma_max / sigma_min) ** quantile


def vp_sigma(time: Any, beta_min: float = BETA_MIN, beta_d: float = BETA_D, xp: Any = np) -> Any:
    """Returns σ(t) = √(exp(β_d t²/2 + β_min t) − 1) of the variance-preserving process, t ≤ 1."""
    return xp.sqrt(xp.exp(0.5 * beta_d * time**2 + beta_min * time) - 1)


def vp_time(sigma: Any, beta_min: float = BETA_MIN, beta_d: float = BETA_D, xp: Any = np) -> Any:
    """Returns the time t with σ(t) = ``sigma``: the inverse of :func:`vp_sigma`."""
    return (xp.sqrt(beta_min**2 + 2 * beta_d * xp.log(1 + sigma**2)) - beta_min) / beta_d


def check_sigma_range(sigma_min: float, sigma_max: float) -> None:
    """Raises an InputError unless 0 < sigma_min < sigma_max < ∞."""
    if not 0 < sigma_min < sigma_max < float("inf"):
        raise OptionError(
            f"sigma_min {sigma_min:g} must be above 0 and below sigma_max {sigma_max:g}."
        )
