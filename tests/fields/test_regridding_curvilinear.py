"""Regridding from and to projected, rotated and curvilinear grids."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyproj
import pytest
import scipy.spatial

from phire.errors import InputError
from phire.fields.coarsening import block_mean, coarsen_grid
from phire.fields.conservative_maps import cell_areas, conservative_map, overlap_map
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.great_circle import unit_vectors
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.grid_specification import target_grid
from phire.fields.opening import open_source
from phire.fields.regridding import METHODS, RegriddedSource, Regridder
from spheres import sphere

CONIC = f"+proj=lcc +lat_1=45 +lat_2=52 +lat_0=48 +lon_0=8 +R={EARTH_RADIUS}"


def rotated():
    crs = pyproj.CRS.from_cf(
        {
            "grid_mapping_name": "rotated_latitude_longitude",
            "grid_north_pole_latitude": 39.25,
            "grid_north_pole_longitude": -162.0,
            "earth_radius": EARTH_RADIUS,
        }
    )
    return CurvilinearGrid.projected(
        0.4 * np.arange(30, -30, -1.0) - 3, 0.4 * np.arange(-40, 21), crs
    )


def lambert():
    y, x = 25e3 * np.arange(24, -24, -1.0), 25e3 * np.arange(-30, 31)
    return CurvilinearGrid.projected(y, x, CONIC)


def stated():
    return CurvilinearGrid.of_points(*lambert().points())


GRIDS = {"rotated": rotated, "lambert": lambert, "stated": stated}
MIDDLE = Grid.regional(np.arange(52, 44, -0.31), np.arange(5, 12, 0.29))


@pytest.fixture(params=GRIDS)
def grid(request):
    return GRIDS[request.param]()


def linear(grid: Grid) -> np.ndarray:
    """(1, H, W, 1) field that is linear in space."""
    x, y, z = np.moveaxis(unit_vectors(*grid.points()), -1, 0)
    return (100 + 200 * x - 100 * y + 300 * z)[None, ..., None]


@pytest.mark.parametrize(
    ("method", "error"), [("bilinear", 5e-3), ("bicubic", 2e-4), ("conservative", 0.5)]
)
def test_a_field_linear_in_space_from_and_to(grid, method, error):
    # Spacings of 25 to 45 km: h²/8 of the second derivatives.
    found = Regridder(grid, MIDDLE, method)(linear(grid))
    np.testing.assert_allclose(found, linear(MIDDLE), atol=error)
    source = Grid.regional(np.arange(70, 20, -0.3), np.arange(-40, 50, 0.3))
    found = Regridder(source, grid, method)(linear(source))
    np.testing.assert_allclose(found, linear(grid), atol=error)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_between_two_projections(method):
    inner = lambert().subgrid(slice(8, 40), slice(10, 50))
    found = Regridder(rotated(), inner, method)(linear(rotated()))
    np.testing.assert_allclose(found, linear(inner), atol=0.01)


def test_nearest_is_the_nearest_on_the_sphere(grid):
    fields = np.random.default_rng(0).normal(size=(1, *grid.shape, 1))
    tree = scipy.spatial.cKDTree(unit_vectors(*grid.points()).reshape(-1, 3))
    index = tree.query(unit_vectors(*MIDDLE.points()))[1]
    found = Regridder(grid, MIDDLE, "nearest")(fields)[0, ..., 0]
    # Half way between points the projection and the sphere may differ.
    assert np.isclose(found, fields.reshape(-1)[index]).mean() > 0.98


def test_the_poles_and_the_whole_circle():
    polar = CurvilinearGrid.projected(
        50e3 * np.arange(60, -61, -1.0), 50e3 * np.arange(-60, 61),
        f"+proj=stere +lat_0=90 +lat_ts=70 +R={EARTH_RADIUS}",
    )  # fmt: skip
    target = target_grid("degrees:2", polar)
    assert (target.latitudes[0], target.wraps) == (90, True)
    for method, error in (("bilinear", 0.02), ("conservative", 3)):
        found = Regridder(polar, target, method)(linear(polar))
        # A mean over a cell at the pole, narrow and long, is not the value at its point.
        inside = (target.latitudes > 66) & ((target.latitudes < 90) | (method == "bilinear"))
        np.testing.assert_allclose(found[:, inside], linear(target)[:, inside], atol=error)
    source = sphere("gaussian", 90, west=-180)
    found = Regridder(source, polar, "bicubic")(linear(source))
    np.testing.assert_allclose(found, linear(polar), atol=0.05)


def test_overlaps_of_cells_are_the_shared_areas_between_latitudes_and_longitudes():
    grid, target = sphere("gaussian", 40, west=-180), sphere("pole-to-pole", 23, west=3)
    exact, general = conservative_map(grid, target), overlap_map(grid, target)
    fields = np.random.default_rng(0).normal(size=(1, *grid.shape, 1))
    np.testing.assert_allclose(general[0](fields), exact[0](fields), atol=2e-4)
    np.testing.assert_allclose(general[1], 1, atol=1e-6)


def test_conservative_keeps_the_integral_of_a_bump(grid):
    # A bump well inside the target: what the source holds arrives.
    far = np.linalg.norm(unit_vectors(*grid.points()) - unit_vectors(48.0, 8.5), axis=-1)
    fields = np.exp(-((far / 0.015) ** 2))[None, ..., None]
    target = Grid.regional(np.arange(53, 43, -0.5), np.arange(2, 15, 0.5))
    found = np.nan_to_num(Regridder(grid, target)(fields))
    before, after = (
        float((f[0, ..., 0] * cell_areas(g)).sum()) for g, f in ((grid, fields), (target, found))
    )
    assert after == pytest.approx(before, rel=1e-6)
    ones = Regridder(grid, target)(np.ones((1, *grid.shape, 1)))
    np.testing.assert_allclose(ones[np.isfinite(ones)], 1, rtol=1e-6)


def test_blocks_of_a_projected_grid_are_its_coarse_grid(grid):
    grid = grid.subgrid(slice(0, 44), slice(0, 60))
    coarse = coarsen_grid(grid, 4)
    fields = np.random.default_rng(0).normal(size=(2, *grid.shape, 2)).astype("f4")
    found = Regridder(grid, coarse)(fields)
    # All points of a block weigh alike there; their areas differ by some 1e-3.
    np.testing.assert_allclose(found, block_mean(fields, grid, 4), atol=5e-3)


@pytest.mark.parametrize("method", METHODS)
def test_missing_values_have_no_weight(grid, method):
    fields = linear(grid).copy()
    fields[:, :, :30] = np.nan
    found = Regridder(grid, MIDDLE, method)(fields)[0, ..., 0]
    row, column = grid.row_column(*MIDDLE.points())
    inside = (row > 1) & (row < grid.shape[0] - 2) & (column < grid.shape[1] - 2)
    assert np.isnan(found[column < 28]).all()
    assert np.isfinite(found[inside & (column > 31)]).all()
    known = np.isfinite(found)
    np.testing.assert_allclose(found[known], linear(MIDDLE)[0, ..., 0][known], atol=3)


def test_places_outside_are_not_covered(grid):
    wide = Grid.regional([80, 60, 48.0, 20], [8.0, 60, 120])
    covered = Regridder(grid, wide, "bilinear").covered > 0
    assert covered[2, 0]
    assert not covered[[0, 3]].any()
    assert not covered[:, 1:].any()


def test_what_does_not_fit_is_refused():
    far = Grid.regional([-30, -31], [100, 101])
    plane = CurvilinearGrid.projected([2e3, 1e3], [0, 1e3], "")
    for method in METHODS:
        with pytest.raises(InputError, match="do not overlap"):
            Regridder(lambert(), far, method)
        with pytest.raises(InputError, match="do not overlap"):
            Regridder(far, lambert(), method)
    with pytest.raises(InputError, match="must state its projection"):
        Regridder(plane, MIDDLE)
    with pytest.raises(InputError, match="times finer than the fields"):
        fine = CurvilinearGrid.projected(np.arange(20.0)[::-1], np.arange(20.0), CONIC)
        Regridder(sphere("gaussian", 8), fine)


REALDATA = Path(os.environ.get("PHIRE_REALDATA", "/nonexistent"))
real = pytest.mark.skipif(not REALDATA.is_dir(), reason="PHIRE_REALDATA names no folder")


@real
def test_a_radar_with_missing_points_keeps_the_integral_of_its_rain():
    """Means over the valid shares of cells times these shares: the rain of all valid points."""
    with open_source(REALDATA / "radar_mch_2016-07-11_5min.nc") as radar:
        target = target_grid("degrees:0.1", radar.grid)
        rain = radar.read([20])
        found = RegriddedSource(radar, target, least_valid=0.0).read([20])[0, ..., 0]
        valid = np.isfinite(rain).astype("f8")
        regridder = Regridder(radar.grid, target, least_valid=0.0)
        share = regridder.covered * regridder(valid)[0, ..., 0]
        assert 0.25 < 1 - valid.mean() < 0.35
    total = (np.nan_to_num(rain[0, ..., 0]).astype("f8") * cell_areas(radar.grid)).sum()
    known = np.isfinite(found)
    kept = (found * share * cell_areas(target))[known].sum()
    assert kept == pytest.approx(total, rel=1e-5)
    # Cells that hold valid points alone have the plain mean.
    whole = known & (share > 1 - 1e-6)
    plain = Regridder(radar.grid, target)(np.nan_to_num(rain))[0, ..., 0]
    np.testing.assert_allclose(found[whole], plain[whole], rtol=1e-5, atol=1e-6)
    assert whole.sum() > 1000
