"""Spread of a sampler's output for Gaussian data, computed exactly without random samples.

For independent normal modes of variance s² the exact denoiser D = x·s²/(s² + σ²) is linear, so the
output of a sampler is a linear combination of the initial state and of each step's noise. The
sampler is applied to the coefficients of this combination.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from phire.downscaling.samplers.integration import DEFAULT_METHOD, integrate
from phire.part_registry import Specification


def spread_ratios(
    modes: Sequence[float],
    sigmas: Sequence[float],
    method: Specification = DEFAULT_METHOD,
    *,
    start_with_data: bool = False,
    **options: Any,
) -> np.ndarray:
    """Returns the ratio of sampled to true standard deviation of each Gaussian mode.

    Args:
        modes: True standard deviations s of the modes.
        sigmas: Noise levels; see :func:`phire.downscaling.samplers.schedule`.
        method, **options: Sampler and its options, except ``ddim`` and ``ddpm``.
        start_with_data: Start from the exact distribution of noisy data, of variance s² + σ_max²,
            in place of pure noise of variance σ_max².

    Raises:
        InputError: See :func:`phire.downscaling.samplers.integrate`.
    """
    variances = np.asarray(modes, np.float64)[:, None] ** 2
    # Coefficients of the initial state (column 0) and of each step's noise, for each mode.
    factors = np.zeros((len(variances), len(sigmas)))
    factors[:, :1] = np.sqrt(sigmas[0] ** 2 + start_with_data * variances)

    def denoise(x: np.ndarray, sigma: float) -> np.ndarray:
        return x * (variances / (variances + sigma**2))

    def noise(step: int) -> np.ndarray:
        return np.eye(1, len(sigmas), step + 1)

    sampled = integrate(denoise, factors, sigmas, method, noise, **options)
    return np.sqrt((sampled**2).sum(axis=1) / variances[:, 0])
