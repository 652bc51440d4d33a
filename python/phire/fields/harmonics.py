"""Spherical-harmonic transforms on global grids, with ducc0.

Coefficients are 4π-normalised: their squares sum to the area mean of the field's square. They have
the Condon–Shortley phase (−1)^m. Fields are real, so only the orders m ≥ 0 are stored, order by
order: (m=0, l=0…L), (m=1, l=1…L), …

Grids may lack a few rows at the poles. Those rows are filled before the analysis
(:func:`complete_rows`).

``tests/fields/test_harmonics.py`` checks the transforms against closed forms, pyshtools and
pyspharm, and wind against windspharm.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import ducc0
import numpy as np

from phire.errors import InputError
from phire.fields.grid import EARTH_RADIUS, GEOMETRIES, Completion, Grid

if TYPE_CHECKING:
    from phire.fields.spherepack import Spherepack

ENGINES = ("ducc0", "pyspharm")

POLAR_NODES = 8
"""Smallest number of rows beside a polar gap that determine the missing rows."""

SPLINE = 3
"""Degree of the spline that fills missing polar rows."""


def largest_degree(grid: Grid) -> int:
    """Returns the largest degree that a global grid with H rows resolves.

    It is H/2−1 for Driscoll–Healy, H−1 for Gaussian and cell-centred (Fejér), and H−2 for
    pole-to-pole grids. For a grid without some polar rows, H is that of the complete grid.

    Raises:
        InputError: The grid is not global.
    """
    if grid.completion is None:
        raise InputError(
            f"the fields are on {grid.in_words()}, but spherical harmonics need a global grid: "
            f"one of {', '.join(GEOMETRIES)}."
        )
    grid = grid.completion.grid
    rows = grid.shape[0]
    return {
        "driscoll-healy": rows // 2 - 1,
        "pole-to-pole": rows - 2,
        "cell-centred": rows - 1,
        "gaussian": rows - 1,
    }[grid.kind]


class SphericalHarmonics:
    """Transforms between fields on a global grid and spherical-harmonic coefficients.

    Polar rows that the grid lacks (see :class:`phire.fields.grid.Completion`) are filled along the
    meridians before the analysis. Measured on band-limited fields with spectra l⁻¹ and l⁻³, this
    changes ln S(l) as follows: one row of 721 or 361 missing, 3e-5 on average and 2e-3 at most;
    one of 73 missing, 1e-3 on average; three of 73 missing, 1e-2 on average.

    Args:
        grid: A global grid, with latitudes in either order.
        truncation: Largest degree; by default the largest that the grid resolves.
        radius: Radius of the sphere, m.
        threads: Number of threads; by default one for each core.
        engine: ``ducc0``; or ``pyspharm`` (SPHEREPACK), an independent implementation for checks.
            pyspharm supports Gaussian and pole-to-pole grids, in single precision.

    Attributes:
        degrees: (n,) degree l of each coefficient.
        orders: (n,) order m of each coefficient.

    Raises:
        InputError: The grid is not global, or does not resolve the truncation; or pyspharm is not
            installed or does not support the grid.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        truncation: int | None = None,
        radius: float = EARTH_RADIUS,
        threads: int | None = None,
        engine: str = "ducc0",
    ) -> None:
        largest = largest_degree(grid)
        if truncation is not None and not 0 <= truncation <= largest:
            raise InputError(
                f"truncation {truncation} is beyond the {grid.describe()}, which resolves degrees "
                f"up to {largest}: choose a smaller one."
            )
        if engine not in ENGINES:
            raise InputError(f"engine {engine!r} must be one of {', '.join(ENGINES)}.")
        self.grid = grid
        self.truncation = largest if truncation is None else truncation
        self.radius = radius
        self.threads = threads or os.cpu_count() or 1
        self.engine = engine
        # W columns resolve the orders below W/2.
        self._order_limit = min(self.truncation, (grid.shape[1] - 1) // 2)
        limits = range(self._order_limit + 1)
        self.degrees = np.concatenate([np.arange(m, self.truncation + 1) for m in limits])
        self.orders = np.repeat(limits, [self.truncation + 1 - m for m in limits])
        # The coefficient of order −m is that of +m conjugated, so squares of m > 0 count twice.
        self._multiplicity = np.where(self.orders == 0, 1.0, 2.0)
        self._spharm = None
        if engine == "pyspharm":
            self._spharm = self._spherepack_on(grid)

    # Scalar fields

    def analyse(self, field: np.ndarray, *, component: bool = False) -> np.ndarray:
        """Computes the coefficients of scalar fields.

        Args:
            field: (..., H, W) real.
            component: True for a component of wind, which changes its sign across a pole. It
                affects only the filling of missing polar rows.

        Returns:
            (..., n) complex128.
        """
        if self._spharm is not None:
            return self._spharm.analyse(np.asarray(field, np.float64))
        return self._analyse(field, spin=0, across=int(component))[..., 0, :]

    def synthesise(self, coefficients: np.ndarray, grid: Grid | None = None) -> np.ndarray:
        """Computes scalar fields from coefficients.

        Args:
            coefficients: (..., n) complex.
            grid: Global grid of the result, of any resolution; by default that of the transform.

        Returns:
            (..., H, W) float64.
        """
        if self._spharm is not None:
            return self._spherepack_on(grid).synthesise(coefficients)
        return self._synthesise(np.asarray(coefficients)[..., None, :], 0, grid)[..., 0, :, :]

    # Wind

    def wind_to_vorticity_divergence(
        self, u: np.ndarray, v: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes relative vorticity and divergence of wind.

        Args:
            u: (..., H, W) eastward wind, m/s.
            v: (..., H, W) northward wind, m/s.

        Returns:
            Vorticity and divergence, (..., H, W) each, s⁻¹.
        """
        vorticity, divergence = self.analyse_wind(u, v)
        return self.synthesise(vorticity), self.synthesise(divergence)

    def vorticity_divergence_to_wind(
        self, vorticity: np.ndarray, divergence: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes wind from vorticity and divergence: u and v, (..., H, W) each, m/s.

        Inverts :meth:`wind_to_vorticity_divergence`.
        """
        return self.synthesise_wind(self.analyse(vorticity), self.analyse(divergence))

    def analyse_wind(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes the coefficients of vorticity and divergence, (..., n) each, from wind.

        Args:
            u: (..., H, W) eastward wind, m/s.
            v: (..., H, W) northward wind, m/s.
        """
        if self._spharm is not None:
            return self._spharm.analyse_wind(np.asarray(u, np.float64), np.asarray(v, np.float64))
        # ducc0's components point along colatitude (southward) and longitude (eastward).
        both = np.stack(np.broadcast_arrays(-np.asarray(v), np.asarray(u)), axis=-3)
        gradient, curl = np.moveaxis(self._analyse(both, spin=1, across=1), -2, 0)
        factor = np.sqrt(self.degrees * (self.degrees + 1.0)) / self.radius
        # Signs by ducc0's convention for spin-1 harmonics; checked against closed forms of wind.
        return -curl * factor, -gradient * factor

    def synthesise_wind(
        self, vorticity: np.ndarray, divergence: np.ndarray, grid: Grid | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes the wind from coefficients of vorticity and divergence.

        Args:
            vorticity, divergence: Coefficients (..., n), s⁻¹.
            grid: Global grid of the result; by default that of the transform.

        Returns:
            Eastward and northward wind (..., H, W), m/s. Coefficients of degree 0 have no effect.
        """
        if self._spharm is not None:
            return self._spherepack_on(grid).synthesise_wind(vorticity, divergence)
        with np.errstate(divide="ignore"):
            factor = self.radius / np.sqrt(self.degrees * (self.degrees + 1.0))
        factor[self.degrees == 0] = 0  # vorticity and divergence of wind have zero mean
        both = np.stack([-divergence * factor, -vorticity * factor], axis=-2)
        south, east = np.moveaxis(self._synthesise(both, 1, grid), -3, 0)
        return east, -south

    # Spectra

    def sum_orders(self, products: np.ndarray) -> np.ndarray:
        """Sums products of coefficients over the orders −l…l.

        Args:
            products: (..., n) real products of two coefficients of the same degree and order.

        Returns:
            (..., L+1) sums by degree.
        """
        products = np.asarray(products) * self._multiplicity
        flat = products.reshape(-1, products.shape[-1])
        size = self.truncation + 1
        sums = np.stack([np.bincount(self.degrees, row, minlength=size) for row in flat])
        return sums.reshape(*products.shape[:-1], size)

    def degree_spectrum(self, field: np.ndarray) -> np.ndarray:
        """Computes the power spectrum S(l) = Σ_m |f_lm|² of a scalar field: (..., L+1).

        The sum of S over l is the area mean of f², if f is band-limited.

        Args:
            field: (..., H, W).
        """
        return self.sum_orders(np.abs(self.analyse(field)) ** 2)

    def kinetic_energy_spectrum(self, vorticity: np.ndarray, divergence: np.ndarray) -> np.ndarray:
        """Computes the kinetic-energy spectrum, (..., L+1) in m² s⁻².

        E(l) = a² / (2 l(l+1)) · Σ_m (|ζ_lm|² + |δ_lm|²), E(0) = 0 (Lambert 1984,
        doi:10.1080/07055900.1984.9649204). The sum of E over l is the area mean of (u² + v²)/2.

        Args:
            vorticity: ζ, (..., H, W), s⁻¹.
            divergence: δ, (..., H, W), s⁻¹.
        """
        return self.kinetic_energy(self.analyse(vorticity), self.analyse(divergence))

    def kinetic_energy(self, vorticity: np.ndarray, divergence: np.ndarray) -> np.ndarray:
        """Computes the kinetic-energy spectrum from coefficients.

        Args:
            vorticity, divergence: (..., n) coefficients, s⁻¹.

        Returns:
            (..., L+1), m² s⁻²; see :meth:`kinetic_energy_spectrum`.
        """
        squares = self.sum_orders(np.abs(vorticity) ** 2 + np.abs(divergence) ** 2)
        return self.weighted_by_energy(squares)

    def weighted_by_energy(self, squares: np.ndarray) -> np.ndarray:
        """Converts sums of squares of vorticity and divergence to energy: times a² / (2 l(l+1)).

        Args:
            squares: (..., L+1) sums by degree, s⁻².

        Returns:
            (..., L+1), m² s⁻²; 0 at degree 0.
        """
        degree = np.arange(self.truncation + 1)
        energy = np.zeros_like(squares)
        factor = self.radius**2 / (2.0 * degree[1:] * (degree[1:] + 1))
        energy[..., 1:] = squares[..., 1:] * factor
        return energy

    # Engines

    def _spherepack_on(self, grid: Grid | None) -> Spherepack:
        """Returns pyspharm's transform on a grid, by default the grid of this transform."""
        from phire.fields.spherepack import Spherepack

        if grid is None or (grid is self.grid and self._spharm is not None):
            return self._spharm
        return Spherepack(grid, self.truncation, self.radius)

    def _analyse(self, field: np.ndarray, spin: int, across: int) -> np.ndarray:
        """Computes coefficients with ducc0.

        Args:
            field: (..., H, W) scalars, or (..., 2, H, W) southward and eastward components.
            spin: 0 for scalars, 1 for vectors.
            across: See ``spin`` of :func:`complete_rows`.

        Returns:
            (..., 1, n) of scalars; (..., 2, n) of vectors: gradient and curl.
        """
        components = 2 if spin else 1
        field = np.asarray(field, np.float64)
        lead = field.shape[: -3 if spin else -2]
        maps = field.reshape(int(np.prod(lead)), components, *self.grid.shape)
        result = np.empty((len(maps), components, len(self.degrees)), np.complex128)
        completion = self.grid.completion
        for one, coefficients in zip(maps, result):
            one = complete_rows(one, completion, across)
            coefficients[:] = ducc0.sht.analysis_2d(
                map=np.ascontiguousarray(one if self.grid.descending else one[:, ::-1]),
                spin=spin,
                lmax=self.truncation,
                mmax=self._order_limit,
                geometry=GEOMETRIES[completion.grid.kind],
                phi0=np.deg2rad(self.grid.longitudes[0]),
                nthreads=self.threads,
            )
        # From ducc0's orthonormal harmonics to 4π-normalised ones.
        result /= np.sqrt(4 * np.pi)
        return result.reshape(*lead, components, len(self.degrees))

    def _synthesise(self, coefficients: np.ndarray, spin: int, grid: Grid | None) -> np.ndarray:
        """Computes fields with ducc0; the inverse of :meth:`_analyse`.

        Args:
            coefficients: (..., 1 or 2, n).
            spin: 0 for scalars, 1 for vectors.
            grid: Grid of the result; None for that of the transform.

        Returns:
            (..., 1 or 2, H, W).
        """
        grid = self.grid if grid is None else grid
        completion = grid.completion
        if completion is None:
            raise InputError(f"cannot synthesise on {grid.in_words()}: the grid must be global.")
        lead, components = coefficients.shape[:-2], coefficients.shape[-2]
        flat = np.asarray(coefficients, np.complex128).reshape(-1, components, len(self.degrees))
        result = np.empty((len(flat), components, *grid.shape))
        for one, maps in zip(flat, result):
            synthesised = ducc0.sht.synthesis_2d(
                alm=one * np.sqrt(4 * np.pi),
                spin=spin,
                lmax=self.truncation,
                mmax=self._order_limit,
                geometry=GEOMETRIES[completion.grid.kind],
                ntheta=completion.grid.shape[0],
                nphi=grid.shape[1],
                phi0=np.deg2rad(grid.longitudes[0]),
                nthreads=self.threads,
            )
            synthesised = synthesised if grid.descending else synthesised[:, ::-1]
            maps[:] = synthesised[:, completion.rows]
        return result.reshape(*lead, components, *grid.shape)


def complete_rows(maps: np.ndarray, completion: Completion, spin: int = 0) -> np.ndarray:
    """Fills missing rows at the poles by spline interpolation along the meridians.

    A meridian continues beyond the pole as the meridian 180° away. Therefore the amplitude of each
    zonal wave is an even or odd function of the distance from the pole, by the parity of its
    wavenumber. The missing rows are values of the even or odd spline through the rows beside the
    gap.

    Args:
        maps: (k, H, W) scalars, or components of wind.
        completion: Complete grid, and position of the H rows in it.
        spin: 0 for scalars; 1 for components of wind, which change their sign across a pole.

    Returns:
        (k, H', W) on ``completion.grid``; ``maps`` itself if no row is missing.
    """
    if not completion.missing:
        return maps
    whole = np.empty((len(maps), *completion.grid.shape))
    whole[:, completion.rows] = maps
    colatitudes = completion.grid.colatitudes
    distances = np.minimum(colatitudes, np.pi - colatitudes)
    for gap, inward in ((completion.before, 1), (completion.after, -1)):
        if not gap:
            continue
        # Views from the pole inward: the missing rows come first.
        view, distance = whole[:, ::inward], distances[::inward]
        nodes = slice(gap, min(2 * gap + POLAR_NODES, maps.shape[1]))
        waves = np.fft.rfft(view[:, nodes], axis=-1)
        odd = (np.arange(waves.shape[-1]) + spin) % 2 == 1
        filled = np.empty((len(maps), gap, waves.shape[-1]), np.complex128)
        for parity in (False, True):
            weights = _spline_weights(distance[nodes], distance[:gap], parity)
            filled[..., odd == parity] = np.einsum(
                "gn,knm->kgm", weights, waves[..., odd == parity]
            )
        view[:, :gap] = np.fft.irfft(filled, n=maps.shape[-1], axis=-1)
    return whole


def _spline_weights(nodes: np.ndarray, places: np.ndarray, odd: bool) -> np.ndarray:
    """Returns the weights (places, nodes) of the even or odd spline through values at nodes.

    The natural spline of degree n = :data:`SPLINE` in its radial form: Σ cᵢ |x − xᵢ|ⁿ plus a
    polynomial of degree (n − 1)/2, through the nodes and their mirror images.

    Args:
        nodes: (m,) distances from the pole.
        places: (k,) distances of the missing rows.
        odd: True for the odd spline.
    """
    scale = nodes[1] - nodes[0]  # in units of the row spacing the system is well conditioned
    nodes, places = nodes / scale, places / scale
    sign = -1 if odd else 1
    powers = np.arange(int(odd), (SPLINE + 1) // 2, 2)

    def kernel(x: np.ndarray) -> np.ndarray:
        apart, mirrored = np.abs(x[:, None] - nodes), np.abs(x[:, None] + nodes)
        return apart**SPLINE + sign * mirrored**SPLINE

    count, terms = len(nodes), len(powers)
    system = np.zeros((count + terms, count + terms))
    system[:count, :count] = kernel(nodes)
    system[:count, count:] = nodes[:, None] ** powers
    system[count:, :count] = system[:count, count:].T
    right = np.concatenate([kernel(places), places[:, None] ** powers], axis=1)
    return np.linalg.solve(system, right.T)[:count].T
