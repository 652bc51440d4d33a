"""Spectra and coherence with the truth: their definitions, the choice of transform, their figures.

Whole spheres are in :mod:`phire.evaluation.global_spectra`, rectangles in
:mod:`phire.evaluation.regional_spectra`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.definitions import HIGHER, LOWER, SQUARED, Definition
from phire.evaluation.global_spectra import GlobalSpectra
from phire.evaluation.member_ranges import member_ends
from phire.evaluation.regional_spectra import RegionalSpectra
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.wind import is_like_wind

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder


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
    member_ranges = (
        *(
            f"{name}{ending}"
            for name in ("variance", "kinetic_energy")
            for ending in ("", "_ratio", "_log_error", "_log_error_all", "_resolution")
        ),
        *(
            f"{prefix}{name}"
            for prefix in ("", "kinetic_energy_")
            for name in ("coherence", "coherent_resolution")
        ),
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


def spectrum_plans(folder: ResultsFolder, metric: str) -> Iterator[Plan]:
    """Yields the figures of the spectra of a metric, for each region and channel."""
    from phire.evaluation.figures.results_reading import has_values, values_of

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
    from phire.evaluation.figures.figure_plan import in_region

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
    from phire.evaluation.figures.figure_plan import Plan, figure_name
    from phire.evaluation.figures.label_text import readable
    from phire.evaluation.figures.spectrum_plots import spectrum_figure

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
    from phire.evaluation.figures.figure_plan import Plan, figure_name
    from phire.evaluation.figures.label_text import readable

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
