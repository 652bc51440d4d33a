"""Discrete diffusion as a denoiser: its network's input, prediction and clean field.

At time t of T a noisy field is √ᾱ_t·clean + √(1−ᾱ_t)·noise. ᾱ falls with the time, and σ =
√((1−ᾱ)/ᾱ) is the noise beside a clean field of unit factor.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from phire.downscaling.preconditioning import Mixture, Scalings
from phire.downscaling.samplers.discrete import PREDICTIONS
from phire.downscaling.samplers.discrete_levels import (
    betas,
    noise_to_signal,
    signal_levels,
    timesteps,
)
from phire.errors import InputError


@dataclasses.dataclass(frozen=True)
class DiscreteProcess:
    """Noise rates of a diffusion of T times, and the quantity that its network predicts.

    Attributes:
        prediction: ``epsilon`` (the noise), ``v`` (√ᾱ·noise − √(1−ᾱ)·clean) or ``x0``.
        rates: Kind of noise rates; see :func:`phire.downscaling.samplers.discrete_levels.betas`.
        times: T.
        beta_start, beta_end: First and last rate.
        zero_terminal_snr: No signal is left at the last time.

    Raises:
        InputError: A name is unknown, a number impossible, or ``epsilon`` is to be predicted where
            no signal is left, which says nothing of the field.
    """

    prediction: str = "epsilon"
    rates: str = "linear"
    times: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    zero_terminal_snr: bool = False

    def __post_init__(self) -> None:
        if self.prediction not in PREDICTIONS:
            raise InputError(
                f"prediction={self.prediction} must be one of {', '.join(PREDICTIONS)}."
            )
        if self.times < 2 or not 0 < self.beta_start <= self.beta_end < 1:
            raise InputError(
                f"times={self.times} must be 2 or more, and beta_start={self.beta_start:g} and "
                f"beta_end={self.beta_end:g} ascend between 0 and 1."
            )
        if self.zero_terminal_snr and self.prediction == "epsilon":
            raise InputError(
                "zero_terminal_snr with prediction=epsilon: the noise alone says nothing of the "
                "field where no signal is left; choose prediction=v or x0."
            )
        _ = self.signal  # refuses unknown rates

    @functools.cached_property
    def signal(self) -> np.ndarray:
        """(T,) ᾱ."""
        return signal_levels(
            betas(
                self.rates, self.times, beta_start=self.beta_start, beta_end=self.beta_end,
                zero_terminal_snr=self.zero_terminal_snr,
            )
        )  # fmt: skip

    def times_at(self, quantile: Any, xp: Any) -> Any:
        """Returns whole times (float) by their quantiles in [0, 1)."""
        return xp.minimum(xp.floor(quantile * self.times), self.times - 1.0)

    def mixture(self, time: Any, xp: Any) -> Mixture:
        """Returns the network's input and target at whole times, of any shape."""
        # 1 − ᾱ of the first times would lose digits in float32.
        roots = np.sqrt([self.signal, 1 - self.signal]).astype(np.float32)
        root, other = (xp.take(xp.convert_to_tensor(x), xp.cast(time, "int32")) for x in roots)
        none, one = xp.zeros_like(root), xp.ones_like(root)
        clean, noise = {
            "epsilon": (none, one), "v": (-other, root), "x0": (one, none),
        }[self.prediction]  # fmt: skip
        return Mixture(root, other, clean, noise, time)

    def weight(self, time: Any, gamma: float, xp: Any) -> Any:
        """Returns the min-SNR weight of the squared error of the prediction.

        The weight of the clean field's error is min(SNR, γ), SNR = ᾱ/(1−ᾱ).
        Source: Hang et al. 2023, arXiv:2303.09556.
        """
        signal = np.asarray(self.signal)
        ratio = signal / (1 - signal)
        bounded = np.minimum(ratio, gamma)
        if self.prediction == "epsilon":
            weights = bounded / ratio
        else:
            weights = bounded if self.prediction == "x0" else bounded / (ratio + 1)
        return xp.take(xp.convert_to_tensor(weights.astype(np.float32)), xp.cast(time, "int32"))

    def sigma_scalings(self, sigma: float) -> Scalings:
        """Returns the factors of the denoiser of clean + σ·noise.

        The network is told the time of that σ, between two whole ones in ln σ.
        """
        with np.errstate(divide="ignore"):
            logs = np.log(noise_to_signal(self.signal))
        finite = np.isfinite(logs)
        time = np.interp(np.log(sigma), logs[finite], np.flatnonzero(finite))
        signal = 1 / (1 + sigma**2)
        of_state = self.scalings(signal)
        # A state of signal levels is √ᾱ times that of σ.
        return Scalings(of_state.skip * signal**0.5, of_state.out, signal**0.5, time)

    def signal_scalings(self, signal: float) -> Scalings:
        """Returns the factors of the denoiser of √ᾱ·clean + √(1−ᾱ)·noise, ᾱ of a whole time."""
        time = int(np.argmin(np.abs(self.signal - signal)))
        return self.scalings(signal)._replace(noise=float(time))

    def scalings(self, signal: float) -> Scalings:
        """Returns the factors of the denoiser at a signal level ᾱ, without the time it is told."""
        root, other = signal**0.5, (1 - signal) ** 0.5
        if self.prediction == "epsilon":
            return Scalings(1 / root, -other / root, 1.0, None)
        if self.prediction == "v":
            return Scalings(root, -other, 1.0, None)
        return Scalings(0.0, 1.0, 1.0, None)

    def sampled_levels(self, steps: int, spacing: str) -> np.ndarray:
        """Returns (steps + 1,) ascending ᾱ of the times that a sampler stops at, and 1."""
        return np.append(self.signal[timesteps(steps, self.times, spacing)], 1.0)


def process_of(options: dict[str, Any]) -> DiscreteProcess:
    """Returns the process that the options of the objective ``ddpm`` state."""
    names = [field.name for field in dataclasses.fields(DiscreteProcess)]
    return DiscreteProcess(**{name: options[name] for name in names})
