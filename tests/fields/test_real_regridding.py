"""Regridding of real files between the grids of reanalyses, analyses, radars and models."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.interpolate
import xarray as xr

from phire.fields import block_mean, coarsen_grid, convert, open_source, open_store
from phire.fields.conservative_maps import cell_areas
from phire.fields.grid import Grid
from phire.fields.opening import grid_of_file
from phire.fields.regridding import RegriddedSource, Regridder

REALDATA = Path(os.environ.get("PHIRE_REALDATA", "/nonexistent"))
pytestmark = pytest.mark.skipif(not REALDATA.is_dir(), reason="PHIRE_REALDATA names no folder")

E_OBS = REALDATA / "iberia_fine_eobs050_djf1983-2002.nc"
NCEP = REALDATA / "iberia_coarse_ncep25_djf1983-2002.nc"
GAUSSIAN = REALDATA / "iberia_coarse_ncep_t62_djf1983-2002.nc"


def test_reanalyses_of_two_grids_and_e_obs_in_one_store_on_its_grid(tmp_path):
    """Temperature of NCEP's Gaussian grid is E-OBS's, but for its coarse orography."""
    convert(
        [f"{E_OBS}:tas,pr", f"{NCEP}:ta850", f"{GAUSSIAN}:coarse=tas"], tmp_path / "a.h5",
        like=E_OBS, method="bilinear", time="1990-01-01,1990-02-01",
        static=[f"{E_OBS}:orog,lsm"],
    )  # fmt: skip
    with open_store(tmp_path / "a.h5") as store:
        assert store.channels == ("tas", "pr", "ta850", "coarse")
        assert len(store.time) == 31
        assert store.grid.equals(grid_of_file(E_OBS))
        grid, fields = store.grid, store.read(slice(None)).astype("f8")
    with xr.open_dataset(NCEP) as data:
        field = data["ta850"].sel(time="1990-01-11").squeeze()
        exact = scipy.interpolate.RegularGridInterpolator((field.lat, field.lon), field.values)
    inside = grid.longitudes <= 5
    places = np.stack(np.meshgrid(grid.latitudes, grid.longitudes[inside], indexing="ij"), -1)
    np.testing.assert_allclose(fields[10][:, inside, 2], exact(places), atol=1e-3)
    # Day by day, the means over land go together.
    land = np.isfinite(fields[..., 0]).all(0) & np.isfinite(fields[..., 3]).all(0)
    series = fields[:, land][..., [0, 3]].mean(1)
    assert np.corrcoef(series.T)[0, 1] > 0.9


def test_hours_of_a_radar_of_a_hundredth_of_a_degree_keep_their_rain():
    file = REALDATA / "radar_mrms_qpe1h_2016-09-20_22_hourly.nc"
    with open_source(file) as radar:
        fields = np.nan_to_num(radar.read([30, 40]))
        coarse = coarsen_grid(radar.grid, 16)
        found = Regridder(radar.grid, coarse)(fields)
        # Conservative to the grid of blocks equals the area-weighted block means.
        np.testing.assert_allclose(found, block_mean(fields, radar.grid, 16), rtol=1e-4, atol=1e-4)
        before = np.tensordot(fields[..., 0].astype("f8"), cell_areas(radar.grid), 2)
    after = np.tensordot(found[..., 0].astype("f8"), cell_areas(coarse), 2)
    np.testing.assert_allclose(after, before, rtol=1e-5)


def test_arome_on_the_points_of_arpege():
    """Every fourth point of AROME lies on ARPEGE's, where interpolation gives its very value."""
    arome = REALDATA / "arome_msl_NW_2018-05-01.grib"
    target = grid_of_file(REALDATA / "arpege_msl_NW_2018-05-01.grib").subgrid(
        slice(0, 57), slice(0, 79)
    )
    with open_source(arome) as source:
        exact = source.read([3])[:, ::4, ::4]
        for method in ("nearest", "bilinear"):
            found = RegriddedSource(source, target, method).read([3])
            np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_the_radar_of_switzerland_on_another_projection_and_back():
    """Rain of a smooth field survives the way through another projection."""
    from phire.fields.curvilinear import CurvilinearGrid

    with open_source(REALDATA / "radar_mch_2016-07-11_5min.nc") as radar:
        # 4 km means of a window, smooth enough for another grid of 4 km.
        window = slice(200, 400), slice(250, 450)
        grid = radar.grid.subgrid(*window)
        rain = np.nan_to_num(radar.read([20])[:, window[0], window[1]])
    coarse = coarsen_grid(grid, 4)
    field = block_mean(rain, grid, 4)
    latitude, longitude = coarse.points()
    lambert = f"+proj=lcc +lat_1=47 +lat_0=47 +lon_0={longitude.mean():.2f} +R=6371200"
    axis = 4e3 * (np.arange(80) - 39.5)
    y0, x0 = (
        CurvilinearGrid.projected([0.0], [0.0], lambert).coordinates(
            longitude.mean(), latitude.mean()
        )[i]
        for i in (1, 0)
    )
    other = CurvilinearGrid.projected(y0 + axis[::-1], x0 + axis, lambert)
    there = Regridder(coarse, other, least_valid=0.9)(field)
    total = (field[0, ..., 0] * cell_areas(coarse)).sum()
    assert np.nansum(there[0, ..., 0] * cell_areas(other)) == pytest.approx(total, rel=0.02)
    back = Regridder(other, coarse, "bilinear")(np.nan_to_num(there))
    assert np.corrcoef(back.ravel(), field.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    "name, region",
    [
        ("radar_knmi_2010-08-26_5min.nc", (53.0, 4.0, 51.0, 7.0)),
        ("radar_mch_2016-07-11_5min.nc", (47.5, 7.0, 46.0, 9.0)),
    ],
)
def test_the_region_of_a_radar_is_the_smallest_window_that_holds_it(tmp_path, name, region):
    north, west, south, east = region
    convert(REALDATA / name, tmp_path / "cut.h5", region=region, static_derived=["latitude"])
    with open_source(REALDATA / name) as whole, open_store(tmp_path / "cut.h5") as cut:
        latitude, longitude = whole.grid.points()
        near = 1e-3  # bounds are included
        inside = (latitude >= south - near) & (latitude <= north + near)
        inside &= (longitude >= west - near) & (longitude <= east + near)
        rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        np.testing.assert_array_equal(cut.read([7])[0], whole.read([7])[0][window])
        np.testing.assert_allclose(cut.grid.points()[0], latitude[window], atol=1e-9)
        assert cut.grid.projection_name == whole.grid.projection_name


@pytest.mark.parametrize(
    ("file", "degrees"),
    [("radar_knmi_2010-08-26_5min.nc", 0.1), ("radar_mch_2016-07-11_5min.nc", 0.1)],
)
def test_projected_radars_keep_the_integral_of_rain_within(file, degrees):
    with open_source(REALDATA / file) as radar:
        grid, rain = radar.grid, np.nan_to_num(radar.read([10]))
    latitude, longitude = grid.points()
    # What crosses the edges of the grids is not kept: a shower in the middle, which ends there.
    east = (longitude - longitude.mean()) * np.cos(np.deg2rad(latitude.mean()))
    within = np.hypot(latitude - latitude.mean(), east) < 1
    rain = np.where(within[None, ..., None], rain + 0.1, 0)
    target = Grid.regional(
        np.arange(latitude.max() - 0.3, latitude.min() + 0.3, -degrees),
        np.arange(longitude.min() + 0.3, longitude.max() - 0.3, degrees),
    )
    found = np.nan_to_num(Regridder(grid, target)(rain))
    before, after = (
        np.sum(f[0, ..., 0].astype("f8") * cell_areas(g))
        for g, f in ((grid, rain), (target, found))
    )
    assert after == pytest.approx(before, rel=1e-6)
