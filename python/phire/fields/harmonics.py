"""Spherical harmonics on global grids, and on those that lack a few polar rows, by ducc0.

Coefficients are 4π-normalised, so that the squares of a field's coefficients sum to its area mean
square, and carry the Condon–Shortley phase (−1)^m. Of real fields only the orders m ≥ 0 are kept,
order by order: (m=0, l=0…L), (m=1, l=1…L), …
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
"""Rows beside a gap about a pole from which the missing ones are filled, at least."""

SPLINE = 3
"""Degree of the spline that fills them."""


def largest_degree(grid: Grid) -> int:
    """Returns the largest degree that a global grid resolves.

    Driscoll–Healy H/2−1, Gaussian and cell-centred (Fejér) H−1, pole-to-pole H−2. A grid that
    lacks rows about the poles resolves what the complete one does.

    Raises:
        InputError: The grid is not global.
    """
    if grid.completion is None:
        raise InputError(
            f"the fields lie on {grid.in_words()}, which is none of the global grids "
            f"({', '.join(GEOMETRIES)}): spherical harmonics need one of these."
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
    """Transforms between a global grid and spherical-harmonic coefficients.

    Rows that a grid lacks about a pole (see :class:`phire.fields.grid.Completion`) are filled along
    the meridians across the pole before a field is analysed. Measured on band-limited fields of
    spectra l⁻¹ and l⁻³: without the last of 721 or 361 rows ln S(l) is off by 3e-5 on average and
    by 2e-3 at most, without the last of 73 by 1e-3, without three of 73 by 1e-2 on average.

    Args:
        grid: A global grid, in either order of latitudes.
        truncation: The largest degree; by default the largest that the grid resolves.
        radius: Radius of the sphere in metres.
        threads: Threads to use; by default one a core.
        engine: ``ducc0``, or ``pyspharm`` (SPHEREPACK) to check one by the other; pyspharm takes
            Gaussian and pole-to-pole grids and computes in single precision.

    Attributes:
        degrees: (n,) degree l of each coefficient.
        orders: (n,) order m of each coefficient.

    Raises:
        InputError: The grid is not global, the truncation is beyond it, or pyspharm is asked for
            and is not installed or does not know the grid.
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
                f"up to {largest}."
            )
        if engine not in ENGINES:
            raise InputError(f"engine {engine!r} is unknown: it must be one of {ENGINES}.")
        self.grid = grid
        self.truncation = largest if truncation is None else truncation
        self.radius = radius
        self.threads = threads or os.cpu_count() or 1
        self.engine = engine
        self._order_limit = min(self.truncation, (grid.shape[1] - 1) // 2)
        limits = range(self._order_limit + 1)
        self.degrees = np.concatenate([np.arange(m, self.truncation + 1) for m in limits])
        self.orders = np.repeat(limits, [self.truncation + 1 - m for m in limits])
        # Orders −m of a real field are the conjugates of +m: their squares count twice.
        self._multiplicity = np.where(self.orders == 0, 1.0, 2.0)
        self._spharm = None
        if engine == "pyspharm":
            self._spharm = self._spherepack_on(grid)

    # Scalar fields

    def analyse(self, field: np.ndarray, *, component: bool = False) -> np.ndarray:
        """Coefficients of scalar fields.

        Args:
            field: (..., H, W) real.
            component: The field is a component of wind, which changes its sign across a pole. Only
                the filling of missing polar rows depends on it.

        Returns:
            (..., n) complex128.
        """
        if self._spharm is not None:
            return self._spharm.analyse(np.asarray(field, np.float64))
        return self._analyse(field, spin=0, across=int(component))[..., 0, :]

    def synthesise(self, coefficients: np.ndarray, grid: Grid | None = None) -> np.ndarray:
        """Scalar fields of coefficients.

        Args:
            coefficients: (..., n) complex.
            grid: Another global grid to synthesise on; it may be finer or coarser.

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
        """Relative vorticity and divergence of wind, both (..., H, W) in s⁻¹.

        Args:
            u: (..., H, W) eastward wind, m/s.
            v: (..., H, W) northward wind, m/s.
        """
        vorticity, divergence = self.analyse_wind(u, v)
        return self.synthesise(vorticity), self.synthesise(divergence)

    def vorticity_divergence_to_wind(
        self, vorticity: np.ndarray, divergence: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Wind (u, v) of relative vorticity and divergence; the inverse of the above."""
        return self.synthesise_wind(self.analyse(vorticity), self.analyse(divergence))

    def analyse_wind(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (..., n) of vorticity and of divergence of the wind (..., H, W)."""
        if self._spharm is not None:
            return self._spharm.analyse_wind(np.asarray(u, np.float64), np.asarray(v, np.float64))
        # ducc0's components point along colatitude (southward) and longitude (eastward).
        both = np.stack(np.broadcast_arrays(-np.asarray(v), np.asarray(u)), axis=-3)
        gradient, curl = np.moveaxis(self._analyse(both, spin=1, across=1), -2, 0)
        factor = np.sqrt(self.degrees * (self.degrees + 1.0)) / self.radius
        return -curl * factor, -gradient * factor

    def synthesise_wind(
        self, vorticity: np.ndarray, divergence: np.ndarray, grid: Grid | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes the wind from coefficients of vorticity and divergence.

        Args:
            vorticity, divergence: Coefficients (..., n), s⁻¹.
            grid: Grid of the result; that of the transform by default.

        Returns:
            Eastward and northward wind (..., H, W), m/s; without the degree-0 part.
        """
        if self._spharm is not None:
            return self._spherepack_on(grid).synthesise_wind(vorticity, divergence)
        with np.errstate(divide="ignore"):
            factor = self.radius / np.sqrt(self.degrees * (self.degrees + 1.0))
        factor[self.degrees == 0] = 0  # wind has no mean vorticity or divergence
        both = np.stack([-divergence * factor, -vorticity * factor], axis=-2)
        south, east = np.moveaxis(self._synthesise(both, 1, grid), -3, 0)
        return east, -south

    # Spectra

    def sum_orders(self, products: np.ndarray) -> np.ndarray:
        """Sums real products of coefficients (..., n) over the orders −l…l: (..., L+1)."""
        products = np.asarray(products) * self._multiplicity
        flat = products.reshape(-1, products.shape[-1])
        size = self.truncation + 1
        sums = np.stack([np.bincount(self.degrees, row, minlength=size) for row in flat])
        return sums.reshape(*products.shape[:-1], size)

    def degree_spectrum(self, field: np.ndarray) -> np.ndarray:
        """Variance of a scalar field by degree: S(l) = Σ_m |f_lm|², (..., L+1).

        S sums over l to the area mean of f² where f is band-limited.
        """
        return self.sum_orders(np.abs(self.analyse(field)) ** 2)

    def kinetic_energy_spectrum(self, vorticity: np.ndarray, divergence: np.ndarray) -> np.ndarray:
        """Kinetic energy by degree, (..., L+1) in m² s⁻².

        E(l) = a² / (2 l(l+1)) · Σ_m (|ζ_lm|² + |δ_lm|²), E(0) = 0 (Lambert 1984,
        doi:10.1080/07055900.1984.9649204). It sums over l to the area mean of (u² + v²)/2.

        Args:
            vorticity: (..., H, W), s⁻¹.
            divergence: (..., H, W), s⁻¹.
        """
        return self.kinetic_energy(self.analyse(vorticity), self.analyse(divergence))

    def kinetic_energy(self, vorticity: np.ndarray, divergence: np.ndarray) -> np.ndarray:
        """Returns the kinetic-energy spectrum (..., L+1) of coefficients (..., n)."""
        squares = self.sum_orders(np.abs(vorticity) ** 2 + np.abs(divergence) ** 2)
        return self.weighted_by_energy(squares)

    def weighted_by_energy(self, squares: np.ndarray) -> np.ndarray:
        """Sums (..., L+1) of vorticity's and divergence's squares as energy: a² / (2 l(l+1))."""
        degree = np.arange(self.truncation + 1)
        energy = np.zeros_like(squares)
        factor = self.radius**2 / (2.0 * degree[1:] * (degree[1:] + 1))
        energy[..., 1:] = squares[..., 1:] * factor
        return energy

    def high_pass(self, field: np.ndarray, degree: int) -> np.ndarray:
        """Returns the field without its components of degree below ``degree``: (..., H, W).

        What lies beyond the truncation stays.
        """
        coefficients = self.analyse(field)
        coefficients[..., self.degrees >= degree] = 0
        return np.asarray(field, np.float64) - self.synthesise(coefficients)

    # Engines

    def _spherepack_on(self, grid: Grid | None) -> Spherepack:
        from phire.fields.spherepack import Spherepack

        if grid is None or (grid is self.grid and self._spharm is not None):
            return self._spharm
        return Spherepack(grid, self.truncation, self.radius)

    def _analyse(self, field: np.ndarray, spin: int, across: int) -> np.ndarray:
        """Transforms (..., [2,] H, W) → (..., 1 or 2, n)."""
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
        # ducc0's harmonics are orthonormal.
        result /= np.sqrt(4 * np.pi)
        return result.reshape(*lead, components, len(self.degrees))

    def _synthesise(self, coefficients: np.ndarray, spin: int, grid: Grid | None) -> np.ndarray:
        """Transforms (..., 1 or 2, n) → (..., 1 or 2, H, W)."""
        grid = self.grid if grid is None else grid
        completion = grid.completion
        if completion is None:
            raise InputError(f"cannot synthesise on {grid.in_words()}: it must be global.")
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
    """Fields with the rows that they lack about the poles, filled along the meridians.

    Each zonal wave is a function of the distance from the pole that is even or odd, for beyond the
    pole lies the meridian of the other side. The missing rows are those of the spline through the
    rows beside the gap, which joins them smoothly.

    Args:
        maps: (k, H, W) scalars, or components of wind.
        completion: Where the H rows belong.
        spin: 0 for scalars, 1 for components of wind, which change their sign across a pole.

    Returns:
        (k, H', W) on ``completion.grid``; ``maps`` itself where no row is missing.
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
        # Views whose first rows are the missing ones.
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
    """Weights (places, nodes) of the even or odd spline through values at nodes.

    The natural spline of degree :data:`SPLINE` in its radial form: Σ cᵢ |x − xᵢ|ⁿ and a polynomial
    of degree (n − 1)/2, through the nodes and their mirror images.
    """
    scale = nodes[1] - nodes[0]
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
