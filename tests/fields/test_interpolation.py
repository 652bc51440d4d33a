"""Interpolation against exact values of band-limited fields, and known kernels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields.coarsening import block_mean, coarsen_grid
from phire.fields.grid import Grid
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.interpolation import METHODS, Interpolator, interpolate, upsample
from spheres import KINDS, random_coefficients, sphere, spheres

ARPEGE, AROME = "arpege_msl_NW_2018-05-01.grib", "arome_msl_NW_2018-05-01.grib"


def smooth_field(grid: Grid, target: Grid, degree: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """The same two-channel fields (1, H, W, 2) on two global grids."""
    harmonics = SphericalHarmonics(grid, truncation=degree)
    coefficients = random_coefficients(harmonics, 2)
    return tuple(
        np.moveaxis(harmonics.synthesise(coefficients, on), 0, -1)[None] for on in (grid, target)
    )


def places(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of every point, one after another."""
    latitudes, longitudes = np.meshgrid(grid.latitudes, grid.longitudes, indexing="ij")
    return latitudes.ravel(), longitudes.ravel()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("west", [0.0, -180.0, 12.3])
def test_places_all_over_the_sphere(kind, ascending, west):
    # The target's points lie between the grid's, up to a quarter of a degree from either pole and
    # across the seam.
    grid = sphere(kind, 64, ascending=ascending, west=west)
    target = Grid("cell-centred", sphere("cell-centred", 360).latitudes, np.arange(0, 360, 2.5))
    fields, expected = smooth_field(grid, target)
    found = interpolate(fields, grid, *places(target))
    np.testing.assert_allclose(found, expected.reshape(1, -1, 2), atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(grid=spheres(), turns=st.integers(-2, 2), seed=st.integers(0, 99))
def test_grid_points_are_met_exactly(grid, turns, seed):
    fields = np.random.default_rng(seed).normal(size=(2, *grid.shape, 1))
    if abs(grid.latitudes[0]) == 90 or abs(grid.latitudes[-1]) == 90:
        fields[:, np.abs(grid.latitudes) == 90] = fields[:, np.abs(grid.latitudes) == 90, :1]
    latitudes, longitudes = places(grid)
    found = interpolate(fields, grid, latitudes, longitudes + 360 * turns)
    np.testing.assert_allclose(found, fields.reshape(2, -1, 1), atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(grid=spheres(), columns=st.integers(1, 50), seed=st.integers(0, 99))
def test_turning_the_field_turns_what_is_interpolated(grid, columns, seed):
    random = np.random.default_rng(seed)
    fields = random.normal(size=(1, *grid.shape, 1))
    latitudes, longitudes = random.uniform(-90, 90, 40), random.uniform(-400, 400, 40)
    turn = columns * 360 / grid.shape[1]
    turned = interpolate(np.roll(fields, columns, 2), grid, latitudes, longitudes + turn)
    expected = interpolate(fields, grid, latitudes, longitudes)
    np.testing.assert_allclose(turned, expected, atol=1e-7 * max(1, np.abs(expected).max()))
    flipped = Grid(grid.kind, grid.latitudes[::-1], grid.longitudes)
    found = interpolate(fields[:, ::-1], flipped, latitudes, longitudes)
    np.testing.assert_allclose(found, expected, atol=1e-9 * max(1, np.abs(expected).max()))


def test_polynomials_of_fifth_degree_are_exact_in_a_region():
    grid = Grid.regional(np.linspace(40, 50, 21), np.linspace(-5, 5, 31))

    def polynomial(latitude, longitude):
        y, x = (latitude - 45) / 5, longitude / 5
        return 1 + x - 2 * y**5 + x**5 * y**3

    values = polynomial(grid.latitudes[:, None], grid.longitudes)[None, :, :, None]
    random = np.random.default_rng(0)
    latitudes, longitudes = random.uniform(40, 50, 200), random.uniform(-5, 5, 200)
    found = interpolate(values, grid, latitudes, longitudes + 360)
    np.testing.assert_allclose(found[0, :, 0], polynomial(latitudes, longitudes), atol=1e-10)
    outside = interpolate(values, grid, [39.9, 50.1, 45, 45], [0, 0, -5.1, 5.1])
    assert np.isnan(outside).all()


def test_missing_values_stay_near():
    grid = sphere("gaussian", 32)
    fields = np.random.default_rng(0).normal(size=(1, *grid.shape, 1))
    latitudes, longitudes = places(sphere("cell-centred", 40))
    whole = interpolate(fields, grid, latitudes, longitudes)
    fields[0, 16, 10] = np.nan
    found = interpolate(fields, grid, latitudes, longitudes)
    missing = np.isnan(found)
    assert 0 < missing.mean() < 0.03
    np.testing.assert_array_equal(found[~missing], whole[~missing])


def test_places_of_a_grid_of_pixels_are_rows_and_columns():
    fields = np.random.default_rng(0).normal(size=(1, 9, 12, 1))
    found = interpolate(fields, Grid.pixels(9, 12), [0, 8, 3], [0, 11, 5])
    np.testing.assert_allclose(found[0, :, 0], fields[0, [0, 8, 3], [0, 11, 5], 0])


def test_one_interpolator_serves_many_fields():
    grid = sphere("cell-centred", 24)
    fields = np.random.default_rng(0).normal(size=(3, *grid.shape, 2)).astype(np.float32)
    at = Interpolator(grid, [10.0, 89.9], [0.0, 359.9])
    assert at(fields).shape == (3, 2, 2)
    np.testing.assert_array_equal(at(fields)[1:2], at(fields[1:2]))


# Whole fields


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize(("method", "error"), [("bilinear", 0.1), ("bicubic", 0.012)])
def test_fields_up_to_the_poles_and_across_the_seam(kind, ascending, method, error):
    grid = sphere(kind, 64, ascending=ascending, west=-180.0)
    target = sphere(kind, 256)
    fields, expected = smooth_field(grid, target)
    found = upsample(fields, grid, target, method=method)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=error)


@pytest.mark.parametrize("kind", KINDS)
def test_coarsened_fields_come_back_near_to_themselves(kind):
    fine = sphere(kind, 257 if kind == "pole-to-pole" else 256)
    coarse = coarsen_grid(fine, 4)
    fields, _ = smooth_field(fine, fine)
    pooled = block_mean(fields, fine, 4)
    errors = [
        np.sqrt(((upsample(pooled, coarse, fine, method=m) - fields) ** 2).mean()) for m in METHODS
    ]
    assert errors[0] > 3 * errors[1] > 3 * errors[2]
    assert errors[2] < 0.02


@settings(max_examples=20, deadline=None)
@given(columns=st.integers(1, 40), method=st.sampled_from(METHODS), kind=st.sampled_from(KINDS))
def test_turning_the_coarse_field_turns_the_fine_one(columns, method, kind):
    fine = sphere(kind, 49 if kind == "pole-to-pole" else 48)
    coarse = coarsen_grid(fine, 4)
    fields = np.random.default_rng(0).normal(size=(1, *coarse.shape, 1))
    expected = np.roll(upsample(fields, coarse, fine, method=method), 4 * columns, 2)
    found = upsample(np.roll(fields, columns, 2), coarse, fine, method=method)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2, 4, 5])
def test_nearest_repeats_every_block(kind, scale):
    fine = sphere(kind, 40)
    coarse = coarsen_grid(fine, scale)
    fields = np.random.default_rng(0).normal(size=(2, *coarse.shape, 3)).astype(np.float32)
    rows, columns = (size - size % scale for size in fine.shape)
    found = upsample(fields, coarse, fine.subgrid(slice(rows), slice(columns)), method="nearest")
    np.testing.assert_array_equal(found, fields.repeat(scale, 1).repeat(scale, 2))


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_pixels_are_resized_as_tensorflow_does(method):
    tensorflow = pytest.importorskip("tensorflow")
    fields = np.random.default_rng(0).normal(size=(2, 10, 12, 2)).astype(np.float32)
    found = upsample(fields, Grid.pixels(10, 12), Grid.pixels(40, 48), method=method)
    expected = tensorflow.image.resize(fields, (40, 48), method=method).numpy()
    # TensorFlow renormalises the cubic kernel at the border instead of repeating the border.
    inner = np.s_[:, 8:-8, 8:-8] if method == "bicubic" else np.s_[:]
    np.testing.assert_allclose(found[inner], expected[inner], atol=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_corner_aligned_pixels_are_kept(method):
    fields = np.random.default_rng(0).normal(size=(1, 10, 12, 1)).astype(np.float32)
    found = upsample(
        fields, Grid.pixels(10, 12), Grid.pixels(40, 48), method=method, alignment="corner"
    )
    np.testing.assert_allclose(found[:, ::4, ::4], fields, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_missing_coarse_values_make_few_fine_ones_missing(method):
    fine = sphere("gaussian", 64)
    coarse = coarsen_grid(fine, 4)
    fields = np.random.default_rng(0).normal(size=(1, *coarse.shape, 1))
    whole = upsample(fields, coarse, fine, method=method)
    fields[0, 8, 16] = np.nan
    found = upsample(fields, coarse, fine, method=method)
    missing = np.isnan(found[0, :, :, 0])
    assert missing[32:36, 64:68].all()
    assert missing.sum() <= {"nearest": 16, "bilinear": 64, "bicubic": 256}[method]
    np.testing.assert_array_equal(found[0, ~missing], whole[0, ~missing])


def test_what_does_not_fit_is_refused():
    fields = np.zeros((1, 4, 8, 1))
    with pytest.raises(InputError, match="'cubic' must be one of nearest, bilinear, bicubic"):
        upsample(fields, Grid.pixels(4, 8), Grid.pixels(8, 16), method="cubic")
    with pytest.raises(InputError, match="both need coordinates, or neither"):
        upsample(fields, Grid.pixels(4, 8), sphere("gaussian", 8))
    with pytest.raises(InputError, match="alignment 'edge'"):
        upsample(fields, Grid.pixels(4, 8), Grid.pixels(8, 16), alignment="edge")


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_arpege_pressure_on_the_points_of_arome(method):
    folder = Path(os.environ.get("PHIRE_REALDATA", ""))
    if not os.environ.get("PHIRE_REALDATA") or not (folder / ARPEGE).exists():
        pytest.skip(f"PHIRE_REALDATA is unset or has no {ARPEGE}")
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("cfgrib")
    fields, grids = [], []
    for name in (ARPEGE, AROME):
        with xarray.open_dataset(
            folder / name, engine="cfgrib", backend_kwargs={"indexpath": ""}
        ) as data:
            pressure = data[next(iter(data.data_vars))]
            grids.append(Grid.from_coordinates(data["latitude"].values, data["longitude"].values))
            fields.append(pressure.values[..., None])
    coarse, fine = fields
    found = upsample(coarse, *grids, method=method)
    assert found.shape == fine.shape
    # Every fourth point is a coarse one.
    at_corners = found[:, ::4, ::4]
    rows, columns = at_corners.shape[1:3]
    np.testing.assert_allclose(at_corners, coarse[:, :rows, :columns], atol=0.5)
    # Two models of one day: the interpolated pressure is no further from the fine one between
    # the coarse points than on them.
    error = np.sqrt(((found - fine) ** 2).mean())
    on_points = np.sqrt(((coarse[:, :rows, :columns] - fine[:, ::4, ::4]) ** 2).mean())
    assert error < 1.1 * on_points
