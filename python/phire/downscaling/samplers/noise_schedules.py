"""Noise schedules: levels σ at which a sampler evaluates the denoiser."""

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
    """Even steps in σ^(1/ρ) (Karras et al. 2022, arXiv:2206.00364, eq. 5).

    Args:
        n: Number of levels above zero.
        sigma_min, sigma_max: Least and largest level.
        rho: ρ; the larger, the more levels are small.
    """
    check_sigma_range(sigma_min, sigma_max)
    ends = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return np.linspace(*ends, n) ** rho


@schedule("exponential")
def exponential(n: int, *, sigma_min: float, sigma_max: float, power: float = 1.0) -> np.ndarray:
    """Even steps in ln σ.

    Args:
        n: Number of levels above zero.
        sigma_min, sigma_max: Least and largest level.
        power: Steps are even in the power-th root of ln(σ/σ_min); 2 makes more levels small.
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
    """Even steps in the time of the variance-preserving process (arXiv:2011.13456).

    Args:
        n: Number of levels above zero.
        sigma_min, sigma_max: Least and largest level.
        beta_min, beta_d: Noise rate at t = 0 and its growth to t = 1.
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
    """Levels σ = d·tan θ, θ = (1 − i/n)^power · arctan(σ_max/d), the last of them zero.

    Args:
        n: Number of levels above zero.
        sigma_max: Largest level.
        sigma_min: Least level above zero, which sets the power.
        sigma_data: d, the standard deviation of the data.
        power: 1 for even steps of the angle; given instead of ``sigma_min``.

    Raises:
        InputError: Both or neither of ``sigma_min`` and ``power`` are given.
    """
    if (sigma_min is None) == (power is None):
        raise InputError("schedule angle needs either sigma_min or power.")
    largest = math.atan(sigma_max / sigma_data)
    if power is None:
        check_sigma_range(sigma_min, sigma_max)
        ratio = largest / math.atan(sigma_min / sigma_data)
        power = math.log(ratio) / math.log(n) if n > 1 else 1.0
    sigmas = sigma_data * np.tan(largest * np.linspace(1, 0, n + 1) ** power)
    sigmas[0] = sigma_max  # of which the tangent of the arctangent is off by rounding
    return sigmas
