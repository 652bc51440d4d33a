"""Integration from noise to a sample, by a named schedule and a named sampler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from phire.downscaling.samplers.registry import Denoise, Noise, sampler
from phire.downscaling.samplers.registry import schedule as schedules
from phire.errors import InputError
from phire.parts import Specification

ON_SIGNAL_LEVELS = ("ddim", "ddpm")
"""Samplers whose levels are ᾱ, ascending to 1, instead of σ, descending to 0."""

DEFAULT_METHOD = "dpmpp-2m"
DEFAULT_SCHEDULE = "exponential"
DEFAULT_STEPS = 20
"""Sampler, schedule and steps of the least error of spread on Gaussian modes; docs/samplers.md."""


def schedule(specification: Specification, n: int, **options: Any) -> np.ndarray:
    """Returns n noise levels, descending, and zero after them.

    Args:
        specification: Name of the schedule, or ``NAME,key=value,…``.
        n: Number of levels above zero, the sampler's steps.
        **options: Options of the schedule; most need ``sigma_min`` and ``sigma_max``.

    Returns:
        (n + 1,) float64.

    Raises:
        InputError: The name or an option is unknown or missing, n is below 1, or ``sigma_min`` is
            not below ``sigma_max``.
    """
    name, resolved = schedules.resolve(specification, options)
    if n < 1:
        raise InputError(f"a schedule needs 1 step or more, not {n}.")
    sigmas = np.asarray(schedules.function(name)(n, **resolved), np.float64)
    return sigmas if len(sigmas) == n + 1 else np.append(sigmas, 0.0)


def integrate(
    denoise: Denoise,
    x: Any,
    sigmas: Sequence[float],
    method: Specification = DEFAULT_METHOD,
    generator: np.random.Generator | Callable[[int], Any] | None = None,
    **options: Any,
) -> Any:
    """Takes noise to a sample, in the precision of x.

    Args:
        denoise: ``denoise(x, sigma)`` returns the denoised field; sigma is a float.
        x: Start: noise of standard deviation ``sigmas[0]``, an array or a tensor of any backend.
        sigmas: Noise levels, descending to 0, of :func:`schedule`. For ``ddim`` and ``ddpm`` signal
            levels ᾱ, ascending to 1; x is then √ᾱ·clean + √(1−ᾱ)·noise.
        method: Name of the sampler, or ``NAME,key=value,…``.
        generator: Source of a stochastic sampler's noise: NumPy's, or a function of the step's
            number that returns standard normal numbers of the shape of x.
        **options: Options of the sampler.

    Returns:
        Sample of the type of x.

    Raises:
        InputError: The sampler or an option is unknown, levels do not descend, or noise is needed
            and there is no ``generator``.
    """
    name, resolved = sampler.resolve(method, options)
    levels = [float(level) for level in sigmas]  # NumPy's own would raise x to float64
    _check_levels(name, levels)
    return sampler.function(name)(denoise, x, levels, _noise(name, generator, x), **resolved)


def _check_levels(name: str, levels: Sequence[float]) -> None:
    steps = np.diff(levels)
    if name in ON_SIGNAL_LEVELS:
        if len(levels) < 2 or not (steps > 0).all() or levels[0] < 0 or levels[-1] > 1:
            raise InputError(f"sampler {name} needs signal levels that ascend from 0 to 1.")
    elif len(levels) < 2 or not (steps < 0).all() or levels[-1] < 0:
        raise InputError(f"sampler {name} needs two or more noise levels that descend to 0.")


def _noise(name: str, generator: Any, x: Any) -> Noise:
    if generator is None:

        def refuse(step: int) -> Any:
            raise InputError(f"sampler {name} draws noise with these options: give a generator.")

        return refuse
    if isinstance(generator, np.random.Generator):
        dtype = np.dtype(getattr(x.dtype, "as_numpy_dtype", x.dtype))  # TensorFlow has its own
        return lambda step: generator.standard_normal(tuple(x.shape)).astype(dtype)
    return generator
