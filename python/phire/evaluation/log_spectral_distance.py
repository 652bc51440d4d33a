"""Radially averaged log-spectral distance in decibels (RALSD).

The radial average is written here because pysteps, which has one, too, is installed for tests only:
``tests/evaluation/test_log_spectral_distance.py`` checks the radial spectra against
``pysteps.utils.spectral.rapsd``.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import fft

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import LOWER, Definition
from phire.evaluation.member_ranges import of_members
from phire.evaluation.regional_spectra import RegionalSpectra
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting

VARIABLES = (
    Definition(
        "log_spectral_distance", "Radially averaged log-spectral distance (RALSD)",
        "√ mean over times and k of (10 log₁₀ P_y(k)/P_x(k))², P the mean of |FFT|² over rings of "
        "wavenumber k = 0 … N/2 − 1, N the longer side; for an ensemble, P is the members' mean",
        "dB", LOWER, "Harris et al. (2022), doi:10.1029/2022MS003120",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("log_spectral_distance", function="radial_log_spectral_distance")
class LogSpectralDistance(Statistic):
    """RALSD: spectrum of each field compared with that of the truth at the same time.

    It differs from the log-spectral error of the statistic ``spectrum``, which compares time-mean
    spectra of a spherical-harmonic or cosine transform. RALSD compares the spectra of each time,
    and uses the periodic Fourier transform, as the studies that report it do. Fields with a
    missing value, and times at which a spectrum is 0, are left out.
    """

    order = 12
    title = "Log-spectral distance"
    definitions = VARIABLES
    summary = (("log_spectral_distance_mean", "log_spectral_distance"),)
    series = ("times", "squares")
    of_truth = False
    ensemble = "together"
    member_ranges = ("log_spectral_distance", "log_spectral_distance_mean")
    by_default = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        height, width = self.domain.shape
        size = max(height, width)
        radius = np.hypot(
            fft.fftfreq(height, 1 / size)[:, None], fft.rfftfreq(width, 1 / size)[None, :]
        )
        # The real transform omits conjugate wavenumbers: all columns but 0 and width / 2 count
        # twice.
        twice = np.full(radius.shape, 2.0)
        twice[:, 0] = 1
        if width % 2 == 0:
            twice[:, -1] = 1
        self._ring = np.rint(radius).astype(np.intp).ravel()
        self._count = size // 2
        self._twice = twice.ravel()
        self._waves = np.bincount(self._ring, self._twice)[: self._count]

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires a rectangle, for the Fourier transform."""
        return RegionalSpectra.refusal(setting)

    def power(self, planes: np.ndarray) -> np.ndarray:
        """Returns the radial spectrum (n, C, N/2) of planes (n, C, h, w)."""
        waves = fft.rfft2(planes.astype(np.float64), workers=self.setting.threads)
        power = (waves.real**2 + waves.imag**2).reshape(*planes.shape[:2], -1) * self._twice
        sums = np.empty((*planes.shape[:2], self._count))
        for place in np.ndindex(*planes.shape[:2]):
            ring = np.bincount(self._ring, np.nan_to_num(power[place], nan=np.inf))
            sums[place] = ring[: self._count]
        return sums / self._waves

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns the mean over wavenumbers (n, C) of squared differences in decibels."""
        if candidate is None:
            return {}
        members = candidate.each() if isinstance(candidate, Ensemble) else [candidate]
        cut = self.domain.cut
        powers = [self.power(cut(member.planes)) for member in members]
        reference = truth.once(("radial power", self.domain), lambda: self.power(cut(truth.planes)))

        def squares(power: np.ndarray) -> State:
            with np.errstate(divide="ignore", invalid="ignore"):
                found = ((10 * np.log10(reference / power)) ** 2).mean(-1)
            found = np.where(np.isfinite(found), found, np.nan)
            return {"times": truth.times, "squares": found}

        whole = squares(sum(powers) / len(powers))
        return whole | of_members([squares(power) for power in powers] if len(powers) > 1 else [])

    def result(self, state: State) -> xr.Dataset:
        """Returns the distance over (channel, time), and the RALSD of all times together."""
        times, ordered = self.ordered(state)
        squares = ordered["squares"]
        present = np.isfinite(squares)
        with np.errstate(invalid="ignore", divide="ignore"):
            together = np.sqrt(np.where(present, squares, 0).sum(0) / present.sum(0))
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["time"] = self.time_coordinate(times)
        units = {"units": "dB"}
        dataset["log_spectral_distance"] = (("channel", "time"), np.sqrt(squares).T, units)
        dataset["log_spectral_distance_mean"] = ("channel", together, units)
        return dataset
