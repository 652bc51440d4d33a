"""Registries of samplers and of their noise schedules.

A sampler is a function ``(denoise, x, sigmas, noise, **options) -> sample``, decorated with
:data:`sampler`: ``denoise(x, sigma)`` returns the denoised field, ``sigmas`` are n + 1 descending
floats, ``noise(step)`` returns standard normal numbers of the shape of x. A schedule is a function
``(n, **options) -> sigmas``, decorated with :data:`schedule`, that returns n levels above zero, or
n + 1 where its own last is zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phire.parts import Registry

Denoise = Callable[[Any, float], Any]
Noise = Callable[[int], Any]

sampler = Registry("sampler", "phire.downscaling.samplers")
"""All samplers by name."""

schedule = Registry("schedule", "phire.downscaling.samplers")
"""All noise schedules by name."""
