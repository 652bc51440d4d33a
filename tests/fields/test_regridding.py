"""Regridding against plain loops, an independent library, closed forms and conservation."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.interpolate
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields.coarsening import block_mean, coarsen_grid
from phire.fields.ensemble import EnsembleSource
from phire.fields.grid import Grid
from phire.fields.opening import open_source
from phire.fields.regridded_files import regrid
from phire.fields.regridding import METHODS, RegriddedSource, Regridder
from phire.fields.source import ArraySource, to_dataset
from spheres import KINDS, sphere, spheres

REGION = Grid.regional(np.linspace(58, 40, 19), np.linspace(-8, 12, 21))


def random_fields(grid: Grid, count: int = 2, channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *grid.shape, channels)).astype("f4")


def cell_areas(grid: Grid) -> np.ndarray:
    """(H, W) areas of the cells on the unit sphere; whole spheres are filled to the poles."""
    rows = grid.row_edges()
    if grid.is_global:
        rows[[0, -1]] = 90 * np.sign(rows[[0, -1]])
    return np.abs(np.outer(np.diff(np.sin(np.deg2rad(rows))), np.deg2rad(np.diff(_columns(grid)))))


def _columns(grid: Grid) -> np.ndarray:
    longitudes = grid.longitudes
    middle = (longitudes[1:] + longitudes[:-1]) / 2
    return np.r_[2 * longitudes[0] - middle[0], middle, 2 * longitudes[-1] - middle[-1]]


def brute_force(field: np.ndarray, grid: Grid, target: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Means (H', W') over target cells and their covered shares, cell by cell of both grids."""
    edges = [np.sin(np.deg2rad(g.row_edges())) for g in (grid, target)]
    for one, g in zip(edges, (grid, target)):
        if g.is_global:
            one[[0, -1]] = np.sign(one[[0, -1]])
    total, area = np.zeros(target.shape), np.zeros(target.shape)
    for i, j in np.ndindex(*target.shape):
        low, high = np.sort(edges[1][i : i + 2])
        west, east = _columns(target)[j : j + 2]
        for k, m in np.ndindex(*grid.shape):
            bottom, top = np.sort(edges[0][k : k + 2])
            height = max(0, min(high, top) - max(low, bottom))
            for turn in (-720, -360, 0, 360, 720):
                left, right = _columns(grid)[m : m + 2] + turn
                shared = height * max(0, min(east, right) - max(west, left))
                total[i, j] += shared * field[k, m]
                area[i, j] += shared
    whole = np.outer(np.abs(np.diff(edges[1])), np.diff(_columns(target)))
    with np.errstate(invalid="ignore"):
        return total / area, area / whole


@pytest.mark.parametrize(
    ("grid", "target"),
    [
        (sphere("pole-to-pole", 9), sphere("gaussian", 7, west=-175.3)),
        (sphere("gaussian", 6, west=-180), sphere("driscoll-healy", 10, ascending=True)),
        (REGION.subgrid(slice(0, 9), slice(0, 8)),
         Grid.regional([50.2, 51.9, 53.5], [355.1, 356.4, 358.9])),
    ],
)  # fmt: skip
def test_conservative_equals_a_loop_over_all_pairs_of_cells(grid, target):
    fields = random_fields(grid, 1, 1)
    expected, covered = brute_force(fields[0, ..., 0], grid, target)
    regridder = Regridder(grid, target)
    np.testing.assert_allclose(regridder.covered, covered, atol=1e-9)
    np.testing.assert_allclose(regridder(fields)[0, ..., 0], expected, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(grid=spheres(), target=spheres(), seed=st.integers(0, 99))
def test_conservative_keeps_the_integral_over_the_sphere(grid, target, seed):
    fields = 1 + random_fields(grid, 1, 2, seed)
    found = Regridder(grid, target)(fields).astype(np.float64)
    before, after = (
        np.tensordot(cell_areas(g), f[0], 2) for g, f in ((grid, fields), (target, found))
    )
    np.testing.assert_allclose(after, before, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2, 3])
def test_conservative_to_blocks_equals_coarsening(kind, scale):
    grid = sphere(kind, 24)
    # On a Gaussian grid the edges between blocks lie only nearly between the blocks' centres.
    tolerance = 2e-2 if kind == "gaussian" else 1e-6
    coarse = coarsen_grid(grid, scale)
    fields = random_fields(grid)
    found = Regridder(grid, coarse)(fields)
    np.testing.assert_allclose(found, block_mean(fields, grid, scale), atol=tolerance)


@pytest.mark.parametrize(
    ("method", "name", "latitudes", "error"),
    [
        ("bilinear", "linear", np.arange(35, 56, 2.0), 2e-6),
        ("conservative", "conservative", np.arange(30, 61, 0.75), 2e-6),
        # The library weights rows by the cosine of their middle, not by the areas themselves.
        ("conservative", "conservative", np.arange(35, 56, 2.0), 1e-3),
    ],
)
def test_equals_xarray_regrid(method, name, latitudes, error):
    pytest.importorskip("xarray_regrid")  # gives arrays the attribute `regrid`
    grid = Grid.regional(np.arange(30, 61, 0.75), np.arange(-20, 21, 0.75))
    target = Grid.regional(latitudes, np.arange(-14, 15, 3.0))
    fields = random_fields(grid, 2, 1)
    data = to_dataset(ArraySource(fields, channels=["x"], grid=grid))["x"]
    wanted = xr.Dataset(coords={"latitude": target.latitudes, "longitude": target.longitudes})
    options = {"latitude_coord": "latitude"} if name == "conservative" else {}
    expected = getattr(data.regrid, name)(wanted, **options).transpose("time", ...)
    found = Regridder(grid, target, method)(fields)[..., 0]
    np.testing.assert_allclose(found, expected.values, atol=error)


def test_bilinear_and_nearest_equal_scipy_inside_a_region():
    target = Grid.regional([56.13, 49.7, 41.21], [-7.3, 0.2, 11.6])
    fields = random_fields(REGION, 1, 1)
    for method, name in (("bilinear", "linear"), ("nearest", "nearest")):
        axes = (REGION.latitudes[::-1], REGION.longitudes)
        exact = scipy.interpolate.RegularGridInterpolator(axes, fields[0, ::-1, :, 0], name)
        places = np.stack(np.meshgrid(target.latitudes, target.longitudes, indexing="ij"), -1)
        found = Regridder(REGION, target, method)(fields)[0, ..., 0]
        np.testing.assert_allclose(found, exact(places), atol=1e-6)


@pytest.mark.parametrize(("method", "error"), [("bilinear", 2e-3), ("bicubic", 5e-5)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_field_linear_in_space_is_met_around_the_sphere_and_at_the_poles(method, error, kind):
    def linear(grid):
        latitude, longitude = np.deg2rad(grid.latitudes)[:, None], np.deg2rad(grid.longitudes)
        x, y = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude)
        return 1 + 2 * x - y + 3 * np.broadcast_to(np.sin(latitude), x.shape)

    grid, target = sphere(kind, 90), sphere("cell-centred", 131, west=-170.7)
    found = Regridder(grid, target, method)(linear(grid)[None, ..., None])[0, ..., 0]
    # Two degrees of spacing: h²/8 of the second derivatives, of which there are two.
    np.testing.assert_allclose(found, linear(target), atol=error)


@pytest.mark.parametrize("method", METHODS)
def test_longitudes_of_any_turn_are_one_grid(method):
    west = sphere("gaussian", 12, west=-180)
    fields = random_fields(west, 1)
    east = Grid("gaussian", west.latitudes, sphere("gaussian", 12).longitudes)
    turned = np.roll(fields, 12, axis=2)
    target = sphere("pole-to-pole", 15, west=3.3)
    np.testing.assert_allclose(
        Regridder(west, target, method)(fields),
        Regridder(east, target, method)(turned),
        atol=1e-5,
    )
    np.testing.assert_allclose(Regridder(west, east, method)(fields), turned, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_missing_values_have_no_weight(method):
    grid, target = REGION, Grid.regional([54.3, 50.1, 46.6], [-4.6, 0.3, 5.4])
    fields = np.full((1, *grid.shape, 1), 7.0, np.float32)
    random = np.random.default_rng(1)
    fields[0, random.random(grid.shape) < 0.3] = np.nan
    fields[0, 3, 3] = np.inf
    found = Regridder(grid, target, method, least_valid=0)(fields)
    assert np.isfinite(found).sum() >= 5
    np.testing.assert_allclose(found[np.isfinite(found)], 7, rtol=1e-6)


def test_the_least_valid_share_decides():
    grid = Grid.regional([1.5, 0.5], [0.5, 1.5, 2.5, 3.5])
    target = Grid.regional([1.5, 0.5], [1.0, 3.0])
    fields = np.array([[1, np.nan, 4, 8], [np.nan, np.nan, 4, 8.0]])[None, ..., None]
    found = Regridder(grid, target)(fields)[0, ..., 0]
    np.testing.assert_allclose(found, [[1, 6], [np.nan, 6]])
    found = Regridder(grid, target, least_valid=0.6)(fields)[0, ..., 0]
    np.testing.assert_allclose(found, [[np.nan, 6], [np.nan, 6]])


@pytest.mark.parametrize("method", METHODS)
def test_places_outside_are_missing_and_counted(method):
    target = Grid.regional([58.4, 58.6, 50], [-9, -8.4, 0, 12.4, 13])
    fields = random_fields(REGION, 1)
    inside = np.isfinite(Regridder(REGION, target, method)(fields)[0, ..., 0])
    if method != "conservative":
        np.testing.assert_array_equal(inside, np.outer([1, 0, 1], [0, 1, 1, 1, 0]) > 0)
        beyond = Regridder(REGION, target, method, extrapolate=True)(fields)
        assert np.isfinite(beyond).all()
    assert inside[2, 2]
    assert not inside[1, 0]


def test_a_source_is_regridded_member_by_member_in_any_order():
    target = Grid.regional([55, 50], [-3, 0, 3])
    members = [ArraySource(random_fields(REGION, 5, 2, seed), grid=REGION) for seed in (0, 1)]
    one = RegriddedSource(members[0], target)
    expected = Regridder(REGION, target)(members[0].fields)
    np.testing.assert_array_equal(one.read([3, 0]), expected[[3, 0]])
    both = RegriddedSource(EnsembleSource(members), target)
    assert both.members == 2
    read = both.read_members(slice(1, 4))
    assert read.shape == (3, 2, 2, 3, 2)
    np.testing.assert_array_equal(read[:, 0], expected[1:4])
    np.testing.assert_allclose(both.read(slice(1, 4)), read.mean(1))
    np.testing.assert_array_equal(both.read_members(slice(1, 4), slice(1, 2)), read[:, 1:])


def test_what_does_not_fit_is_refused():
    far = Grid.regional([-30, -31], [100, 101])
    for method in METHODS:
        with pytest.raises(InputError, match="do not overlap"):
            Regridder(REGION, far, method)
    with pytest.raises(InputError, match="needs coordinates"):
        Regridder(Grid.pixels(3, 4), far)
    with pytest.raises(InputError, match="least_valid"):
        Regridder(REGION, REGION, least_valid=2)
    with pytest.raises(InputError, match="conservative, bilinear"):
        Regridder(REGION, REGION, "cubic")


REALDATA = Path(os.environ.get("PHIRE_REALDATA", "/nonexistent"))
real = pytest.mark.skipif(not REALDATA.is_dir(), reason="PHIRE_REALDATA names no folder")


@real
def test_real_orography_and_forecasts(tmp_path):
    regrid(REALDATA / "static_era5_orog_025.nc", tmp_path / "one.h5", grid="degrees:1")
    with open_source(REALDATA / "arome_msl_NW_2018-05-01.grib") as arome:
        found = RegriddedSource(
            arome, open_source(REALDATA / "arpege_msl_NW_2018-05-01.grib").grid
        ).read([6])[0, ..., 0]
    with open_source(REALDATA / "arpege_msl_NW_2018-05-01.grib") as arpege:
        other = arpege.read([6])[0, ..., 0]
    both = np.isfinite(found)
    assert both.mean() > 0.95
    # Two models' forecasts of pressure: within 2 hPa of each other, and of one pattern.
    assert np.abs(found - other)[both].max() < 200
    assert np.corrcoef(found[both], other[both])[0, 1] > 0.98
    with open_source(tmp_path / "one.h5") as made:
        field = made.read([0])[0, ..., 0].astype(np.float64)
        mean = np.average(field, weights=np.broadcast_to(cell_areas(made.grid), field.shape))
    data = xr.open_dataset(REALDATA / "static_era5_orog_025.nc")["orog"]
    weights = cell_areas(Grid.from_coordinates(data.lat, data.lon))
    assert mean == pytest.approx(np.average(data.values, weights=weights), rel=1e-6)


@pytest.mark.slow
def test_workers_write_the_same_file(tmp_path):
    source = tmp_path / "fine.nc"
    random = np.random.default_rng(0)
    values = random.normal(size=(30, 20, 40)).astype("f4")
    values[random.random(values.shape) < 0.1] = np.nan
    axes = {
        "time": np.datetime64("2000-01-01") + np.arange(30) * np.timedelta64(6, "h"),
        "latitude": np.arange(59.5, 39.5, -1.0),
        "longitude": np.arange(0.5, 40.5),
    }
    dims = ("time", "latitude", "longitude")
    xr.Dataset({"t": (dims, values, {"units": "K"})}, axes).to_netcdf(source)
    for name, workers in (("alone", None), ("spread", 2)):
        regrid(source, tmp_path / f"{name}.nc", grid="degrees:2", workers=workers)
    with (
        xr.open_dataset(tmp_path / "alone.nc") as alone,
        xr.open_dataset(tmp_path / "spread.nc") as spread,
    ):
        assert np.isfinite(alone["t"]).any()
        xr.testing.assert_equal(alone, spread)
