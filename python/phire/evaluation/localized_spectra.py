"""Multitaper spectra within a spherical cap, with the tapers of pyshtools.

The transforms are ducc0's, so that spectra add up over chunks of times and the tapers are computed
once for all fields. ``tests/evaluation/test_spectra.py`` checks the result against pyshtools'
``SHWindow.multitaper_spectrum``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch
from phire.evaluation.registry import statistic
from phire.evaluation.setting import Setting
from phire.evaluation.spectra import spectrum_plans
from phire.evaluation.spectral_scores import divided
from phire.fields.harmonics import SphericalHarmonics, largest_degree

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder

TAPERS = 8
"""Largest number of tapers; each has more than 99 % of its power within the cap."""


@statistic("localized_spectrum")
class LocalizedSpectra(Statistic):
    """Multitaper spectrum within the spherical cap around a region.

    The tapers are band-limited functions of unit power that are optimally concentrated in the cap.
    The estimate is the mean of the spectra of the tapered fields (Wieczorek & Simons 2005,
    doi:10.1111/j.1365-246X.2005.02687.x). A tapered spectrum at one degree mixes degrees within
    the tapers' bandwidth, so that the highest degrees, within a bandwidth of the largest, are left
    out.
    """

    order = 100
    by_default = False
    member_ranges = ("variance", "variance_ratio")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.latitude, self.longitude, self.radius = enclosing_cap(setting)
        self.harmonics = SphericalHarmonics(setting.grid, threads=setting.threads)
        self.tapers, self.bandwidth = tapers(
            self.harmonics, self.latitude, self.longitude, self.radius
        )

    @classmethod
    def applies_to(cls, setting: Setting) -> bool:
        """Applies to regions only."""
        return not setting.domain.is_whole

    @classmethod
    def refusal(cls, setting: Setting) -> str | None:
        """Requires pyshtools, global fields, and a cap wide enough for the grid."""
        if importlib.util.find_spec("pyshtools") is None:
            return "a localized spectrum needs pyshtools: install phire[localized]"
        if not setting.grid.is_sphere:
            return "a localized spectrum needs fields on a global grid"
        radius = enclosing_cap(setting)[2]
        if bandwidth(radius) * 2 > largest_degree(setting.grid):
            return f"a cap of {radius:.1f} degrees is too small for the grid"
        return None

    def _spectra(self, batch: Batch) -> np.ndarray:
        """Returns the spectra (n, C, tapers, degrees) of the tapered fields."""

        def compute() -> np.ndarray:
            count = self.harmonics.truncation + 1 - self.bandwidth
            spectra = np.empty((*batch.planes.shape[:2], len(self.tapers), count))
            for place in np.ndindex(*spectra.shape[:2]):
                # A field with a missing value has no spectrum: the transform spreads the NaN.
                tapered = self.tapers * batch.planes[place].astype(np.float64)
                spectra[place] = self.harmonics.degree_spectrum(tapered)[:, :count]
            return spectra

        return batch.once(("localized", self.domain), compute)

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns sums over time of the spectra by taper."""
        spectra, reference = (
            self._spectra(truth if candidate is None else candidate),
            self._spectra(truth),
        )
        both = np.isfinite(spectra).all((-1, -2)) & np.isfinite(reference).all((-1, -2))
        at = both[..., None, None]
        return {
            "compared": np.asarray(float(candidate is not None)),
            "count": both.sum(0).astype(float),
            "own": np.where(at, spectra, 0).sum(0),
            "truth": np.where(at, reference, 0).sum(0),
        }

    def result(self, state: State) -> xr.Dataset:
        """Returns ``variance(channel, degree)``, its standard error and its ratio to the truth."""
        spectra = divided(state["own"], state["count"][:, None, None])
        dataset = xr.Dataset(coords=self.coordinates("channel"))
        dataset["degree"] = ("degree", np.arange(spectra.shape[-1]))
        dimensions = ("channel", "degree")
        dataset["variance"] = (dimensions, spectra.mean(1), self.squared_units())
        error = (
            spectra.std(1, ddof=1) / np.sqrt(spectra.shape[1])
            if spectra.shape[1] > 1
            else spectra[:, 0] * np.nan
        )
        dataset["variance_error"] = (dimensions, error, self.squared_units())
        if state["compared"]:
            ratio = divided(state["own"].mean(1), state["truth"].mean(1))
            dataset["variance_ratio"] = (dimensions, ratio, {"units": "1"})
        dataset.attrs |= {
            "cap_latitude": self.latitude,
            "cap_longitude": self.longitude,
            "cap_radius": self.radius,
            "tapers": len(self.tapers),
            "bandwidth": self.bandwidth,
        }
        return dataset

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields the figures of a results folder; see :class:`Statistic`."""

        yield from spectrum_plans(folder, cls.name)


def enclosing_cap(setting: Setting) -> tuple[float, float, float]:
    """Returns centre (degrees north and east) and radius (degrees) of the cap around a domain.

    The radius is between 1 and 90 degrees.
    """
    domain = setting.domain
    grid = domain.window_grid
    inside = np.broadcast_to(domain.weights > 0, domain.shape)
    latitude, longitude = np.meshgrid(
        np.deg2rad(grid.latitudes), np.deg2rad(grid.longitudes), indexing="ij"
    )
    points = np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ]
    )[:, inside]
    weights = np.broadcast_to(domain.weights, domain.shape)[inside]
    centre = points @ weights
    centre /= np.linalg.norm(centre)
    angle = np.rad2deg(np.arccos(np.clip(centre @ points, -1, 1).min()))
    return (
        float(np.rad2deg(np.arcsin(centre[2]))),
        float(np.rad2deg(np.arctan2(centre[1], centre[0]))),
        float(min(max(angle, 1.0), 90.0)),
    )


def bandwidth(radius: float) -> int:
    """Returns the largest degree of the tapers of a cap.

    It is so large that about five tapers are well concentrated in the cap.

    Args:
        radius: Radius of the cap, degrees.
    """
    # Shannon number (L + 1)² (1 − cos θ) / 2 ≈ 10, of which about half are concentrated well.
    return max(2, int(np.ceil(np.sqrt(20 / (1 - np.cos(np.deg2rad(radius)))))) - 1)


def tapers(
    harmonics: SphericalHarmonics, latitude: float, longitude: float, radius: float
) -> tuple[np.ndarray, int]:
    """Returns tapers (k, H, W) of mean square 1 on the grid, and their bandwidth.

    Args:
        harmonics: Transform of the grid.
        latitude, longitude: Centre of the cap, degrees.
        radius: Radius of the cap, degrees.
    """
    import pyshtools

    width = bandwidth(radius)
    concentrated = np.asarray(pyshtools.SHWindow.from_cap(radius, width).eigenvalues) > 0.99
    count = int(np.clip(concentrated.sum(), 1, TAPERS))
    window = pyshtools.SHWindow.from_cap(radius, width, clat=latitude, clon=longitude, nwin=count)
    fields = []
    for k in range(count):
        real = window.to_shcoeffs(k).coeffs
        coefficients = np.zeros(len(harmonics.degrees), np.complex128)
        held = harmonics.degrees <= width
        degree, order = harmonics.degrees[held], harmonics.orders[held]
        # pyshtools gives real coefficients of cosines and sines without the Condon–Shortley phase
        # (−1)^m; the transform of the grid has complex ones with it.
        factor = np.where(order == 0, 1.0, (-1.0) ** order / np.sqrt(2))
        coefficients[held] = factor * (real[0][degree, order] - 1j * real[1][degree, order])
        fields.append(harmonics.synthesise(coefficients))
    return np.stack(fields), width
