"""DDPM and DDIM: steps between signal levels ᾱ instead of noise levels σ.

A state is x = √ᾱ·clean + √(1−ᾱ)·noise, so that it may start without any signal (ᾱ = 0). The
functions are plain arithmetic on numbers, arrays or tensors.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from phire.downscaling.samplers.registry import Denoise, Noise, sampler
from phire.errors import InputError

PREDICTIONS = ("epsilon", "v", "x0")
VARIANCES = ("small", "large")


@sampler("ddim")
def ddim(
    denoise: Denoise,
    x: Any,
    levels: Sequence[float],
    noise: Noise,
    *,
    eta: float = 0.0,
    clip: float | None = None,
) -> Any:
    """Denoising diffusion implicit model (Song et al. 2021, arXiv:2010.02502).

    ``levels`` are ascending ᾱ that end with 1, and ``denoise(x, ᾱ)`` returns the clean field.

    Args:
        eta: Share of DDPM's noise that is drawn again; 0 for a deterministic sample.
        clip: Bound of the clean field's absolute values; None for none.
    """
    for i, (signal, following) in enumerate(itertools.pairwise(levels)):
        clean = denoise(x, signal)
        _, epsilon = clean_and_noise("x0", x, clean, signal)
        drawn = noise(i) if eta and following < 1 else None
        x = ddim_step(clipped(clean, clip), epsilon, signal, following, eta, drawn)
    return x


@sampler("ddpm")
def ddpm(
    denoise: Denoise,
    x: Any,
    levels: Sequence[float],
    noise: Noise,
    *,
    variance: str = "small",
    clip: float | None = None,
) -> Any:
    """Denoising diffusion probabilistic model (Ho et al. 2020, arXiv:2006.11239).

    ``levels`` are ascending ᾱ that end with 1, and ``denoise(x, ᾱ)`` returns the clean field.

    Args:
        variance: ``small`` (of the posterior, exact for data without spread) or ``large`` (β, exact
            for data of unit variance).
        clip: Bound of the clean field's absolute values; None for none.
    """
    for i, (signal, following) in enumerate(itertools.pairwise(levels)):
        clean = clipped(denoise(x, signal), clip)
        drawn = noise(i) if following < 1 else None
        x = ddpm_step(x, clean, signal, following, variance, drawn)
    return x


def noised(clean: Any, noise: Any, signal: Any) -> Any:
    """Returns √ᾱ·clean + √(1−ᾱ)·noise."""
    return signal**0.5 * clean + (1 - signal) ** 0.5 * noise


def velocity(clean: Any, noise: Any, signal: Any) -> Any:
    """Returns v = √ᾱ·noise − √(1−ᾱ)·clean (Salimans and Ho 2022, arXiv:2202.00512)."""
    return signal**0.5 * noise - (1 - signal) ** 0.5 * clean


def clean_and_noise(kind: str, x: Any, prediction: Any, signal: Any) -> tuple[Any, Any]:
    """Returns the clean field and the noise that a network's prediction means.

    Args:
        kind: What is predicted: ``epsilon`` (the noise), ``v`` (:func:`velocity`) or ``x0``.
        x: Noisy field.
        prediction: Of the shape of x.
        signal: ᾱ; above 0 for ``epsilon``, below 1 for ``x0``.

    Raises:
        InputError: The kind is unknown, or is ``epsilon`` where there is no signal.
    """
    if kind not in PREDICTIONS:
        raise InputError(f"prediction {kind!r} must be one of {', '.join(PREDICTIONS)}.")
    root, other = signal**0.5, (1 - signal) ** 0.5
    if kind == "v":
        return root * x - other * prediction, root * prediction + other * x
    if kind == "x0":
        return prediction, (x - root * prediction) / other
    if isinstance(signal, float) and signal == 0:
        raise InputError(
            "prediction epsilon says nothing of the field where no signal is left: choose v or "
            "x0, or noise rates without zero terminal SNR."
        )
    return (x - other * prediction) / root, prediction


def clipped(x: Any, bound: float | None) -> Any:
    """Bounds absolute values; written with ``abs``, which arrays and tensors alike have."""
    return x if bound is None else (abs(x + bound) - abs(x - bound)) / 2


def posterior_variance(signal: float, following: float) -> float:
    """Returns (1 − ᾱ')/(1 − ᾱ)·(1 − ᾱ/ᾱ'), the variance of a step whose clean field is known."""
    return (1 - following) / (1 - signal) * (1 - signal / following)


def ddim_step(
    clean: Any,
    epsilon: Any,
    signal: float,
    following: float,
    eta: float = 0.0,
    noise: Any = None,
) -> Any:
    """Returns the state at the next signal level.

    Args:
        clean, epsilon: Clean field and noise that the network sees in the state.
        signal, following: ᾱ now and after the step.
        eta: Share of the posterior's standard deviation that is drawn again.
        noise: Standard normal numbers for it.
    """
    variance = eta**2 * posterior_variance(signal, following)
    x = following**0.5 * clean + max(1 - following - variance, 0.0) ** 0.5 * epsilon
    return x if noise is None else x + variance**0.5 * noise


def ddpm_step(
    x: Any,
    clean: Any,
    signal: float,
    following: float,
    variance: str = "small",
    noise: Any = None,
) -> Any:
    """Returns the state at the next signal level: the posterior's mean, and noise if it is given.

    Raises:
        InputError: The variance is unknown.
    """
    if variance not in VARIANCES:
        raise InputError(f"variance {variance!r} must be one of {', '.join(VARIANCES)}.")
    rate = 1 - signal / following
    x = (
        following**0.5 * rate / (1 - signal) * clean
        + (1 - rate) ** 0.5 * (1 - following) / (1 - signal) * x
    )
    if noise is None:
        return x
    spread = posterior_variance(signal, following) if variance == "small" else rate
    return x + spread**0.5 * noise
