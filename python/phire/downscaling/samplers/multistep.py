"""Second-order multistep samplers, which reuse the denoised field of the previous step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from phire.downscaling.samplers.registry import Denoise, Noise, sampler
from phire.errors import InputError


@sampler("dpmpp-2m")
def dpmpp_2m(denoise: Denoise, x: Any, sigmas: Sequence[float], noise: Noise) -> Any:
    """Samples by DPM-Solver++(2M), deterministic, with one evaluation per step.

    The first step and the last, to zero, are of first order. Source: Lu et al. 2022,
    arXiv:2211.01095.
    """
    return _dpmpp(denoise, x, sigmas, noise, 0.0, 1.0)


@sampler("dpmpp-2m-sde")
def dpmpp_2m_sde(
    denoise: Denoise,
    x: Any,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    eta: float = 1.0,
    noise_factor: float = 1.0,
) -> Any:
    """Samples by DPM-Solver++(2M) for the stochastic equation, with one evaluation per step.

    Source: Lu et al. 2022, arXiv:2211.01095; the factor of the noise: Karras et al. 2022,
    arXiv:2206.00364, section 4.

    Args:
        eta: Strength of the noise; 0 for the deterministic ``dpmpp-2m``.
        noise_factor: Factor of the added noise; slightly above 1, it replaces small scales that a
            denoiser smooths away.
    """
    if not noise_factor > 0:
        raise InputError(f"sampler dpmpp-2m-sde: noise_factor={noise_factor:g} must be positive.")
    return _dpmpp(denoise, x, sigmas, noise, eta, noise_factor)


def _dpmpp(
    denoise: Denoise,
    x: Any,
    sigmas: Sequence[float],
    noise: Noise,
    eta: float,
    noise_factor: float,
) -> Any:
    """Integrates in ln σ; the denoised field is extrapolated linearly from the last two."""
    before = step_before = None
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        denoised = denoise(x, sigma)
        if following == 0:
            return denoised
        step = math.log(sigma / following)
        extrapolated = denoised
        if before is not None:
            extrapolated = denoised + step / (2 * step_before) * (denoised - before)
        decay = following / sigma * math.exp(-eta * step)
        x = decay * x - math.expm1(-(1 + eta) * step) * extrapolated
        if eta:
            added = noise_factor * following * math.sqrt(-math.expm1(-2 * eta * step))
            x = x + added * noise(i)
        before, step_before = denoised, step
    return x


@sampler("ab2-angle")
def ab2_angle(
    denoise: Denoise,
    x: Any,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    sigma_data: float = 0.5,
) -> Any:
    """Samples by the second-order Adams–Bashforth method in the angle θ = arctan(σ/d).

    It takes one evaluation per step. With u = x/√(σ² + d²) the equation becomes du/dθ = −F, where
    F = (D − c_skip·x)/c_out is the output of a network in EDM's preconditioning. A step is exact
    for data of distribution N(0, d²). The first step is an Euler step.

    Args:
        sigma_data: Standard deviation d of the data.
    """
    if not sigma_data > 0:
        raise InputError(f"sampler ab2-angle: sigma_data={sigma_data:g} must be positive.")
    d = sigma_data
    before = angle_before = None
    for sigma, following in itertools.pairwise(sigmas):
        square = sigma**2 + d**2
        root = math.sqrt(square)
        slope = (x * (d**2 / square) - denoise(x, sigma)) * (root / (sigma * d))
        angle = math.atan2(following, d) - math.atan2(sigma, d)
        extrapolated = slope
        if before is not None:
            extrapolated = slope + angle / (2 * angle_before) * (slope - before)
        x = (x / root + angle * extrapolated) * math.sqrt(following**2 + d**2)
        before, angle_before = slope, angle
    return x
