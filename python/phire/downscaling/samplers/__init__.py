"""Diffusion samplers: plain functions of a denoiser, on arrays or tensors.

A sampler integrates dx/dσ = (x − D(x; σ))/σ, where D is the denoiser, from noise of standard
deviation σ_max down to σ = 0 (Karras et al. 2022, arXiv:2206.00364). This package imports neither
TensorFlow nor networks.
"""

from phire.downscaling.samplers.gaussian_modes import spread_ratios
from phire.downscaling.samplers.integration import (
    DEFAULT_METHOD,
    DEFAULT_SCHEDULE,
    DEFAULT_STEPS,
    integrate,
    schedule,
)
from phire.downscaling.samplers.registry import sampler
from phire.downscaling.samplers.spectral_range import mode_variances, sigma_range

__all__ = [
    "DEFAULT_METHOD",
    "DEFAULT_SCHEDULE",
    "DEFAULT_STEPS",
    "integrate",
    "mode_variances",
    "sampler",
    "schedule",
    "sigma_range",
    "spread_ratios",
]
