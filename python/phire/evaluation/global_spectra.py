"""Spectra on the sphere by degree of spherical harmonics, and coherence with the truth.

Spectra of regional fields are in :mod:`phire.evaluation.regional_spectra`.

pyshtools and pyspharm compute the spectrum of one field; here the transforms of truth and
candidates are shared by all statistics, and sums are added over chunks of times.
``tests/evaluation/test_spectra.py`` checks the variance against pyshtools, the kinetic energy
against pyspharm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.member_ranges import of_members
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import comparison, divided, in_dimensions, truncation
from phire.evaluation.wind import is_component
from phire.fields.harmonics import SphericalHarmonics


class GlobalSpectra(Statistic):
    """Time-mean spectra by degree l of spherical harmonics.

    - Variance S(l) = Σ_m |f_lm|², with 4π-normalised harmonics: Σ_l S is the area mean of f².
    - Kinetic energy E(l) = a² / (2 l(l+1)) · Σ_m (|ζ_lm|² + |δ_lm|²), of vorticity ζ and
      divergence δ.
    - Coherence Σ Re(f_lm g_lm*) / √(S_f S_g), with sums over orders m and times.

    A field with a missing value has no spectrum: its time is left out of candidate and truth.
    """

    name = "spectrum"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.harmonics = SphericalHarmonics(
            setting.grid, radius=setting.radius, threads=setting.threads
        )
        self.wind = setting.wind

    def coefficients(self, batch: Batch) -> np.ndarray:
        """Returns coefficients (n, C, k); NaN for a field with a missing value. Cached."""

        def compute() -> np.ndarray:
            whole = _complete(batch)
            shape = (*whole.shape, len(self.harmonics.degrees))
            result = np.full(shape, np.nan, np.complex128)
            for c, channel in enumerate(self.setting.channels):
                times = whole[:, c]
                wind = self.wind
                # Wind components change their sign across the poles, where rows may be filled.
                component = is_component(channel) or (
                    wind is not None
                    and wind.kind == "components"
                    and c in (wind.first, wind.second)
                )
                fields = batch.planes[times, c]
                result[times, c] = self.harmonics.analyse(fields, component=component)
            return result

        return batch.once("coefficients", compute)

    def variance(self, batch: Batch) -> np.ndarray:
        """Returns the variance by degree (n, C, L + 1). Cached."""

        def compute() -> np.ndarray:
            return self.harmonics.sum_orders(_square(self.coefficients(batch)))

        return batch.once("variance by degree", compute)

    def wind_coefficients(self, batch: Batch) -> np.ndarray:
        """Returns coefficients (n, 2, k) of vorticity and divergence.

        They are NaN for a field with a missing value.
        """
        wind = self.wind
        pair = [wind.first, wind.second]
        if wind.kind == "derivatives":
            return self.coefficients(batch)[:, pair]

        def compute() -> np.ndarray:
            whole = _complete(batch)[:, pair].all(1)
            result = np.full((len(batch), 2, len(self.harmonics.degrees)), np.nan, np.complex128)
            if whole.any():
                u, v = (batch.planes[whole, place] for place in pair)
                result[whole] = np.stack(self.harmonics.analyse_wind(u, v), axis=1)
            return result

        return batch.once("wind coefficients", compute)

    def kinetic_energy(self, batch: Batch) -> np.ndarray:
        """Returns the kinetic energy by degree (n, L + 1); NaN for a field with a missing value."""

        def compute() -> np.ndarray:
            vorticity, divergence = np.moveaxis(self.wind_coefficients(batch), 1, 0)
            energy = self.harmonics.kinetic_energy(vorticity, divergence)
            # The weight of degree 0 is 0, which would hide a missing field.
            energy[np.isnan(vorticity[:, 0])] = np.nan
            return energy

        return batch.once("kinetic energy by degree", compute)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns sums of spectra over the fields without missing values.

        "own" is the sum of the candidate's spectra, "cross" that of the cross-spectra with the
        truth; keys with the prefix "energy_" are those of kinetic energy.
        """
        fields = truth if candidate is None else candidate
        members = fields.each() if isinstance(fields, Ensemble) else [fields]
        whole = [_common(self.variance, truth, members)]
        if self.wind is not None:
            whole.append(_common(self.kinetic_energy, truth, members))
        states = [self._sums(truth, one, *whole, compared=candidate is not None) for one in members]
        sums = {key: sum(state[key] for state in states) for key in states[0]}
        return sums | of_members(states) if isinstance(fields, Ensemble) else sums

    def _sums(
        self,
        truth: Batch,
        fields: Batch,
        whole: np.ndarray,
        wind_is_whole: np.ndarray | None = None,
        *,
        compared: bool,
    ) -> State:
        """Returns the sums of the spectra of a candidate or one of its members.

        Args:
            truth: Fields of the truth.
            fields: Fields of the candidate, the member or the truth.
            whole: (n, C) True for fields that have a spectrum in the truth and in all members.
            wind_is_whole: (n,) the same for the kinetic energy; None without wind.
            compared: If True, cross-spectra with the truth are added.
        """
        state = {
            "count": whole.sum(0).astype(float),
            "own": _sum(self.variance(fields), whole),
            "truth": _sum(self.variance(truth), whole),
        }
        if compared:
            cross = (self.coefficients(truth) * self.coefficients(fields).conj()).real
            state["cross"] = _sum(self.harmonics.sum_orders(np.nan_to_num(cross)), whole)
        if wind_is_whole is None:
            return state
        state |= {
            "energy_count": np.asarray(wind_is_whole.sum(), dtype=float),
            "energy_own": _sum(self.kinetic_energy(fields), wind_is_whole),
            "energy_truth": _sum(self.kinetic_energy(truth), wind_is_whole),
        }
        if compared:
            wind, true_wind = self.wind_coefficients(fields), self.wind_coefficients(truth)
            cross = self.harmonics.sum_orders((true_wind * wind.conj()).real.sum(1))
            state["energy_cross"] = _sum(self.harmonics.weighted_by_energy(cross), wind_is_whole)
        return state

    def result(self, state: State) -> xr.Dataset:
        """Returns time-mean spectra, their ratio to the truth, and scores of the ratio."""
        setting = self.setting
        degree = np.arange(self.harmonics.truncation + 1)
        last = truncation(state["truth"], setting.grid.shape[0] * setting.grid.shape[1])
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["degree"] = ("degree", degree, {"long_name": "spherical-harmonic degree"})
        wavelength = wavelengths(degree, setting.radius)
        dataset["wavelength"] = ("degree", wavelength, {"units": "km"})
        dataset["truncation"] = (
            "channel",
            last,
            {"long_name": "the truth's last degree above round-off"},
        )
        dataset.attrs["truncation"] = int(last.max())
        first = 1
        if setting.scale:
            dataset.attrs["cutoff_degree"] = first = cutoff_degree(setting)
        spectra = {"variance": (("channel", "degree"), state["count"][:, None], "", last[:, None])}
        if self.wind is not None:
            ends = truncation(state["energy_truth"], setting.grid.shape[0] * setting.grid.shape[1])
            ends = min(ends, max(last[self.wind.first], last[self.wind.second]))
            spectra["kinetic_energy"] = (("degree",), state["energy_count"], "energy_", ends)
        for name, (dimensions, count, prefix, end) in spectra.items():
            units = {"units": "m2 s-2"} if prefix else self.squared_units()
            predicted, truth = state[f"{prefix}own"], state[f"{prefix}truth"]
            dataset[name] = (dimensions, divided(predicted, count), units)
            if "cross" in state:
                cross = state[f"{prefix}cross"]
                known, beyond = degree <= end, degree >= first
                compared = comparison(name, predicted, truth, cross, wavelength, known, beyond)
                dataset = dataset.assign(in_dimensions(compared, dimensions, "km"))
        dataset["used_times"] = ("channel", state["count"])
        return dataset


def cutoff_degree(setting: Setting) -> float:
    """Returns the degree H / (2 · scale) of the shortest waves of the coarse grid.

    H is the number of rows of the whole sphere, without a remainder that coarsening drops.
    """
    return setting.grid.completion.grid.shape[0] // setting.scale / 2


def wavelengths(degree: np.ndarray, radius: float) -> np.ndarray:
    """Returns the wavelengths 2πa / √(l(l+1)) of degrees l, in km; infinite for degree 0.

    Args:
        degree: Degrees l.
        radius: Radius a of the sphere, m.
    """
    degree = np.asarray(degree, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return 2 * np.pi * radius / 1e3 / np.sqrt(degree * (degree + 1))


def _complete(batch: Batch) -> np.ndarray:
    """Returns booleans (n, C): True for fields without a missing value."""
    if batch.present is None:
        return np.ones(batch.planes.shape[:2], dtype=bool)
    return batch.once("complete", lambda: batch.present.all((-2, -1)))


def _common(
    spectrum: Callable[[Batch], np.ndarray], truth: Batch, members: Sequence[Batch]
) -> np.ndarray:
    """Returns True where the truth and all members have a spectrum (..., L)."""
    return np.all([np.isfinite(spectrum(one)[..., 0]) for one in (truth, *members)], axis=0)


def _square(values: np.ndarray) -> np.ndarray:
    """Returns |z|² of complex values; ``np.abs`` would take a root first."""
    return values.real**2 + values.imag**2


def _sum(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns the sum over times of values (n, ..., L) where the mask (n, ...) is True."""
    return np.where(mask[..., None], values, 0).sum(0)
