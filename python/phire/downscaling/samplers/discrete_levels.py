"""Noise rates β, signal levels ᾱ and sampling times of discrete diffusion.

The noisy field at time t is √ᾱ_t · clean + √(1 − ᾱ_t) · noise (Ho et al. 2020, arXiv:2006.11239).
"""

from __future__ import annotations

import math

import numpy as np

from phire.errors import InputError

RATES = ("linear", "scaled-linear", "cosine", "sigmoid")
"""Kinds of noise rates; see :func:`betas`."""
SPACINGS = ("leading", "linspace", "trailing")
"""Spacings of a sampler's times; see :func:`timesteps`."""


def betas(
    kind: str = "linear",
    steps: int = 1000,
    *,
    beta_start: float = 1e-4,
    beta_end: float = 0.02,
    zero_terminal_snr: bool = False,
) -> np.ndarray:
    """Returns the noise rates β of all times, (steps,).

    Args:
        kind: ``linear``; ``scaled-linear``, linear in √β; ``cosine``, with ᾱ a squared cosine and
            rates up to 0.999 (Nichol and Dhariwal 2021, arXiv:2102.09672); ``sigmoid``, with β a
            logistic curve from −6 to 6.
        steps: Number of times T.
        beta_start, beta_end: First and last rate; unused for ``cosine``.
        zero_terminal_snr: Rescale √ᾱ so that the last time has no signal, which matches sampling
            from pure noise (Lin et al. 2024, arXiv:2305.08891).

    Raises:
        InputError: ``kind`` is unknown.
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
    """Rescales rates linearly in √ᾱ, so that the last ᾱ is 0 and the first is unchanged."""
    root = np.sqrt(signal_levels(rates))
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    signal = root**2
    return 1 - signal / np.concatenate([[1.0], signal[:-1]])


def signal_levels(rates: np.ndarray) -> np.ndarray:
    """Returns the signal level ᾱ_t = Π_{s≤t} (1 − β_s) of each time."""
    return np.cumprod(1 - np.asarray(rates, float))


def timesteps(n: int, steps: int = 1000, spacing: str = "trailing") -> np.ndarray:
    """Returns the times at which a sampler evaluates the network, descending, (n,).

    Args:
        n: Number of evaluations.
        steps: Number of times T in training; times are 0 … T − 1.
        spacing: Choice of the times: ``leading`` contains time 0, ``linspace`` both ends, and
            ``trailing`` the last time, which zero terminal SNR needs.

    Raises:
        InputError: ``spacing`` is unknown, or ``n`` is not between 1 and ``steps``.
    """
    if spacing not in SPACINGS:
        raise InputError(f"spacing {spacing!r} must be one of {', '.join(SPACINGS)}.")
    if not 1 <= n <= steps:
        raise InputError(f"{n} evaluations must be between 1 and the {steps} times of training.")
    if spacing == "leading":
        return (np.arange(n) * (steps // n))[::-1].copy()
    if spacing == "linspace":
        return np.linspace(0, steps - 1, n).round().astype(int)[::-1].copy()
    return np.round(np.arange(steps, 0, -steps / n)).astype(int)[:n] - 1


def sampled_levels(rates: np.ndarray, n: int, spacing: str = "trailing") -> np.ndarray:
    """Returns the ascending signal levels ᾱ of a sampler's times, ending with 1: (n + 1,)."""
    signal = signal_levels(rates)
    return np.append(signal[timesteps(n, len(signal), spacing)], 1.0)


def noise_to_signal(signal: np.ndarray) -> np.ndarray:
    """Returns the noise level σ = √((1 − ᾱ)/ᾱ) of each signal level; infinite for ᾱ = 0."""
    signal = np.asarray(signal, float)
    with np.errstate(divide="ignore"):
        return np.sqrt((1 - signal) / signal)
