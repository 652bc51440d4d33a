"""Discrete diffusion: noise rates β, signal levels ᾱ and the times at which a sampler stops.

A noisy field is √ᾱ_t · clean + √(1 − ᾱ_t) · noise (Ho et al. 2020, arXiv:2006.11239).
"""

from __future__ import annotations

import math

import numpy as np

from phire.errors import InputError

RATES = ("linear", "scaled-linear", "cosine", "sigmoid")
SPACINGS = ("leading", "linspace", "trailing")


def betas(
    kind: str = "linear",
    steps: int = 1000,
    *,
    beta_start: float = 1e-4,
    beta_end: float = 0.02,
    zero_terminal_snr: bool = False,
) -> np.ndarray:
    """Returns the noise rates of a diffusion of ``steps`` times.

    Args:
        kind: ``linear``; ``scaled-linear``: linear in √β; ``cosine``: ᾱ falls as a squared cosine
            (arXiv:2102.09672), rates at most 0.999; ``sigmoid``: β along a logistic curve from −6
            to 6.
        steps: T.
        beta_start, beta_end: First and last rate; not for ``cosine``.
        zero_terminal_snr: Stretch √ᾱ so that no signal is left at the last time, as when sampling
            starts from pure noise (Lin et al. 2024, arXiv:2305.08891).

    Raises:
        InputError: The kind is unknown.
    """
    if kind not in RATES:
        raise InputError(f"noise rates {kind!r} must be one of {', '.join(RATES)}.")
    if kind == "linear":
        rates = np.linspace(beta_start, beta_end, steps)
    elif kind == "scaled-linear":
        rates = np.linspace(math.sqrt(beta_start), math.sqrt(beta_end), steps) ** 2
    elif kind == "sigmoid":
        rise = 1 / (1 + np.exp(-np.linspace(-6, 6, steps)))
        rates = beta_start + (beta_end - beta_start) * rise
    else:
        signal = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * math.pi / 2) ** 2
        rates = np.minimum(1 - signal[1:] / signal[:-1], 0.999)
    return _without_last_signal(rates) if zero_terminal_snr else rates


def _without_last_signal(rates: np.ndarray) -> np.ndarray:
    root = np.sqrt(signal_levels(rates))
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    signal = root**2
    return 1 - signal / np.concatenate([[1.0], signal[:-1]])


def signal_levels(rates: np.ndarray) -> np.ndarray:
    """Returns ᾱ_t = Π (1 − β) for each time."""
    return np.cumprod(1 - np.asarray(rates, float))


def timesteps(n: int, steps: int = 1000, spacing: str = "trailing") -> np.ndarray:
    """Returns n of the times 0 … steps − 1 at which a sampler stops, descending.

    Args:
        n: Number of evaluations.
        steps: T of the training.
        spacing: ``leading`` (from 0 up), ``linspace`` (both ends), ``trailing`` (from the last
            time down, as zero terminal SNR needs it).

    Raises:
        InputError: The spacing is unknown, or n is not from 1 to ``steps``.
    """
    if spacing not in SPACINGS:
        raise InputError(f"spacing {spacing!r} must be one of {', '.join(SPACINGS)}.")
    if not 1 <= n <= steps:
        raise InputError(f"{n} evaluations must be from 1 to the {steps} steps of the training.")
    if spacing == "leading":
        return (np.arange(n) * (steps // n))[::-1].copy()
    if spacing == "linspace":
        return np.linspace(0, steps - 1, n).round().astype(int)[::-1].copy()
    return np.round(np.arange(steps, 0, -steps / n)).astype(int)[:n] - 1


def sampled_levels(rates: np.ndarray, n: int, spacing: str = "trailing") -> np.ndarray:
    """Returns ᾱ at the times of :func:`timesteps`, ascending, and 1 after them, (n + 1,)."""
    signal = signal_levels(rates)
    return np.append(signal[timesteps(n, len(signal), spacing)], 1.0)


def noise_to_signal(signal: np.ndarray) -> np.ndarray:
    """Returns σ = √((1 − ᾱ)/ᾱ), the noise beside a clean field of unit factor."""
    signal = np.asarray(signal, float)
    with np.errstate(divide="ignore"):
        return np.sqrt((1 - signal) / signal)
