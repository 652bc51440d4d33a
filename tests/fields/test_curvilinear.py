"""Projected, rotated and curvilinear grids against closed forms, and through files."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields.coarsening import block_mean, coarsen_grid, refine_grid
from phire.fields.curvilinear import CurvilinearGrid, grid_from_dict
from phire.fields.dataset import DatasetSource
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.opening import grid_of_file, open_source
from phire.fields.source import to_dataset
from phire.fields.source_writing import write_source

POLE = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 39.25,
    "grid_north_pole_longitude": -162.0,
    "earth_radius": EARTH_RADIUS,
}
LAMBERT = {
    "grid_mapping_name": "lambert_conformal_conic",
    "standard_parallel": [38.5, 45.0],
    "longitude_of_central_meridian": -97.5,
    "latitude_of_projection_origin": 38.5,
    "earth_radius": EARTH_RADIUS,
}


ROTATED_CRS, LAMBERT_CRS = (pyproj.CRS.from_cf(mapping) for mapping in (POLE, LAMBERT))


def rotated(step=0.5, rows=25, columns=31):
    return CurvilinearGrid.projected(
        step * (np.arange(rows)[::-1] - 7), step * np.arange(columns) - 4, ROTATED_CRS
    )


def lambert(step=12e3, rows=60, columns=80):
    y, x = step * (np.arange(rows)[::-1] - 25), step * (np.arange(columns) - 30)
    return CurvilinearGrid.projected(y, x, LAMBERT_CRS)


def stated():
    """The points of the Lambert grid, without its projection."""
    return CurvilinearGrid.of_points(*lambert().points())


GRIDS = {"rotated": rotated, "lambert": lambert, "stated": stated}


@pytest.fixture(params=GRIDS)
def grid(request):
    return GRIDS[request.param]()


def test_points_of_a_rotated_grid_are_the_rotation_of_the_sphere():
    grid = rotated()
    latitude, longitude = np.deg2rad(np.meshgrid(grid.y, grid.x, indexing="ij"))
    pole = np.deg2rad(POLE["grid_north_pole_latitude"])
    # The rotated pole lies at longitude λp: the rotated meridian 0 runs through λp + 180°.
    sine = np.sin(latitude) * np.sin(pole) + np.cos(latitude) * np.cos(longitude) * np.cos(pole)
    east = np.arctan2(
        np.cos(latitude) * np.sin(longitude),
        np.sin(pole) * np.cos(latitude) * np.cos(longitude) - np.cos(pole) * np.sin(latitude),
    )
    found = grid.points()
    np.testing.assert_allclose(found[0], np.rad2deg(np.arcsin(sine)), atol=1e-9)
    np.testing.assert_allclose(found[1], 18 + np.rad2deg(east), atol=1e-9)


def test_areas_of_a_rotated_grid_sum_to_those_of_its_box():
    grid = rotated()
    south, north = np.deg2rad([grid.y[-1] - 0.25, grid.y[0] + 0.25])
    width = np.deg2rad(grid.x[-1] - grid.x[0] + 0.5)
    exact = EARTH_RADIUS**2 * width * (np.sin(north) - np.sin(south))
    assert grid.cell_areas().sum() == pytest.approx(exact, rel=1e-5)


def test_areas_of_a_lambert_grid_are_those_of_the_plane_over_the_areal_scale():
    grid = lambert()
    latitudes, longitudes = grid.points()
    scale = pyproj.Proj(grid.crs).get_factors(longitudes, latitudes).areal_scale
    exact = 12e3**2 / scale
    np.testing.assert_allclose(grid.cell_areas(), exact, rtol=2e-5)
    assert grid.cell_areas().sum() == pytest.approx(exact.sum(), rel=1e-5)
    # Corners from the points alone: half way between them, and outward at the edges.
    np.testing.assert_allclose(stated().cell_areas(), exact, rtol=2e-3)
    assert stated().cell_areas().sum() == pytest.approx(exact.sum(), rel=1e-4)


def test_weights_are_the_areas_and_add_up_by_blocks(grid):
    weights = grid.area_weights()
    assert weights.mean() == pytest.approx(1)
    np.testing.assert_allclose(weights, grid.cell_areas() / grid.cell_areas().mean())
    scale = 3
    rows, columns = (size - size % scale for size in grid.shape)
    fields = np.random.default_rng(0).normal(size=(2, *grid.shape, 2)).astype("f4")
    areas = grid.cell_areas()[:rows, :columns]
    wanted = [
        [
            np.average(
                fields[:, i : i + scale, j : j + scale].reshape(2, -1, 2), axis=1,
                weights=areas[i : i + scale, j : j + scale].ravel(),
            )
            for j in range(0, columns, scale)
        ]
        for i in range(0, rows, scale)
    ]  # fmt: skip
    found = block_mean(fields, grid, scale)
    np.testing.assert_allclose(found, np.moveaxis(wanted, 2, 0), atol=1e-6)


def test_a_box_in_degrees_is_the_smallest_window_around_its_points(grid):
    latitude, longitude = grid.points()
    north, south = np.quantile(latitude, [0.7, 0.3])
    west, east = np.quantile(longitude, [0.3, 0.7])
    rows, columns = grid.window_between(south, north, west, east)
    inside = (latitude <= north) & (latitude >= south) & (longitude >= west) & (longitude <= east)
    assert inside[rows, columns].sum() == inside.sum() > 0
    for edge in (inside[rows][[0, -1]], inside[:, columns][:, [0, -1]].T):
        assert edge.any(1).all()
    with pytest.raises(InputError, match="no point of the "):
        grid.window_between(-80, -70, 0, 10)


def test_spacing_in_km():
    assert rotated().spacing_km()[0] == pytest.approx(np.deg2rad(0.5) * EARTH_RADIUS / 1e3)
    np.testing.assert_allclose(lambert().spacing_km(), 12, rtol=0.01)
    plane = CurvilinearGrid.projected([3e3, 1e3], [0, 1e3, 2e3], "")
    assert plane.spacing_km() == (2, 1)


def test_steps_in_words_are_those_of_the_coordinates():
    assert lambert().describe().endswith("of 60 × 80 points, 12 × 12 km")
    assert rotated().describe().endswith("of 25 × 31 points, 0.5 × 0.5 degrees")
    assert stated().describe().startswith("curvilinear grid of 60 × 80 points, 12")


def test_rows_and_columns_of_places_invert_points(grid):
    rows, columns = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    found = grid.row_column(*grid.points())
    np.testing.assert_allclose(found, [rows, columns], atol=1e-6)
    # Between points, at the centres of the cells of corners.
    fine = refine_grid(grid, 2, "corner")
    latitudes, longitudes = (part[1:-1:2, 1:-1:2] for part in fine.points())
    found = grid.row_column(latitudes, longitudes + 360)
    np.testing.assert_allclose(found, np.array([rows, columns])[:, :-1, :-1] + 0.5, atol=2e-3)


def test_places_far_outside_have_rows_and_columns_outside(grid):
    rows, columns = grid.row_column(np.array([-60.0, 89.0, 0.0]), np.array([100.0, 60.0, 150.0]))
    outside = ~((rows >= -0.5) & (rows <= grid.shape[0] - 0.5))
    outside |= ~((columns >= -0.5) & (columns <= grid.shape[1] - 0.5))
    assert outside.all()


def test_coarse_and_fine_grids_invert_one_another(grid):
    grid = grid.subgrid(slice(0, 24), slice(0, 30))
    for alignment in ("cell", "corner"):
        fine = refine_grid(grid, 3, alignment)
        assert fine.shape == (72, 90)
        assert coarsen_grid(fine, 3, alignment).equals(grid)
        np.testing.assert_allclose(fine.spacing_km(), np.array(grid.spacing_km()) / 3, rtol=2e-2)
    assert coarsen_grid(grid.subgrid(slice(1, 24), slice(None)), 4).shape == (5, 7)


def test_equality_and_json(grid):
    assert grid_from_dict(json.loads(json.dumps(grid.to_dict()))).equals(grid)
    assert pickle.loads(pickle.dumps(grid)).equals(grid)
    assert grid.equals(grid.subgrid(slice(None), slice(None)))
    assert not grid.equals(grid.subgrid(slice(1, None), slice(None)))
    assert not grid.equals(Grid.pixels(*grid.shape))
    assert not Grid.pixels(*grid.shape).equals(grid)
    assert lambert().equals(stated())
    assert not lambert().equals(lambert(step=12.1e3))
    assert grid_from_dict(Grid.pixels(2, 3).to_dict()).equals(Grid.pixels(2, 3))


def write(path, grid, mapping, **options):
    """A file with rows from the south, as a regional model writes it; values are latitudes."""
    attributes = grid.axis_attributes()
    names = options.get("names", ("y", "x"))
    factor = options.get("factor", 1.0)
    values = np.stack([grid.points()[0][::-1]] * 3).astype("f4")
    coordinates = {"time": pd.date_range("2001-01-01", periods=3)}
    for name, axis, attribute in zip(names, (grid.y[::-1], grid.x), attributes):
        coordinates[name] = (name, axis / factor, attribute | options.get("units", {}))
    data = xr.Dataset({"t": (("time", *names), values, {"units": "K"})}, coordinates)
    if mapping:
        data["t"].attrs["grid_mapping"] = "projection"
        data["projection"] = ((), 0, mapping)
    data.attrs = options.get("attributes", {})
    data.to_netcdf(path)
    return path


@pytest.mark.parametrize("suffix", ["h5", "nc", "zarr"])
@pytest.mark.parametrize(("make", "mapping"), [(rotated, POLE), (lambert, LAMBERT)])
def test_a_model_file_passes_through_every_format(tmp_path, suffix, make, mapping):
    names = ("rlat", "rlon") if make is rotated else ("y", "x")
    path = write(tmp_path / "model.nc", make(), mapping, names=names)
    with open_source(path) as source:
        assert source.grid.equals(make())
        latitudes = source.grid.points()[0]
        np.testing.assert_allclose(source.read([1])[0, ..., 0], latitudes, rtol=1e-6)
        write_source(source, tmp_path / f"out.{suffix}")
    with open_source(tmp_path / f"out.{suffix}") as made:
        assert made.grid.equals(make())
        assert made.grid.projection
        np.testing.assert_allclose(made.read([2])[0, ..., 0], latitudes, rtol=1e-6)
    engine = {"h5": "h5netcdf", "nc": "netcdf4", "zarr": "zarr"}[suffix]
    with xr.open_dataset(tmp_path / f"out.{suffix}", engine=engine, decode_coords="all") as data:
        name = "data" if suffix == "h5" else "t"
        assert {"latitude", "longitude", "crs"} <= set(data[name].coords)
        np.testing.assert_allclose(data.latitude, latitudes)
        assert data.crs.attrs["grid_mapping_name"] == mapping["grid_mapping_name"]
        standard = ("grid_latitude", "projection_y_coordinate")[make is lambert]
        assert data.y.attrs["standard_name"] == standard


@pytest.mark.parametrize("suffix", ["h5", "nc", "zarr"])
def test_points_without_a_projection_pass_through_every_format(tmp_path, suffix):
    grid = stated()
    latitudes, longitudes = grid.points()
    fields = np.stack([latitudes] * 2).astype("f4")
    # As variables, not named in an attribute `coordinates`; the rows go northward.
    data = xr.Dataset(
        {
            "t": (("time", "south_north", "west_east"), fields[:, ::-1]),
            "lat": (("south_north", "west_east"), latitudes[::-1]),
            "lon": (("south_north", "west_east"), longitudes[::-1]),
        },
        {"time": pd.date_range("2001-01-01", periods=2)},
    )
    source = DatasetSource(data)
    assert source.channels == ("t",)
    assert source.grid.equals(grid)
    np.testing.assert_array_equal(source.read([0])[0, ..., 0], fields[0])
    write_source(source, tmp_path / f"out.{suffix}")
    assert grid_of_file(tmp_path / f"out.{suffix}").equals(grid)


def test_kilometres_and_proj_text_of_the_file(tmp_path):
    text = f"+proj=lcc +lat_1=38.5 +lat_2=45 +lat_0=38.5 +lon_0=-97.5 +R={EARTH_RADIUS}"
    path = write(tmp_path / "a.nc", lambert(), None, factor=1e3, units={"units": "km"},
                 attributes={"proj4": text})  # fmt: skip
    assert grid_of_file(path).equals(lambert())
    write(tmp_path / "b.nc", lambert(), None, factor=1e3, units={"units": "km"})
    grid = open_source(tmp_path / "b.nc").grid
    assert grid.spacing_km() == pytest.approx((12, 12))
    assert "of unknown projection" in grid.describe()
    with pytest.raises(InputError, match="must state its projection"):
        grid.points()
    with pytest.raises(InputError, match=r"b\.nc has no grid"):
        grid_of_file(tmp_path / "b.nc")


def test_mistakes_are_named(tmp_path):
    with pytest.raises(InputError, match=r"rows of equal latitude.*phire regrid"):
        lambert().require_coordinates("a zonal spectrum")
    with pytest.raises(InputError, match="pyproj does not read the projection"):
        CurvilinearGrid.projected([1, 0], [0, 1], "+proj=nonsense")
    with pytest.raises(InputError, match="not monotonic"):
        CurvilinearGrid.projected([1, 2, 0], [0, 1], "")
    with pytest.raises(InputError, match="not finite"):
        CurvilinearGrid.of_points(np.full((2, 2), np.nan), np.zeros((2, 2)))
    with pytest.raises(InputError, match="beyond the poles"):
        CurvilinearGrid.of_points(np.full((2, 2), 95), np.zeros((2, 2)))
    data = xr.open_dataset(write(tmp_path / "a.nc", lambert(), LAMBERT)).drop_vars("projection")
    with pytest.raises(InputError, match="'projection', which the file does not have"):
        DatasetSource(data)


REALDATA = Path(os.environ.get("PHIRE_REALDATA", "/nonexistent"))
real = pytest.mark.skipif(not REALDATA.is_dir(), reason="PHIRE_REALDATA names no folder")


@real
def test_swiss_radar_has_bern_where_it_is():
    with open_source(REALDATA / "radar_mch_2016-07-11_5min.nc") as radar:
        grid = radar.grid
        coordinates = to_dataset(radar, [0])
    # The old observatory is the origin of the Swiss coordinates (600 km, 200 km).
    row, column = grid.row_column(46.951083, 7.438639)
    assert grid.x[0] + column * 1e3 == pytest.approx(6e5, abs=200)
    assert grid.y[0] - row * 1e3 == pytest.approx(2e5, abs=200)
    assert grid.cell_areas().mean() == pytest.approx(1e6, rel=5e-3)
    assert coordinates.precip.attrs["grid_mapping"] == "crs"
