"""Spread of a sampler on Gaussian data, computed in closed form without drawing a sample.

For data whose modes are independent and normal the exact denoiser is linear, D = x·s²/(s²+σ²), and
so is every sampler. Its output is then a sum of the start and of each step's noise, whose factors
are followed through the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from phire.downscaling.samplers.integration import DEFAULT_METHOD, integrate
from phire.parts import Specification


def spread_ratios(
    modes: Sequence[float],
    sigmas: Sequence[float],
    method: Specification = DEFAULT_METHOD,
    *,
    start_with_data: bool = False,
    **options: Any,
) -> np.ndarray:
    """Returns sampled over true standard deviations of Gaussian modes.

    Args:
        modes: Standard deviations of the modes.
        sigmas: Noise levels; see :func:`phire.downscaling.samplers.schedule`.
        method, **options: Sampler and its options; not ``ddim`` or ``ddpm``.
        start_with_data: Start from data and noise, whose variance is s² + σ_max², instead of the
            noise alone that a sampler starts from.

    Raises:
        InputError: See :func:`phire.downscaling.samplers.integrate`.
    """
    variances = np.asarray(modes, np.float64)[:, None] ** 2
    # Factor of the start, and of the noise of each step, in each mode.
    factors = np.zeros((len(variances), len(sigmas)))
    factors[:, :1] = np.sqrt(sigmas[0] ** 2 + start_with_data * variances)

    def denoise(x: np.ndarray, sigma: float) -> np.ndarray:
        return x * (variances / (variances + sigma**2))

    def noise(step: int) -> np.ndarray:
        return np.eye(1, len(sigmas), step + 1)

    sampled = integrate(denoise, factors, sigmas, method, noise, **options)
    return np.sqrt((sampled**2).sum(axis=1) / variances[:, 0])
