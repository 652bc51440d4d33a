"""Noise schedules: the levels σ at which a sampler evaluates the denoiser."""

from __future__ import annotations

import math

import numpy as np

from phire.downscaling.preconditioning import (
    check_sigma_range,
    vp_sigma,
    vp_time,
)
from phire.downscaling.samplers.registry import schedule
from phire.errors import InputError


@schedule("karras")
def karras(n: int, *, sigma_min: float, sigma_max: float, rho: float = 7.0) -> np.ndarray:
    """Noise levels evenly spaced in σ^(1/ρ) (Karras et al. 2022, arXiv:2206.00364, eq. 5).

    Args:
        n: Number of levels above zero.
        sigma_min, sigma_max: Smallest and largest level above zero.
        rho: Exponent ρ; larger values give more small levels.
    """
    check_sigma_range(sigma_min, sigma_max)
    if not rho > 0:
        raise InputError(f"schedule karras: rho={rho:g} must be positive.")
    ends = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return np.linspace(*ends, n) ** rho


@schedule("exponential")
def exponential(n: int, *, sigma_min: float, sigma_max: float, power: float = 1.0) -> np.ndarray:
    """Noise levels evenly spaced in ln σ.

    Args:
        n: Number of levels above zero.
        sigma_min, sigma_max: Smallest and largest level above zero.
        power: Exponent p; levels are evenly spaced in ln(σ/σ_min)^(1/p), and p > 1 gives more small
            levels.
    """
    check_sigma_range(sigma_min, sigma_max)
    return sigma_min * (sigma_max / sigma_min) ** (np.linspace(1, 0, n) ** power)


@schedule("vp")
def vp(
    n: int,
    *,
    sigma_min: float,
    sigma_max: float,
    beta_min: float = 0.1,
    beta_d: float = 19.9,
) -> np.ndarray:
    """Noise levels evenly spaced in the time of the variance-preserving process.

    Source: Song et al. 2021, arXiv:2011.13456.

    Args:
        n: Number of levels above zero.
        sigma_min, sigma_max: Smallest and largest level above zero.
        beta_min, beta_d: Noise rate at t = 0, and its increase to t = 1.
    """
    check_sigma_range(sigma_min, sigma_max)
    first, last = (vp_time(sigma, beta_min, beta_d) for sigma in (sigma_max, sigma_min))
    return vp_sigma(np.linspace(first, last, n), beta_min, beta_d)


@schedule("angle")
def angle(
    n: int,
    *,
    sigma_max: float,
    sigma_min: float | None = None,
    sigma_data: float = 0.5,
    power: float | None = None,
) -> np.ndarray:
    """Noise levels σ_i = d·tan((1 − i/n)^power · arctan(σ_max/d)) for i = 0 … n.

    Args:
        n: Number of levels above zero.
        sigma_max: Largest level.
        sigma_min: Smallest level above zero, from which ``power`` is computed.
        sigma_data: Standard deviation d of the data.
        power: Exponent; 1 for evenly spaced angles. Give either this or ``sigma_min``.

    Raises:
        InputError: Both or neither of ``sigma_min`` and ``power`` are given.
    """
    if (sigma_min is None) == (power is None):
        raise InputError("schedule angle needs either sigma_min or power: give one of them.")
    largest = math.atan(sigma_max / sigma_data)
    if power is None:
        check_sigma_range(sigma_min, sigma_max)
        ratio = largest / math.atan(sigma_min / sigma_data)
        power = math.log(ratio) / math.log(n) if n > 1 else 1.0
    sigmas = sigma_data * np.tan(largest * np.linspace(1, 0, n + 1) ** power)
    sigmas[0] = sigma_max  # removes the rounding error of tan(arctan(…))
    return sigmas
