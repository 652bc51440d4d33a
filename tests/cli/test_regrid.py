"""``phire regrid`` as a user gives it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from phire.cli.phire import main
from phire.fields import open_store


def phire(*arguments, status=0):
    result = CliRunner().invoke(main, [str(part) for part in arguments])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def fine(tmp_path):
    """Two variables, one with levels, over nine days; temperature is the latitude."""
    latitudes, longitudes = np.arange(60, 39, -1.0), np.arange(-10, 11, 1.0)
    values = np.broadcast_to(latitudes[:, None], (9, 21, 21)).astype("f4")
    coordinates = {
        "time": pd.date_range("2001-01-01", periods=9),
        "level": [500, 850],
        "latitude": latitudes,
        "longitude": longitudes,
    }
    horizontal = ("latitude", "longitude")
    xr.Dataset(
        {
            "t": (("time", *horizontal), values, {"units": "K"}),
            "z": (("time", "level", *horizontal), np.stack([values, -values], 1)),
        },
        coordinates,
    ).to_netcdf(tmp_path / "fine.nc")
    return tmp_path / "fine.nc"


def test_a_grid_like_that_of_a_file_without_times(tmp_path, fine):
    # Longitudes in the other turn, rows from the south: the grid is the same region's.
    wanted = {"lat": [42.0, 47, 52], "lon": [355.0, 358, 361, 366], "x": [0]}
    units = {"lat": "degrees_north", "lon": "degrees_east"}
    like = xr.Dataset({"mask": (("lat", "lon"), np.ones((3, 4)))}, wanted)
    for name, unit in units.items():
        like[name].attrs["units"] = unit
    like.to_netcdf(tmp_path / "like.nc")
    command = ("regrid", fine, tmp_path / "a.h5", "--like", tmp_path / "like.nc",
               "--variables", "t", "--method", "bilinear",
               "--time", "2001-01-03,2001-01-06")  # fmt: skip
    said = phire(*command)
    assert "3 fields" in said
    with open_store(tmp_path / "a.h5") as store:
        assert (store.channels, store.units) == (("t",), ("K",))
        np.testing.assert_allclose(store.grid.latitudes, [52, 47, 42])
        expected = np.broadcast_to(np.array([52, 47, 42])[:, None], (3, 4))
        np.testing.assert_allclose(store.read([2])[0, ..., 0], expected, rtol=1e-6)
    said = phire(*command)
    assert "already made" in said


def test_words_level_and_points_outside(tmp_path, fine):
    output = tmp_path / "a.nc"
    said = phire("regrid", fine, output, "--grid", "degrees:2:64,-4,50,4", "--variables", "z",
                 "--level", "850", "--least-valid", "1")  # fmt: skip
    assert "10 of 40 points of the grid lie outside" in said
    with xr.open_dataset(output) as made:
        assert made.z.shape == (9, 8, 5)
        assert np.isnan(made.z[:, :3]).all()
        np.testing.assert_allclose(made.z[0, 3:, 0], [-58, -56, -54, -52, -50], atol=0.02)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--grid SPEC"),
        (("--grid", "degrees:1", "--like", "{fine}"), "--grid SPEC"),
        (("--grid", "hexagons:3", "--variables", "t"), "--grid hexagons:3"),
        (("--like", "{bare}", "--variables", "t"), "bare.nc has no grid"),
        (("--like", "{missing}", "--variables", "t"), "missing.nc does not exist"),
        (("--grid", "degrees:1:-10,50,-20,60", "--variables", "t"), "do not overlap"),
        (("--grid", "degrees:1", "--variables", "t", "--method", "cubic"), "--method"),
        (("--grid", "degrees:1", "--variables", "t", "--least-valid", "3"), "--least-valid 3"),
        (("--grid", "degrees:1", "--variables", "z"), "--level"),
        (("--grid", "degrees:1", "--variables", "t", "--time", "1990,1991"), "--time"),
    ],
)
def test_mistakes_get_one_sentence_and_leave_nothing(tmp_path, fine, options, said):
    xr.Dataset({"x": (("time", "y", "x"), np.ones((2, 3, 4)))}).to_netcdf(tmp_path / "bare.nc")
    before = sorted(tmp_path.iterdir())
    names = {"fine": fine, "bare": tmp_path / "bare.nc", "missing": tmp_path / "missing.nc"}
    options = [option.format(**names) for option in options]
    output = phire("regrid", fine, tmp_path / "a.h5", *options, status=2).splitlines()
    assert len(output) == 1
    assert said in output[0]
    assert sorted(tmp_path.iterdir()) == before
    assert "is one of the inputs" in phire("regrid", fine, fine, "--grid", "degrees:1", status=2)


def test_a_projected_file_and_one_that_states_no_projection(tmp_path):
    km = {"units": "km"}
    names = ("projection_y_coordinate", "projection_x_coordinate")
    coordinates = {
        name: (name, np.arange(20.0) * 10, km | {"standard_name": standard})
        for name, standard in zip("yx", names)
    }
    time = pd.date_range("2001-01-01", periods=2)
    data = xr.Dataset({"t": (("time", "y", "x"), np.ones((2, 20, 20)))}, coordinates)
    data = data.assign_coords(time=time)
    data.to_netcdf(tmp_path / "plain.nc")
    data.attrs["proj4"] = "+proj=laea +lat_0=50 +lon_0=10"
    data.to_netcdf(tmp_path / "stated.nc")
    phire("regrid", tmp_path / "stated.nc", tmp_path / "a.h5", "--grid", "degrees:0.5")
    with open_store(tmp_path / "a.h5") as store:
        assert (store.grid.latitudes[[0, -1]] == [51.5, 50]).all()
        field = store.read([0])
        assert np.nanmax(np.abs(field - 1)) < 1e-6
        assert np.isfinite(field).mean() > 0.8
    for grid in (("--grid", "degrees:0.5"), ("--like", tmp_path / "stated.nc")):
        said = phire("regrid", tmp_path / "plain.nc", tmp_path / "b.h5", *grid, status=2)
        assert "must state its projection" in said
