"""Zonal spectra: variance by wavenumber along circles of latitude.

Written around NumPy's FFT because the sums by band add up over chunks of times.
``tests/evaluation/test_spectra.py`` checks them against the mean square of each band and a single
wave.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy import fft

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.point_scores import joint_mask
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectral_scores import divided

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

EDGES = np.array([-90.0, -60, -30, 0, 30, 60, 90])
"""Edges of the bands of latitude, degrees north."""


@statistic("zonal_spectrum")
class ZonalSpectra(Statistic):
    """Variance by zonal wavenumber, area-weighted over bands of latitude.

    A row f(λ) has the Fourier coefficients F_m, the means of f e^{−imλ}. Its variance is 2 |F_m|²
    at the wavenumber m > 0, |F_m|² at the Nyquist wavenumber, and the squared mean at m = 0; their
    sum is the mean of f². Rows with a missing value are left out.
    """

    order = 90
    member_ranges = ("variance", "variance_ratio")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        latitudes = setting.grid.latitudes
        band = np.clip(np.searchsorted(EDGES, latitudes, side="right") - 1, 0, len(EDGES) - 2)
        self.bands = np.unique(band)
        weights = setting.grid.area_weights()[:, 0]
        # (bands, H): area weight of each row within its band, 0 outside.
        self._weights = np.where(band == self.bands[:, None], weights, 0)

    @classmethod
    def applies_to(cls, setting: Setting) -> bool:
        """Applies to the whole grid only, not to regions."""
        return setting.domain.is_whole

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires rows that span all longitudes."""
        return None if setting.grid.wraps else "a zonal spectrum needs whole circles of latitude"

    def _summed(self, batch: Batch, complete: np.ndarray) -> np.ndarray:
        """Returns the weighted sums (C, bands, M + 1) of the variances of rows.

        Args:
            batch: The fields.
            complete: (n, C, H) True for rows that count.
        """
        width = batch.planes.shape[-1]
        total = np.zeros((complete.shape[1], len(self.bands), width // 2 + 1))
        for (i, c), rows in itertools.product(np.ndindex(*complete.shape[:2]), self.domain.bands()):
            coefficients = fft.rfft(batch.planes[i, c, rows], axis=-1)
            power = coefficients.real.astype(np.float64) ** 2 + coefficients.imag**2.0
            power[..., 1 : (width + 1) // 2] *= 2
            counted = complete[i, c, rows]
            power[~counted] = 0
            total[c] += (self._weights[:, rows] * counted) @ power
        return total / width**2

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns the weighted sums over the rows of each band, (C, bands, M + 1)."""
        fields = truth if candidate is None else candidate
        mask = joint_mask(self.domain, truth, fields)
        if mask is None:
            both = np.ones(truth.planes.shape[:-1], dtype=bool)
        else:
            both = mask.all(-1)

        def summed(batch: Batch) -> np.ndarray:
            if mask is not None:
                return self._summed(batch, both)
            sums = batch.once("zonal variance", lambda: self._summed(batch, both))
            return sums.copy()  # a state may be changed in place

        state = {
            "weight": np.einsum("nch,bh->cb", both, self._weights),
            "truth": summed(truth),
        }
        if candidate is not None:
            state["own"] = summed(candidate)
        return state

    def result(self, state: State) -> xr.Dataset:
        """Returns ``variance(channel, band, wavenumber)``, and its ratio to the truth."""
        sums = state.get("own", state["truth"])
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        middles = (EDGES[1:] + EDGES[:-1]) / 2
        dataset["band"] = ("band", middles[self.bands], {"units": "degrees_north"})
        dataset["wavenumber"] = ("wavenumber", np.arange(sums.shape[-1]))
        dimensions = ("channel", "band", "wavenumber")
        variance = divided(sums, state["weight"][..., None])
        dataset["variance"] = (dimensions, variance, self.squared_units())
        if "own" in state:
            ratio = divided(sums, state["truth"])
            dataset["variance_ratio"] = (dimensions, ratio, {"units": "1"})
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""
        from phire.evaluation.figures.figure_plan import plans_by_channel
        from phire.evaluation.figures.zonal_spectrum_plots import zonal_figure

        yield from plans_by_channel(
            folder,
            cls.name,
            zonal_figure,
            group="spectra",
            title="Zonal spectra of {channel}",
            caption="Variance by zonal wavenumber along circles of latitude, averaged over bands. "
            "A candidate should follow the truth (black).",
            variable="variance",
        )
