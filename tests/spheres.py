"""Grids of the sphere and band-limited fields on them; shared by tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from phire.fields.grid import GEOMETRIES, Grid
from phire.fields.harmonics import SphericalHarmonics

KINDS = tuple(GEOMETRIES)


def sphere(kind: str, rows: int, *, ascending: bool = False, west: float = 0.0) -> Grid:
    """A global grid, on request from south to north or with its first column elsewhere."""
    grid = getattr(Grid, kind.replace("-", "_"))(rows)
    latitudes = grid.latitudes[::-1] if ascending else grid.latitudes
    return Grid(kind, latitudes, grid.longitudes + west)


@st.composite
def spheres(draw: st.DrawFn) -> Grid:
    """Global grids of every kind, order of latitudes and first longitude."""
    rows = 2 * draw(st.integers(6, 20))
    kind = draw(st.sampled_from(KINDS))
    if kind in ("pole-to-pole", "cell-centred", "gaussian"):
        rows += draw(st.integers(0, 1))
    return sphere(kind, rows, ascending=draw(st.booleans()), west=draw(st.floats(-359, 359)))


def random_coefficients(harmonics: SphericalHarmonics, count: int, seed: int = 0) -> np.ndarray:
    """(count, n) coefficients of real fields of mean 0, steeper at higher degrees."""
    random = np.random.default_rng(seed)
    real, imaginary = random.normal(size=(2, count, len(harmonics.degrees)))
    values = (real + 1j * imaginary * (harmonics.orders > 0)) / (1.0 + harmonics.degrees)
    return np.where(harmonics.degrees > 0, values, 0)


def area_mean(field: np.ndarray, grid: Grid) -> np.ndarray:
    """Area mean (...,) of a field (..., H, W)."""
    return (field * grid.area_weights()).mean((-2, -1))
