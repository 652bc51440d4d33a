"""Closed forms of the noisy field and of the velocity of a discrete diffusion process."""

from __future__ import annotations

from typing import Any


def noised(clean: Any, noise: Any, signal: Any) -> Any:
    """Returns the noisy field √ᾱ·clean + √(1−ᾱ)·noise."""
    return signal**0.5 * clean + (1 - signal) ** 0.5 * noise


def velocity(clean: Any, noise: Any, signal: Any) -> Any:
    """Returns v = √ᾱ·noise − √(1−ᾱ)·clean (Salimans and Ho 2022, arXiv:2202.00512)."""
    return signal**0.5 * noise - (1 - signal) ** 0.5 * clean
