"""Spectra of members and of the ensemble mean; spread–skill ratio by scale.

The spectra of members are those of the statistic ``spectrum``, added up member by member, so that
only one transform is in memory. ``tests/evaluation/test_member_spectra.py`` checks them against
that statistic, ``scipy.fft.dctn`` and the closed form for independent members.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import ONE, SQUARED, Definition
from phire.evaluation.global_spectra import wavelengths
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectra import Spectra
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

VARIABLES = (
    Definition(
        "member_variance", "Spectrum of the members", "mean of the members' variance spectra",
        SQUARED,
    ),
    Definition(
        "mean_variance", "Spectrum of the ensemble mean",
        "variance spectrum of the mean of the members, which lacks the variance that differs "
        "between members", SQUARED,
    ),
    Definition(
        "spectral_spread_skill_ratio", "Spread–skill ratio by scale",
        "√((M + 1)/M · Σ|fₘ − f̄|²/(M − 1) / |f̄ − g|²), f the members, f̄ their mean, g the truth; "
        "numerator and denominator are summed over the components of a spectral band and over "
        "times", "1", ONE,
        "Fortin et al. (2014), doi:10.1175/JHM-D-14-0008.1, by spectral band",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("ensemble_spectrum")
class MemberSpectra(Statistic):
    """Spectra of the members, of their mean and of the truth, and spread–skill ratio by band.

    Bands are degrees of spherical harmonics on global grids, and ranges of the wavenumber of a
    cosine transform elsewhere, as in the statistic ``spectrum``. Times with a missing value are
    left out.
    """

    order = 116
    definitions = VARIABLES
    of_truth = False
    ensemble = "all"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.kind = Spectra(setting).kind
        self.globally = hasattr(self.kind, "harmonics")

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires the same as the statistic ``spectrum``."""
        return Spectra.refusal(setting)

    def _bands(self, components: np.ndarray) -> np.ndarray:
        """Returns the sums (n, C, K) over each band of the squared components (n, C, k)."""
        squares = components.real**2 + components.imag**2
        if self.globally:
            return self.kind.harmonics.sum_orders(squares)
        return self.kind.binned(squares)[..., :-1]

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns spectra summed over times.

        The spectra of truth, ensemble mean, error of the mean and spread are (C, K), the spectra of
        the members (M, C, K).
        """
        if not isinstance(candidate, Ensemble):
            return {}
        kind = self.kind
        transform = kind.coefficients if self.globally else kind.transform
        observed, mean = transform(truth), transform(candidate)
        variances = np.stack([kind.variance(field) for field in [truth, *candidate.each()]])
        if not self.globally:
            variances = variances[..., :-1]
        variances, true = variances[1:], variances[0]
        whole = np.isfinite(observed[..., 0]) & np.isfinite(mean[..., 0])
        spread = np.zeros(mean.shape, mean.real.dtype)
        for member in candidate.each():
            gap = transform(member) - mean
            spread += gap.real**2 + gap.imag**2 if self.globally else np.square(gap, out=gap)
        bins = kind.harmonics.sum_orders if self.globally else kind.binned
        banded = bins(spread) if self.globally else bins(spread)[..., :-1]

        def summed(bands: np.ndarray) -> np.ndarray:
            return np.where(whole[..., None], bands, 0).sum(0)

        def total(components: np.ndarray) -> np.ndarray:
            return summed(self._bands(components))

        return {
            "count": whole.sum(0).astype(float),
            "truth": summed(true),
            "mean": total(mean),
            "error": total(mean - observed),
            "spread": summed(banded) / (len(variances) - 1),
            "members": np.where(whole[..., None], variances, 0).sum(1),
        }

    def result(self, state: State) -> xr.Dataset:
        """Returns spectra and the spread–skill ratio over (channel, wavelength)."""
        radius = self.setting.radius
        if self.globally:
            degree = np.arange(1, self.kind.harmonics.truncation + 1)
            wavelength, unit, first = wavelengths(degree, radius), "km", 1
        else:
            wavelength, first = 1 / self.kind.wavenumbers, 0
            unit = "km" if self.setting.grid.has_distances else "pixels"
        count = state["count"][:, None]
        size = len(state["members"])
        dataset = xr.Dataset(coords=self.coordinates("channel"), attrs={"members": size})
        dataset["wavelength"] = ("wavelength", wavelength, {"units": unit})
        members = divided(state["members"], count)
        for name, values in (
            ("truth_variance", divided(state["truth"], count)),
            ("mean_variance", divided(state["mean"], count)),
            ("member_variance", members.mean(0)),
            ("member_variance_low", members.min(0)),
            ("member_variance_high", members.max(0)),
        ):
            dataset[name] = (("channel", "wavelength"), values[:, first:], self.squared_units())
        ratio = np.sqrt((size + 1) / size * divided(state["spread"], state["error"]))
        dataset["spectral_spread_skill_ratio"] = (
            ("channel", "wavelength"), ratio[:, first:], {"units": "1"}
        )  # fmt: skip
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.curve_plots import Panel, channel_plans

        shared = {"along": "wavelength", "x_label": "Wavelength", "falling": True}
        panels = [
            Panel("Members (mean; band: range)", "member_variance", y_label="Variance",
                  logarithmic="both", band=("member_variance_low", "member_variance_high"),
                  truth="truth_variance", **shared),
            Panel("Ensemble mean", "mean_variance", y_label="Variance", logarithmic="both",
                  truth="truth_variance", **shared),
            Panel("Spread–skill ratio (→ 1)", "spectral_spread_skill_ratio",
                  y_label="Spread / error", logarithmic="both", reference=1.0, **shared),
        ]  # fmt: skip
        yield from channel_plans(
            folder, cls.name, panels, "ensembles", "Spectra of members and of their mean",
            "Members should have the truth's spectrum (black) at all scales; their mean lacks the "
            "variance that differs between members. Right: 1 means that the spread equals the "
            "error of the mean at that scale, less than 1 that the spread is too small.",
        )  # fmt: skip
