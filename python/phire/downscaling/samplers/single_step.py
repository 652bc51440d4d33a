"""Single-step samplers: Euler, Heun, DPM-Solver-2, ancestral.

They integrate dx/dσ = (x − D(x; σ))/σ from the largest level down to zero. The last step, to zero,
is an Euler step, which returns the denoised field.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from phire.downscaling.samplers.registry import Denoise, Noise, sampler

LARGEST_CHURN = math.sqrt(2) - 1
"""Largest relative increase γ of the noise level before a step, as in EDM."""


@sampler("euler")
def euler(
    denoise: Denoise,
    x: Any,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    churn: float = 0.0,
    churn_min: float = 0.0,
    churn_max: float | None = None,
    churn_noise: float = 1.0,
) -> Any:
    """Samples by Euler's method, with one evaluation per step.

    Args:
        churn: Strength S_churn of the noise added before each step, which raises σ to σ(1 + γ) with
            γ = ``churn`` / steps, at most √2 − 1; 0 for a deterministic sample (Karras et al. 2022,
            arXiv:2206.00364).
        churn_min, churn_max: Noise levels between which noise is added; None for no upper limit.
        churn_noise: Factor of the added noise.
    """

    def step(x: Any, sigma: float, following: float) -> Any:
        return x + (following - sigma) * _slope(denoise, x, sigma)

    return _integrated(step, x, sigmas, noise, churn, churn_min, churn_max, churn_noise)


@sampler("heun")
def heun(
    denoise: Denoise,
    x: Any,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    churn: float = 0.0,
    churn_min: float = 0.0,
    churn_max: float | None = None,
    churn_noise: float = 1.0,
) -> Any:
    """Samples by Heun's second-order method, with two evaluations per step.

    Source: Karras et al. 2022 (EDM), arXiv:2206.00364.

    Args:
        churn, churn_min, churn_max, churn_noise: See :func:`euler`.
    """

    def step(x: Any, sigma: float, following: float) -> Any:
        first = _slope(denoise, x, sigma)
        predicted = x + (following - sigma) * first
        if following == 0:
            return predicted
        return x + (following - sigma) / 2 * (first + _slope(denoise, predicted, following))

    return _integrated(step, x, sigmas, noise, churn, churn_min, churn_max, churn_noise)


@sampler("dpm2")
def dpm2(
    denoise: Denoise,
    x: Any,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    churn: float = 0.0,
    churn_min: float = 0.0,
    churn_max: float | None = None,
    churn_noise: float = 1.0,
) -> Any:
    """Samples by DPM-Solver-2, the midpoint method in ln σ, with two evaluations per step.

    Source: Lu et al. 2022, arXiv:2206.00927.

    Args:
        churn, churn_min, churn_max, churn_noise: See :func:`euler`.
    """

    def step(x: Any, sigma: float, following: float) -> Any:
        first = _slope(denoise, x, sigma)
        if following == 0:
            return x - sigma * first
        middle = math.sqrt(sigma * following)
        halfway = x + (middle - sigma) * first
        return x + (following - sigma) * _slope(denoise, halfway, middle)

    return _integrated(step, x, sigmas, noise, churn, churn_min, churn_max, churn_noise)


@sampler("ancestral")
def ancestral(
    denoise: Denoise,
    x: Any,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    eta: float = 1.0,
) -> Any:
    """Samples by Euler steps to below the next level, each followed by fresh noise up to it.

    It takes one evaluation per step, and equals DDIM with the same ``eta`` (DDPM for 1) in terms of
    σ.

    Args:
        eta: Strength of the fresh noise; 0 for Euler's method.
    """
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        down, up = ancestral_levels(sigma, following, eta)
        x = x + (down - sigma) * _slope(denoise, x, sigma)
        if up > 0:
            x = x + up * noise(i)
    return x


def ancestral_levels(sigma: float, following: float, eta: float = 1.0) -> tuple[float, float]:
    """Returns the level at the end of an ancestral Euler step, and the noise to add after it.

    Args:
        sigma, following: Noise levels before and after the step; the squares of the two results add
            up to ``following``².
        eta: Strength of the fresh noise.
    """
    up = min(following, eta * following * math.sqrt(sigma**2 - following**2) / sigma)
    return math.sqrt(following**2 - up**2), up


def churn_factor(churn: float, steps: int) -> float:
    """Returns γ, the relative increase of the noise level before each step."""
    return min(churn / steps, LARGEST_CHURN)


def _slope(denoise: Denoise, x: Any, sigma: float) -> Any:
    """Returns dx/dσ."""
    return (x - denoise(x, sigma)) / sigma


def _integrated(
    step: Callable[[Any, float, float], Any],
    x: Any,
    sigmas: Sequence[float],
    noise: Noise,
    churn: float,
    churn_min: float,
    churn_max: float | None,
    churn_noise: float,
) -> Any:
    """Applies ``step(x, sigma, following)`` from level to level, with churn before each step."""
    factor = churn_factor(churn, len(sigmas) - 1)
    churn_max = math.inf if churn_max is None else churn_max
    for i, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        if factor > 0 and churn_min <= sigma <= churn_max:
            raised = sigma * (1 + factor)
            x = x + math.sqrt(raised**2 - sigma**2) * churn_noise * noise(i)
            sigma = raised
        x = step(x, sigma, following)
    return x
