"""Samplers of fields by a denoiser: plain functions on arrays or tensors.

A sampler follows dx/dσ = (x − D(x; σ))/σ from noise of standard deviation σ_max down to σ = 0,
where D is the denoiser. Nothing here imports TensorFlow or knows of networks.
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
