"""Scalings between a denoiser and its network, loss weights, and noise levels in training.

Everything is plain arithmetic on numbers, arrays or tensors; ``xp`` is the module that has ``log``,
``exp`` and ``sqrt`` for them (``numpy``, ``keras.ops``). A denoiser is
D(x; σ) = c_skip·x + c_out·F(c_in·x; c_noise), where x = clean + σ·noise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.special

from phire.errors import InputError

BETA_MIN, BETA_D = 0.1, 19.9
"""Noise rate at t = 0 and its growth to t = 1 in the variance-preserving process."""

DENOISERS = ("edm", "flow", "vp", "ddpm")
"""Objectives that train a denoiser."""

CONDITIONS = ("low", "static", "auxiliary", "time")
"""Inputs that a denoiser is conditioned on, which guidance leaves out."""

WEIGHTS = ("edm", "soft-min-snr", "snr")


class Scalings(NamedTuple):
    """Factors of one or more noise levels, of the shape of σ."""

    skip: Any
    out: Any
    into: Any
    noise: Any


class Mixture(NamedTuple):
    """Input and target of a network in training, as sums of clean field and noise.

    The input is ``signal``·clean + ``noise``·ε, the target ``target_signal``·clean +
    ``target_noise``·ε, of the shape of the levels; ``level`` is what the network is told.
    """

    signal: Any
    noise: Any
    target_signal: Any
    target_noise: Any
    level: Any


def mixture(scalings: Scalings, sigma: Any) -> Mixture:
    """Returns the mixture by which F learns D(x; σ) = c_skip·x + c_out·F(c_in·x; c_noise).

    Args:
        scalings: Of the noise levels.
        sigma: The levels.
    """
    return Mixture(
        scalings.into,
        scalings.into * sigma,
        (1 - scalings.skip) / scalings.out,
        -scalings.skip * sigma / scalings.out,
        scalings.noise,
    )


def unit_mixture(kind: str, sigma: Any, xp: Any = np) -> Mixture:
    """Returns the mixture of an objective's denoiser for data of unit standard deviation."""
    return mixture(unit_scalings(kind, sigma, xp), sigma)


def edm_scalings(sigma: Any, sigma_data: Any = 0.5, xp: Any = np) -> Scalings:
    """Returns c_skip, c_out, c_in and c_noise = ln σ / 4 of Karras et al. 2022 (arXiv:2206.00364).

    Args:
        sigma: Standard deviation of the noise.
        sigma_data: Standard deviation of the data.
        xp: See the module.
    """
    total = sigma**2 + sigma_data**2
    root = total**0.5
    return Scalings(sigma_data**2 / total, sigma * sigma_data / root, 1 / root, xp.log(sigma) / 4)


def vp_scalings(sigma: Any, steps: int = 1000, xp: Any = np) -> Scalings:
    """Returns the factors of a noise-predicting network in σ's form: 1, −σ, 1/√(1+σ²), (M−1)·t(σ).

    Source: Karras et al. 2022, table 1, after Song et al. 2021 (arXiv:2011.13456).

    Args:
        sigma: Standard deviation of the noise.
        steps: M.
        xp: See the module.
    """
    one = 0 * sigma + 1
    return Scalings(one, -sigma, (1 + sigma**2) ** -0.5, (steps - 1) * vp_time(sigma, xp=xp))


def flow_scalings(sigma: Any) -> Scalings:
    """Returns the factors of a rectified flow in σ's form (Liu et al. 2022, arXiv:2209.03003).

    At time t a flow is (1 − t)·clean + t·noise, and its network gives the velocity noise − clean.
    Divided by 1 − t that is clean + σ·noise with σ = t/(1 − t), so that c_skip = c_in = 1/(1 + σ)
    and c_out = −σ/(1 + σ). The network is told σ, whose logarithm is the logit of t.

    Args:
        sigma: Standard deviation of the noise; that of the data does not matter.
    """
    into = 1 / (1 + sigma)
    return Scalings(into, -sigma * into, into, sigma)


def unit_scalings(kind: str, sigma: Any, xp: Any = np) -> Scalings:
    """Returns the factors of an objective's denoiser for data of unit standard deviation.

    ``noise`` is what the network is told: σ itself, whose logarithm networks take on their own, for
    ``edm`` and ``flow``, the time in steps for ``vp``.

    Raises:
        InputError: No objective of a denoiser has the name.
    """
    if kind == "edm":
        return edm_scalings(sigma, 1.0, xp)._replace(noise=sigma)
    if kind == "flow":
        return flow_scalings(sigma)
    if kind == "vp":
        return vp_scalings(sigma, xp=xp)
    raise InputError(
        f"objective {kind} trains no denoiser: samplers are for {', '.join(DENOISERS)}."
    )


def output_weight(kind: str, sigma: Any, sigma_data: Any = 0.5) -> Any:
    """Returns the weight of the squared error of the network's output F.

    ``edm``: 1; ``soft-min-snr``: (σ·d)²/(σ²+d²)²; ``snr``: d²/(σ²+d²), d = ``sigma_data``.

    Raises:
        InputError: The kind is unknown.
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
    """Returns noise levels whose logarithm is normal, by their quantiles in (0, 1).

    Uniform random quantiles draw levels for training, even ones give a fixed set for validation.

    Args:
        quantile: Shares of levels below.
        mean, std: Of ln σ; ``P_mean`` and ``P_std`` of EDM.
        xp: See the module.
        ndtri: Inverse of the normal distribution for what ``xp`` works on.
    """
    return xp.exp(mean + std * ndtri(quantile))


def log_uniform_sigma(quantile: Any, sigma_min: float, sigma_max: float) -> Any:
    """Returns noise levels whose logarithm is uniform, by their quantiles in [0, 1].

    Raises:
        InputError: ``sigma_min`` is not between 0 and ``sigma_max``.
    """
    check_sigma_range(sigma_min, sigma_max)
    return sigma_min * (sigma_max / sigma_min) ** quantile


def vp_sigma(time: Any, beta_min: float = BETA_MIN, beta_d: float = BETA_D, xp: Any = np) -> Any:
    """Returns σ(t) = √(exp(β_d t²/2 + β_min t) − 1), t from 0 to 1."""
    return xp.sqrt(xp.exp(0.5 * beta_d * time**2 + beta_min * time) - 1)


def vp_time(sigma: Any, beta_min: float = BETA_MIN, beta_d: float = BETA_D, xp: Any = np) -> Any:
    """Returns the t at which the variance-preserving process has the noise σ."""
    return (xp.sqrt(beta_min**2 + 2 * beta_d * xp.log(1 + sigma**2)) - beta_min) / beta_d


def check_sigma_range(sigma_min: float, sigma_max: float) -> None:
    """Raises an InputError unless 0 < sigma_min < sigma_max < ∞."""
    if not 0 < sigma_min < sigma_max < float("inf"):
        raise InputError(
            f"sigma_min {sigma_min:g} must be above 0 and below sigma_max {sigma_max:g}."
        )
