"""Multistep samplers of second order: each step reuses the previous evaluation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from phire.downscaling.samplers.registry import Denoise, Noise, sampler


@sampler("dpmpp-2m")
def dpmpp_2m(denoise: Denoise, x: Any, sigmas: Sequence[float], noise: Noise) -> Any:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095); one evaluation a step.

    Deterministic. The first step and the last, to zero, are of first order.
    """
    return _dpmpp(denoise, x, sigmas, noise, 0.0)


@sampler("dpmpp-2m-sde")
def dpmpp_2m_sde(
    denoise: Denoise, x: Any, sigmas: Sequence[float], noise: Noise, *, eta: float = 1.0
) -> Any:
    """DPM-Solver++(2M) of the stochastic equation; one evaluation a step.

    Args:
        eta: Strength of the noise; 0 for ``dpmpp-2m``.
    """
    return _dpmpp(denoise, x, sigmas, noise, eta)


def _dpmpp(denoise: Denoise, x: Any, sigmas: Sequence[float], noise: Noise, eta: float) -> Any:
    before = step_before = None
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        denoised = denoise(x, sigma)
        if following == 0:
            return denoised
        step = math.log(sigma / following)
        towards = denoised
        if before is not None:
            towards = denoised + step / (2 * step_before) * (denoised - before)
        kept = following / sigma * math.exp(-eta * step)
        x = kept * x - math.expm1(-(1 + eta) * step) * towards
        if eta:
            x = x + following * math.sqrt(-math.expm1(-2 * eta * step)) * noise(i)
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
    """Adams–Bashforth of second order in the angle θ = arctan(σ/d); one evaluation a step.

    With u = x/√(σ²+d²) the equation is du/dθ = −F, F = (D − c_skip·x)/c_out the output of a network
    in EDM's preconditioning; one step is exact for data of N(0, d²). The first step is Euler's.

    Args:
        sigma_data: d, the standard deviation of the data.
    """
    d = sigma_data
    before = turned_before = None
    for sigma, following in itertools.pairwise(sigmas):
        square = sigma**2 + d**2
        root = math.sqrt(square)
        slope = (x * (d**2 / square) - denoise(x, sigma)) * (root / (sigma * d))
        turned = math.atan2(following, d) - math.atan2(sigma, d)
        along = slope
        if before is not None:
            along = slope + turned / (2 * turned_before) * (slope - before)
        x = (x / root + turned * along) * math.sqrt(following**2 + d**2)
        before, turned_before = slope, turned
    return x
