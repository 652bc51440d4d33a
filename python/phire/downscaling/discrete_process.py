"""Diffusion process with discrete times, and the scalings that turn its network into a denoiser.

At time t of T the noisy field is √ᾱ_t·clean + √(1−ᾱ_t)·noise, with ᾱ falling in t (Ho et al. 2020,
arXiv:2006.11239). Divided by √ᾱ it is clean + σ·noise with σ = √((1−ᾱ)/ᾱ).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from phire.downscaling.preconditioning import Mixture, Scalings
from phire.downscaling.samplers.ddpm_and_ddim import PREDICTIONS
from phire.downscaling.samplers.discrete_levels import (
    betas,
    noise_to_signal,
    signal_levels,
    timesteps,
)
from phire.errors import OptionError


@dataclasses.dataclass(frozen=True)
class DiscreteProcess:
    """Noise rates β_t of a discrete diffusion, and the quantity that its network predicts.

    Attributes:
        prediction: ``epsilon`` (the noise), ``v`` (√ᾱ·noise − √(1−ᾱ)·clean) or ``x0`` (the clean
            field).
        rates: Kind of noise rates; see :func:`phire.downscaling.samplers.discrete_levels.betas`.
        times: Number of times T.
        beta_start, beta_end: First and last noise rate.
        zero_terminal_snr: Rescale the rates so that the last time has no signal (ᾱ_T = 0).

    Raises:
        InputError: A name is unknown, a number is out of range, or ``zero_terminal_snr`` is set for
            ``epsilon``: pure noise determines no clean field.
    """

    prediction: str = "epsilon"
    rates: str = "linear"
    times: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    zero_terminal_snr: bool = False

    def __post_init__(self) -> None:
        if self.prediction not in PREDICTIONS:
            raise OptionError(
                f"prediction={self.prediction} must be one of {', '.join(PREDICTIONS)}."
            )
        if self.times < 2 or not 0 < self.beta_start <= self.beta_end < 1:
            raise OptionError(
                f"times={self.times} must be 2 or more, and beta_start={self.beta_start:g} and "
                f"beta_end={self.beta_end:g} must ascend between 0 and 1."
            )
        if self.zero_terminal_snr and self.prediction == "epsilon":
            raise OptionError(
                "zero_terminal_snr excludes prediction=epsilon, because the noise determines no "
                "field where no signal is left: choose prediction=v or x0."
            )
        _ = self.signal  # raises for unknown rates

    @functools.cached_property
    def signal(self) -> np.ndarray:
        """Signal levels ᾱ of all times, (T,)."""
        return signal_levels(
            betas(
                self.rates, self.times, beta_start=self.beta_start, beta_end=self.beta_end,
                zero_terminal_snr=self.zero_terminal_snr,
            )
        )  # fmt: skip

    def times_at(self, quantile: Any, xp: Any) -> Any:
        """Returns times (whole numbers as floats) of quantiles in [0, 1) of all times."""
        return xp.minimum(xp.floor(quantile * self.times), self.times - 1.0)

    def mixture(self, time: Any, xp: Any) -> Mixture:
        """Returns the factors of the network's input and target at whole times of any shape."""
        # In float64, because 1 − ᾱ of the first times loses digits in float32.
        roots = np.sqrt([self.signal, 1 - self.signal]).astype(np.float32)
        root, other = (xp.take(xp.convert_to_tensor(x), xp.cast(time, "int32")) for x in roots)
        none, one = xp.zeros_like(root), xp.ones_like(root)
        clean, noise = {
            "epsilon": (none, one), "v": (-other, root), "x0": (one, none),
        }[self.prediction]  # fmt: skip
        return Mixture(root, other, clean, noise, time)

    def weight(self, time: Any, gamma: float, xp: Any) -> Any:
        """Returns the min-SNR weight of the prediction's squared error.

        With SNR = ᾱ/(1−ᾱ) it is min(SNR, γ) for ``x0``, min(SNR, γ)/SNR for ``epsilon`` and
        min(SNR, γ)/(SNR + 1) for ``v``. All three weight the error of the clean field equally: the
        error of the noise is √SNR times as large, and the error of v √(SNR + 1) times.

        Args:
            time: Whole times, of any shape.
            gamma: Upper bound γ of the weight.
            xp: ``keras.ops`` or another namespace with its functions.

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
        """Returns the denoiser's factors for the state clean + σ·noise.

        The network gets the time of σ, interpolated between whole times in ln σ.
        """
        with np.errstate(divide="ignore"):
            logs = np.log(noise_to_signal(self.signal))
        finite = np.isfinite(logs)
        time = np.interp(np.log(sigma), logs[finite], np.flatnonzero(finite))
        signal = 1 / (1 + sigma**2)
        of_state = self.scalings(signal)
        # The state at a signal level is √ᾱ times the state clean + σ·noise.
        return Scalings(of_state.skip * signal**0.5, of_state.out, signal**0.5, time)

    def signal_scalings(self, signal: float) -> Scalings:
        """Returns the denoiser's factors for √ᾱ·clean + √(1−ᾱ)·noise at ᾱ of a whole time."""
        time = int(np.argmin(np.abs(self.signal - signal)))
        return self.scalings(signal)._replace(noise=float(time))

    def scalings(self, signal: float) -> Scalings:
        """Returns the denoiser's factors at any signal level ᾱ; the network's time is not set."""
        root, other = signal**0.5, (1 - signal) ** 0.5
        if self.prediction == "epsilon":
            return Scalings(1 / root, -other / root, 1.0, None)
        if self.prediction == "v":
            return Scalings(root, -other, 1.0, None)
        return Scalings(0.0, 1.0, 1.0, None)

    def sampled_levels(self, steps: int, spacing: str) -> np.ndarray:
        """Returns the ascending signal levels ᾱ of a sampler's times, ending with 1: (steps + 1,).

        Args:
            steps: Number of sampler steps.
            spacing: See :func:`phire.downscaling.samplers.discrete_levels.timesteps`.
        """
        return np.append(self.signal[timesteps(steps, self.times, spacing)], 1.0)


def process_of(options: dict[str, Any]) -> DiscreteProcess:
    """Returns the process described by the options of the objective ``ddpm``."""
    names = [field.name for field in dataclasses.fields(DiscreteProcess)]
    return DiscreteProcess(**{name: options[name] for name in names})
