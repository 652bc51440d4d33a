"""Registries of samplers and of their noise schedules.

A sampler is a function ``(denoise, x, sigmas, noise, **options) -> sample``, decorated with
:data:`sampler`. ``denoise(x, sigma)`` returns the denoised field, ``sigmas`` are n + 1 descending
floats, and ``noise(step)`` returns standard normal numbers of the shape of x.

A schedule is a function ``(n, **options) -> sigmas``, decorated with :data:`schedule`. It returns n
descending levels above zero, with or without a final zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phire.part_registry import Registry

Denoise = Callable[[Any, float], Any]
Noise = Callable[[int], Any]

sampler = Registry("sampler", "phire.downscaling.samplers")
"""Samplers by name."""

schedule = Registry("schedule", "phire.downscaling.samplers")
"""Noise schedules by name."""
