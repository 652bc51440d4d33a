"""Spectra on the sphere: kinetic energy, variance of each channel, coherence with the truth.

Statistics of regional fields are in :mod:`phire.evaluation.regional_spectra`.

pyshtools and pyspharm compute the spectrum of one field; here the transforms of truth and
candidates are shared by all statistics, and sums are added over chunks of times.
``tests/evaluation/test_spectra.py`` checks the variance against pyshtools, the kinetic energy
against pyspharm.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import HIGHER, LOWER, SQUARED, Definition
from phire.evaluation.member_fields import mean_over_members
from phire.evaluation.member_ranges import member_ends, of_members
from phire.evaluation.regional_spectra import RegionalSpectra
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import comparison, divided, in_dimensions, truncation
from phire.evaluation.wind import is_component, is_like_wind
from phire.fields.harmonics import SphericalHarmonics

if TYPE_CHECKING:
    from phire.evaluation.figures.plan import Plan
    from phire.evaluation.figures.reading import ResultsFolder


VARIABLES = (
    Definition(
        "log_spectral_error", "Log-spectral error",
        "mean |ln(E / E_truth)| of time-mean spectra, over the degrees from the coarse grid's "
        "cutoff H/(2·scale) to the truth's truncation (in regions, over the same wavelengths)",
        "1", LOWER,
    ),
    Definition(
        "log_spectral_error_all", "Log-spectral error of all waves",
        "mean |ln(E / E_truth)| of time-mean spectra, over all degrees (or wavelengths) up to the "
        "truth's truncation; it does not depend on the scale",
        "1", LOWER,
    ),
    Definition(
        "effective_resolution", "Effective resolution",
        "shortest wavelength down to which E / E_truth stays within 0.5 … 2, ignoring waves with "
        "less than 1 % of the variance of a shorter one; it does not depend on the phases of the "
        "waves, which the coherent resolution measures",
        "km", LOWER, "after Skamarock (2004), doi:10.1175/MWR2830.1",
    ),
    Definition(
        "coherent_resolution", "Coherent resolution",
        "shortest wavelength down to which the spectral coherence with the truth stays at 0.5 or "
        "more, ignoring waves with less than 1 % of the variance of a shorter one", "km", LOWER,
    ),
    Definition(
        "kinetic_energy", "Kinetic energy spectrum",
        "E(l) = a²/(2 l(l+1)) Σₘ (|ζₗₘ|² + |δₗₘ|²), ζ vorticity, δ divergence, a = 6.3712·10⁶ m; "
        "its sum over degrees is the area mean of (u² + v²)/2",
        "m2 s-2", "",
        "Koshyk & Hamilton (2001), doi:10.1175/1520-0469(2001)058<0329:THKESA>2.0.CO;2",
    ),
    Definition(
        "variance", "Spectrum",
        "S(l) = Σₘ |fₗₘ|² with 4π-normalised harmonics; its sum over degrees is the area mean of "
        "f². In regions: variance by wavenumber of a 2-D cosine transform up to the Nyquist "
        "wavenumber along an axis; the variance beyond it is corner_variance",
        SQUARED, "",
        "Denis et al. (2002), doi:10.1175/1520-0493(2002)130<1812:SDOTDA>2.0.CO;2",
    ),
    Definition(
        "coherence", "Spectral coherence",
        "Re Σₘ fₗₘ g*ₗₘ / √(Σₘ |fₗₘ|² · Σₘ |gₗₘ|²) per degree l (in regions per bin of the cosine "
        "transform), f candidate, g truth; of kinetic energy, vorticity and divergence together",
        "1", HIGHER,
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("spectrum")
class Spectra(Statistic):
    """Spectra by degree on global grids, and by wavelength on regional grids and in regions."""

    order = 10
    definitions = VARIABLES
    summary = (
        ("kinetic_energy_log_error", "log_spectral_error:kinetic_energy"),
        ("variance_log_error", "log_spectral_error"),
        ("kinetic_energy_log_error_all", "log_spectral_error_all:kinetic_energy"),
        ("variance_log_error_all", "log_spectral_error_all"),
        ("kinetic_energy_resolution", "effective_resolution:kinetic_energy"),
        ("variance_resolution", "effective_resolution"),
        ("kinetic_energy_coherent_resolution", "coherent_resolution:kinetic_energy"),
        ("coherent_resolution", "coherent_resolution"),
    )
    ensemble = "together"
    member_ranges = tuple(
        f"{name}{ending}"
        for name in ("variance", "kinetic_energy")
        for ending in ("", "_ratio", "_log_error", "_log_error_all", "_resolution")
    )

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        globally = setting.domain.is_whole and setting.grid.is_sphere
        self.kind = GlobalSpectra(setting) if globally else RegionalSpectra(setting)

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires a global grid or a rectangle of grid points; see :class:`RegionalSpectra`."""
        if setting.domain.is_whole and setting.grid.is_sphere:
            return None
        return RegionalSpectra.refusal(setting)

    @classmethod
    def omission(cls, setting: Setting) -> str | None:
        """Returns the reason why the kinetic energy is left out; None if it is computed.

        No note is given for fields without any channel that resembles wind.
        """
        wind = setting.wind
        if wind is None:
            if not any(map(is_like_wind, setting.channels, setting.units)):
                return None
            names = ", ".join(setting.channels)
            return (
                f"no kinetic energy: no two of the channels ({names}) are known as wind; name "
                "them by --wind U,V"
            )
        globally = setting.domain.is_whole and setting.grid.is_sphere
        if globally or wind.kind == "components":
            return None
        return "no kinetic energy, which on regional fields needs u and v, not their derivatives"

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns sums of spectra over the fields without missing values."""
        return self.kind.measure(truth, candidate)

    def result(self, state: State) -> xr.Dataset:
        """Returns time-mean spectra, their ratio to the truth, and scores of the ratio."""
        return self.kind.result(state)

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""

        yield from spectrum_plans(folder, cls.name)


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

    def mean_components(self, ensemble: Ensemble) -> np.ndarray:
        """Returns the coefficients (n, C, k) of the ensemble mean. Cached."""
        return ensemble.once(
            "mean coefficients", lambda: mean_over_members(self.coefficients, ensemble)
        )

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
        count = len(members)
        each = [self.variance(member) for member in members]
        predicted, reference = sum(each), self.variance(truth)
        both = np.isfinite(predicted[..., 0]) & np.isfinite(reference[..., 0])
        state = {
            "count": count * both.sum(0).astype(float),
            "own": _sum(predicted, both),
            "truth": count * _sum(reference, both),
        }
        if candidate is not None:
            # By linearity the members' cross-spectra add up to M times that of their mean.
            mean = self.coefficients(fields) if count == 1 else self.mean_components(fields)
            cross = (self.coefficients(truth) * mean.conj()).real
            cross = self.harmonics.sum_orders(np.nan_to_num(cross))
            state["cross"] = count * _sum(cross, both)
        if self.wind is not None:
            state |= self._energies(truth, members, candidate is not None)
        if isinstance(fields, Ensemble):
            state |= of_members([self._of_member(truth, member, both) for member in members])
        return state

    def _of_member(self, truth: Batch, member: Batch, both: np.ndarray) -> State:
        """Returns the sums of one member's spectra.

        Its cross-spectrum is NaN, since it would double the cost.

        Args:
            truth: Fields of the truth.
            member: Fields of the member.
            both: (n, C) True for fields without missing values in the truth and all members.
        """
        state = {"count": both.sum(0).astype(float), "own": _sum(self.variance(member), both),
                 "truth": _sum(self.variance(truth), both)}  # fmt: skip
        state["cross"] = np.full_like(state["own"], np.nan)
        if self.wind is not None:
            state |= self._energies(truth, [member], False)
            state["energy_cross"] = np.full_like(state["energy_own"], np.nan)
        return state

    def _energies(self, truth: Batch, members: list[Batch], compared: bool) -> State:
        """Returns sums of the kinetic energy of members and truth, and of their cross-spectrum."""
        predicted, reference = (
            sum(self.kinetic_energy(m) for m in members),
            self.kinetic_energy(truth),
        )
        both = np.isfinite(predicted[..., 0]) & np.isfinite(reference[..., 0])
        state = {
            "energy_count": np.asarray(len(members) * both.sum(), dtype=float),
            "energy_own": _sum(predicted, both),
            "energy_truth": len(members) * _sum(reference, both),
        }
        if compared:
            total = sum(self.wind_coefficients(member) for member in members)
            cross = (self.wind_coefficients(truth) * total.conj()).real.sum(1)
            cross = self.harmonics.weighted_by_energy(self.harmonics.sum_orders(cross))
            state["energy_cross"] = _sum(cross, both)
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


def _square(values: np.ndarray) -> np.ndarray:
    """Returns |z|² of complex values; ``np.abs`` would take a root first."""
    return values.real**2 + values.imag**2


def _sum(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns the sum over times of values (n, ..., L) where the mask (n, ...) is True."""
    return np.where(mask[..., None], values, 0).sum(0)


def spectrum_plans(folder: ResultsFolder, metric: str) -> Iterator[Plan]:
    """Yields the figures of the spectra of a metric, for each region and channel."""
    from phire.evaluation.figures.reading import has_values, values_of

    for region in folder.regions_of(metric):
        data = folder.metric(metric, region)
        channels = values_of(data, "channel")
        if has_values(data, "kinetic_energy"):
            yield _spectrum_plan(folder, data, metric, "kinetic_energy", None, region)
        for channel in channels:
            # There are no values if every field has missing ones; the notes say so.
            if has_values(data, "variance", channel):
                yield _spectrum_plan(folder, data, metric, "variance", channel, region)
        if has_values(data, "kinetic_energy_coherence"):
            yield _coherence_plan(folder, data, metric, None, region)
        for channel in channels:
            if has_values(data, "coherence", channel):
                yield _coherence_plan(folder, data, metric, channel, region)


def _ending(metric: str, region: str) -> str:
    """Returns the end of a figure's title: the region, and the method of estimation."""
    from phire.evaluation.figures.plan import in_region

    return in_region(region) + (" (multitaper)" if metric == "localized_spectrum" else "")


def _spectrum_plan(
    folder: ResultsFolder,
    data: Mapping[str, xr.Dataset],
    metric: str,
    variable: str,
    channel: str | None,
    region: str,
) -> Plan:
    """Returns the plan of the figure of one spectrum."""
    from phire.evaluation.figures.plan import Plan, figure_name
    from phire.evaluation.figures.spectrum_plots import spectrum_figure
    from phire.evaluation.figures.style import readable

    what = f"Spectrum of {readable(channel)}" if channel else "Kinetic energy spectrum"
    title = what + _ending(metric, region)
    caption = (
        "Black: truth; a candidate that follows it has the right variance at every scale. Below: "
        "ratio to the truth; the shaded band is 0.5 … 2. Right: the short waves, which the coarse "
        "grid cannot represent (dotted line: its cutoff) and downscaling has to add. Grey lines: "
        "reference slopes."
    )
    if any(member_ends(variable)[0] in dataset for dataset in data.values()):
        caption += " Shaded around an ensemble's mean spectrum: range of its members' spectra."
    draw = functools.partial(
        spectrum_figure, data, styles=folder.styles, variable=variable, channel=channel, title=title
    )
    name = figure_name(metric, channel or "kinetic-energy", region)
    return Plan(name, "spectra", title, caption, draw, channel or "", region)


def _coherence_plan(
    folder: ResultsFolder,
    data: Mapping[str, xr.Dataset],
    metric: str,
    channel: str | None,
    region: str,
) -> Plan:
    """Returns the plan of the figure of one coherence."""
    from phire.evaluation.figures.coherence_plots import coherence_figure
    from phire.evaluation.figures.plan import Plan, figure_name
    from phire.evaluation.figures.style import readable

    what = readable(channel or "kinetic energy")
    return Plan(
        figure_name("coherence", channel or "kinetic-energy", region),
        "spectra",
        f"Spectral coherence of {what}{_ending(metric, region)}",
        "1 means that waves of this length have the truth's phases, 0 that their phases are "
        "unrelated. Detail with the right variance but without coherence is realistic, but not at "
        "the right place.",
        functools.partial(coherence_figure, data, channel=channel, styles=folder.styles),
        channel or "",
        region,
    )
