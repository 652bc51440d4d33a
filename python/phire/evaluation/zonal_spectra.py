"""Spectra along circles of latitude."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import fft

from phire.evaluation.accumulator import Batch, Setting, State, Statistic, register
from phire.evaluation.spectral_scores import divided

EDGES = np.array([-90.0, -60, -30, 0, 30, 60, 90])
"""Of the bands, degrees north."""


@register
class ZonalSpectra(Statistic):
    """Variance by zonal wavenumber, area-weighted over bands of latitude.

    Of a row f(λ) with Fourier coefficients F_m (mean of f e^{−imλ}), the variance at m > 0 is
    2 |F_m|² (|F_m|² at the Nyquist wavenumber), at 0 the square of the mean; they sum to the mean
    of f². Rows with a missing value are left out.
    """

    name = "zonal_spectrum"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        latitudes = setting.grid.latitudes
        band = np.clip(np.searchsorted(EDGES, latitudes, side="right") - 1, 0, len(EDGES) - 2)
        self.bands = np.unique(band)
        weights = setting.grid.area_weights()[:, 0]
        # (bands, H): the weight of each row in its band.
        self._weights = np.where(band == self.bands[:, None], weights, 0)

    @classmethod
    def takes(cls, setting: Setting) -> bool:
        """Whole circles only."""
        return setting.domain.is_whole

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Rows must close the circle."""
        return None if setting.grid.wraps else "a zonal spectrum needs whole circles of latitude"

    def _rows(self, batch: Batch) -> np.ndarray:
        """(n, C, H, M+1) variances of rows."""

        def compute() -> np.ndarray:
            width = batch.planes.shape[-1]
            coefficients = fft.rfft(batch.planes, axis=-1, workers=self.setting.threads) / width
            power = coefficients.real**2 + coefficients.imag**2
            power[..., 1 : (width + 1) // 2] *= 2
            return power

        return batch.once("zonal variance", compute)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Weighted sums over the rows of each band: (C, bands, M+1)."""
        own = self._rows(truth if candidate is None else candidate)
        theirs = self._rows(truth)
        both = np.isfinite(own[..., 0]) & np.isfinite(theirs[..., 0])

        def summed(rows: np.ndarray) -> np.ndarray:
            kept = rows if both.all() else np.where(both[..., None], rows, 0)
            return np.matmul(self._weights, kept.sum(0, dtype=np.float64))

        state = {
            "weight": np.einsum("nch,bh->cb", both, self._weights),
            "truth": summed(theirs),
        }
        if candidate is not None:
            state["own"] = summed(own)
        return state

    def result(self, state: State) -> xr.Dataset:
        """``variance(channel, band, wavenumber)``."""
        own = state.get("own", state["truth"])
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        middles = (EDGES[1:] + EDGES[:-1]) / 2
        dataset["band"] = ("band", middles[self.bands], {"units": "degrees_north"})
        dataset["wavenumber"] = ("wavenumber", np.arange(own.shape[-1]))
        dimensions = ("channel", "band", "wavenumber")
        variance = divided(own, state["weight"][..., None])
        dataset["variance"] = (dimensions, variance, self.squared_units())
        if "own" in state:
            ratio = divided(own, state["truth"])
            dataset["variance_ratio"] = (dimensions, ratio, {"units": "1"})
        return dataset
