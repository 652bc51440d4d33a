"""DDPM and DDIM samplers, which step between signal levels ᾱ in place of noise levels σ.

A state is x = √ᾱ·clean + √(1−ᾱ)·noise, which can be pure noise (ᾱ = 0). All functions take numbers,
arrays or tensors.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from phire.downscaling.samplers.registry import Denoise, Noise, sampler
from phire.errors import InputError

PREDICTIONS = ("epsilon", "v", "x0")
"""Quantities that a network can predict: the noise, the velocity, the clean field."""
VARIANCES = ("small", "large")
"""Variances of DDPM's steps; see :func:`ddpm`."""


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
    """Samples by a denoising diffusion implicit model (Song et al. 2021, arXiv:2010.02502).

    ``levels`` are signal levels ᾱ that ascend to 1, and ``denoise(x, ᾱ)`` returns the clean field.

    Args:
        eta: Standard deviation of the noise drawn in each step, relative to DDPM's; 0 for a
            deterministic sample.
        clip: Bound of the clean field's absolute values; None for no bound.
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
    """Samples by a denoising diffusion probabilistic model (Ho et al. 2020, arXiv:2006.11239).

    ``levels`` are signal levels ᾱ that ascend to 1, and ``denoise(x, ᾱ)`` returns the clean field.

    Args:
        variance: Variance of the noise drawn in each step: ``small`` is the variance of the
            posterior, which is exact if all data are equal; ``large`` is β, which is exact for
            data of unit variance.
        clip: Bound of the clean field's absolute values; None for no bound.
    """
    for i, (signal, following) in enumerate(itertools.pairwise(levels)):
        clean = clipped(denoise(x, signal), clip)
        drawn = noise(i) if following < 1 else None
        x = ddpm_step(x, clean, signal, following, variance, drawn)
    return x


def clean_and_noise(kind: str, x: Any, prediction: Any, signal: Any) -> tuple[Any, Any]:
    """Converts a network's prediction to the clean field and the noise.

    Args:
        kind: Predicted quantity: ``epsilon`` (the noise), ``x0`` (the clean field) or ``v``, the
            velocity √ᾱ·noise − √(1−ᾱ)·clean (Salimans and Ho 2022, arXiv:2202.00512).
        x: Noisy field.
        prediction: Prediction of the network, of the shape of x.
        signal: Signal level ᾱ; above 0 for ``epsilon``, below 1 for ``x0``.

    Raises:
        InputError: ``kind`` is unknown, or is ``epsilon`` at ᾱ = 0.
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
            "prediction epsilon determines no field where no signal is left: choose v or x0, or "
            "noise rates without zero terminal SNR."
        )
    return (x - other * prediction) / root, prediction


def clipped(x: Any, bound: float | None) -> Any:
    """Bounds absolute values; None leaves x unchanged."""
    # Written with abs(), which arrays and tensors of all backends support.
    return x if bound is None else (abs(x + bound) - abs(x - bound)) / 2


def posterior_variance(signal: float, following: float) -> float:
    """Returns the variance of a step given the clean field, (1 − ᾱ')/(1 − ᾱ)·(1 − ᾱ/ᾱ').

    Args:
        signal, following: Signal levels ᾱ before and ᾱ' after the step.
    """
    return (1 - following) / (1 - signal) * (1 - signal / following)


def ddim_step(
    clean: Any,
    epsilon: Any,
    signal: float,
    following: float,
    eta: float = 0.0,
    noise: Any = None,
) -> Any:
    """Returns the state after a DDIM step.

    Args:
        clean, epsilon: Estimates of the clean field and of the noise in the state.
        signal, following: Signal levels ᾱ before and after the step.
        eta: Standard deviation of the fresh noise, relative to the posterior's.
        noise: Standard normal numbers of the shape of x; None to add no noise.
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
    """Returns the state after a DDPM step: the mean of the posterior, plus noise if given.

    Args:
        x: State.
        clean: Estimate of the clean field.
        signal, following: Signal levels ᾱ before and after the step.
        variance: See :func:`ddpm`.
        noise: Standard normal numbers of the shape of x; None to add no noise.

    Raises:
        InputError: ``variance`` is unknown.
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
