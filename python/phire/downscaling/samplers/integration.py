"""Sampling from noise, with the sampler and the noise schedule chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from phire.downscaling.samplers.registry import Denoise, Noise, sampler
from phire.downscaling.samplers.registry import schedule as schedules
from phire.errors import InputError
from phire.part_registry import Specification

ON_SIGNAL_LEVELS = ("ddim", "ddpm")
"""Samplers whose levels are ᾱ ascending to 1; those of the others are σ descending to 0."""

DEFAULT_METHOD = "dpmpp-2m"
DEFAULT_SCHEDULE = "exponential"
DEFAULT_STEPS = 20
"""Defaults that give the smallest error of spread on Gaussian modes; see docs/samplers.md."""


def schedule(specification: Specification, n: int, **options: Any) -> np.ndarray:
    """Returns the noise levels of a schedule.

    Args:
        specification: Name of the schedule, or ``NAME,key=value,…``.
        n: Number of levels above zero, which is the number of the sampler's steps.
        **options: Options of the schedule; most need ``sigma_min`` and ``sigma_max``.

    Returns:
        Levels σ that descend to 0, (n + 1,) float64.

    Raises:
        InputError: The name or an option is unknown or missing, ``n`` is below 1, or ``sigma_min``
            is not below ``sigma_max``.
    """
    name, resolved = schedules.resolve(specification, options)
    if n < 1:
        raise InputError(f"n={n}, the number of noise levels, must be at least 1.")
    with np.errstate(all="ignore"):  # levels that are not finite are refused below
        sigmas = np.asarray(schedules.function(name)(n, **resolved), np.float64)
    sigmas = sigmas if len(sigmas) == n + 1 else np.append(sigmas, 0.0)
    if not (np.isfinite(sigmas).all() and (np.diff(sigmas) < 0).all()):
        listed = ", ".join(f"{key}={value}" for key, value in resolved.items())
        raise InputError(f"schedule {name} with {listed} gives no levels that descend to 0.")
    return sigmas


def integrate(
    denoise: Denoise,
    x: Any,
    sigmas: Sequence[float],
    method: Specification = DEFAULT_METHOD,
    generator: np.random.Generator | Callable[[int], Any] | None = None,
    **options: Any,
) -> Any:
    """Samples from noise by a denoiser, in the precision of x.

    Args:
        denoise: Function ``denoise(x, sigma)`` that returns the denoised field; sigma is a float.
        x: Initial state, noise of standard deviation ``sigmas[0]``; an array or a tensor of any
            backend.
        sigmas: Noise levels from :func:`schedule`, descending to 0. For ``ddim`` and ``ddpm``,
            signal levels ᾱ ascending to 1, and the state is √ᾱ·clean + √(1−ᾱ)·noise.
        method: Name of the sampler, or ``NAME,key=value,…``.
        generator: Source of a stochastic sampler's noise: a NumPy generator, or a function of the
            step's number that returns standard normal numbers of the shape of x.
        **options: Options of the sampler.

    Returns:
        Sample of the type of x.

    Raises:
        InputError: The sampler or an option is unknown, the levels are out of order, or the sampler
            draws noise and ``generator`` is None.
    """
    name, resolved = sampler.resolve(method, options)
    levels = [float(level) for level in sigmas]  # NumPy scalars would promote x to float64
    _check_levels(name, levels)
    return sampler.function(name)(denoise, x, levels, _noise(name, generator, x), **resolved)


def _check_levels(name: str, levels: Sequence[float]) -> None:
    """Raises an InputError if a sampler's levels are out of order or range."""
    steps = np.diff(levels)
    if name in ON_SIGNAL_LEVELS:
        if len(levels) < 2 or not (steps > 0).all() or levels[0] < 0 or levels[-1] > 1:
            raise InputError(f"sampler {name} needs signal levels that ascend from 0 to 1.")
    elif len(levels) < 2 or not (steps < 0).all() or levels[-1] < 0:
        raise InputError(f"sampler {name} needs two or more noise levels that descend to 0.")


def _noise(name: str, generator: Any, x: Any) -> Noise:
    """Returns the source of noise as a function of the step's number."""
    if generator is None:

        def raise_without_generator(step: int) -> Any:
            raise InputError(f"sampler {name} draws noise with these options: give a generator.")

        return raise_without_generator
    if isinstance(generator, np.random.Generator):
        # TensorFlow's dtypes are not NumPy's.
        dtype = np.dtype(getattr(x.dtype, "as_numpy_dtype", x.dtype))
        return lambda step: generator.standard_normal(tuple(x.shape)).astype(dtype)
    return generator
