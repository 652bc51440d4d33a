"""Channels of several files on different grids and clocks in one store; real files too."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from phire.cli.convert import main
from phire.errors import InputError
from phire.fields import convert, open_source, open_store
from phire.fields.grid import Grid
from phire.fields.regridding import Regridder

REALDATA = Path(os.environ.get("PHIRE_REALDATA", "/nonexistent"))
real = pytest.mark.skipif(not REALDATA.is_dir(), reason="PHIRE_REALDATA names no folder")

FINE = Grid.regional(np.arange(50, 45, -0.25), np.arange(-3, 3, 0.25))
COARSE = Grid.regional(np.arange(51, 43, -1.0), np.arange(-5, 5, 1.0))


def write(path, grid, times, **channels):
    """A NetCDF file of random fields; channels are given with their units."""
    random = np.random.default_rng(len(channels))
    variables = {
        name: (
            ("time", "lat", "lon"),
            random.normal(size=(len(times), *grid.shape)).astype("f4"),
            {"units": units},
        )
        for name, units in channels.items()
    }
    data = xr.Dataset(variables, {"time": times, "lat": grid.latitudes, "lon": grid.longitudes})
    data.to_netcdf(path)
    return data


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr("phire.progress.say", lines.append)
    return lines


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hours(start, count, freq="h"):
    return pd.date_range(start, periods=count, freq=freq)


def test_three_grids_and_clocks_become_one(folder, said):
    a = write("a.nc", FINE, hours("2000-01-01", 96), u="m/s", v="m/s")
    b = write("b.nc", COARSE, hours("2000-01-01T06", 30, "3h"), t="degC", q="1")
    c = write("c.nc", COARSE, hours("2000-01-01", 10, "6h"), z="m")
    convert(
        ["a.nc:v,east=u", "b.nc:t", "c.nc"], "out.h5", like="a.nc", every="6h:mean,v=max",
        units=["z=km"], method="bilinear",
    )  # fmt: skip
    with open_store("out.h5") as store:
        assert store.channels == ("v", "east", "t", "z")
        assert store.units == ("m/s", "m/s", "K", "km")
        assert store.grid.equals(FINE)
        # c ends on the third day at 06:00.
        ends = [store.time.format(i) for i in (0, -1)]
        assert ends == ["2000-01-01T06:00", "2000-01-03T06:00"]
        assert len(store.time) == 9
        found = store.read([2])[0]
    period = pd.Timestamp("2000-01-01T18:00"), pd.Timestamp("2000-01-01T23:59")
    np.testing.assert_allclose(found[..., 0], a["v"].sel(time=slice(*period)).max("time"))
    np.testing.assert_allclose(
        found[..., 1], a["u"].sel(time=slice(*period)).mean("time"), atol=1e-6
    )
    regridder = Regridder(COARSE, FINE, "bilinear")
    mean = b["t"].sel(time=slice(*period)).mean("time").values[None, ..., None]
    np.testing.assert_allclose(found[..., 2], regridder(mean)[0, ..., 0] + 273.15, atol=1e-4)
    one = c["z"].sel(time=period[0]).values[None, ..., None]
    np.testing.assert_allclose(found[..., 3], regridder(one)[0, ..., 0] / 1e3, atol=1e-7)
    text = "\n".join(said)
    assert "7 of 16 times of a.nc are left out" in text
    assert "another source lacks them (2000-01-01T00:00 … 2000-01-04T18:00)" in text
    assert "1 of 10 times of c.nc are left out" in text


def test_channels_of_one_grid_at_common_times_alone(folder, said):
    u = write("u.nc", FINE, hours("2000-01-01", 5), u="m/s")
    v = write("v.nc", FINE, hours("2000-01-01T02", 5), v="m/s")
    convert(["u.nc", "v.nc"], "out.h5", variables=["v", "u"], time="2000-01-01T03,")
    with open_store("out.h5") as store:
        assert store.channels == ("v", "u")
        assert [store.time.format(i) for i in range(2)] == ["2000-01-01T03:00", "2000-01-01T04:00"]
        np.testing.assert_array_equal(store.read([0])[0, ..., 1], u["u"][3])
        np.testing.assert_array_equal(store.read([1])[0, ..., 0], v["v"][2])
    assert any("2 of 5 times of v.nc are left out" in line for line in said)


def test_years_of_several_variables_are_joined_in_time_first(folder):
    for year in (2000, 2001):
        write(f"fine{year}.nc", FINE, hours(f"{year}-03-01", 4, "D"), a="1", b="1")
        write(f"coarse{year}.nc", COARSE, hours(f"{year}-03-01", 4, "D"), c="1")
    convert(["fine*.nc", "coarse*.nc:c"], "out.nc", grid="degrees:1:48,-2,46,2")
    with xr.open_dataset("out.nc") as out:
        assert dict(out.sizes) == {"time": 8, "latitude": 3, "longitude": 5}
        assert list(out.data_vars) == ["a", "b", "c"]


def test_the_same_command_is_done_and_another_is_refused(folder, said):
    write("a.nc", FINE, hours("2000-01-01", 24), u="m/s")
    write("b.nc", COARSE, hours("2000-01-01", 24), t="K")
    options = {"like": "b.nc", "every": "1D:mean"}
    convert(["a.nc:u", "b.nc"], "out.h5", **options)
    convert(["a.nc:u", "b.nc"], "out.h5", **options)
    assert said[-1].endswith("is already made by this command.")
    with pytest.raises(InputError, match="every was"):
        convert(["a.nc:u", "b.nc"], "out.h5", like="b.nc", every="1D:max")
    with pytest.raises(InputError, match="names was"):
        convert(["a.nc:w=u", "b.nc"], "out.h5", **options)


def test_what_cannot_be_merged_is_named_in_one_sentence(folder):
    write("a.nc", FINE, hours("2000-01-01", 24), u="m/s", w="m/s")
    write("b.nc", COARSE, hours("2000-01-01", 24), t="K", w="m/s", v="m/s")
    write("late.nc", FINE, hours("2010-01-01", 24), t="K")
    write("far.nc", Grid.regional([-40, -41], [100, 101]), hours("2000-01-01", 24), t="K")
    xr.Dataset({"n": ("time", [1.0])}, {"time": [0]}).to_netcdf("none.nc")
    plane = xr.Dataset(
        {"r": (("time", "y", "x"), np.zeros((2, 4, 5)), {"units": "mm"})},
        {
            "time": hours("2000-01-01", 2),
            "y": ("y", np.arange(4.0)[::-1], {"units": "km"}),
            "x": ("x", np.arange(5.0), {"units": "km"}),
        },
    )
    for name in "yx":
        plane[name].attrs["standard_name"] = f"projection_{name}_coordinate"
    plane.to_netcdf("plane.nc")
    cases = [
        (["plane.nc", "--like", "a.nc"], "must state its projection"),
        (["a.nc:u", "--like", "plane.nc"], "plane.nc has no grid"),
        (["a.nc:u", "b.nc:t"], "--like FILE or --grid SPEC"),
        (["a.nc:u", "late.nc"], "late.nc from 2010-01-01T00:00"),
        (["a.nc:u", "far.nc", "--like", "a.nc"], "far.nc: the grids do not overlap"),
        (["a.nc:u", "b.nc:t", "--like", "none.nc"], "none.nc has no grid"),
        (["a.nc:u", "b.nc:t", "--like", "no.nc"], "no.nc does not exist"),
        (["a.nc", "b.nc", "--like", "a.nc"], "w is on two grids"),
        (["a.nc:u", "b.nc:u=t", "--like", "a.nc"], "u is on two grids"),
        (["a.nc:", "b.nc"], "a.nc"),
        (["a.nc:x", "b.nc"], "no variable 'x'"),
        (["a.nc:u", "b.nc:v", "--wind", "u,v", "--like", "a.nc"], "--wind u,v"),
        (["a.nc:u", "--units", "u=K"], "which cannot be converted"),
        (["a.nc:u", "--every", "month:mean"], "no period of month is complete"),
    ]
    for arguments, text in cases:
        sources = [a for a in arguments if ".nc" in a and a not in ("none.nc", "no.nc")]
        rest = arguments[len(sources) :] if "--like" not in arguments else None
        if rest is None:
            place = next(i for i, a in enumerate(arguments) if a.startswith("--"))
            sources, rest = arguments[:place], arguments[place:]
        result = CliRunner().invoke(main, [*sources, "out.h5", *rest])
        assert result.exit_code == 2, (arguments, result.output)
        assert text in result.output, (arguments, result.output)
        assert result.output.count("\n") == 1, result.output
        assert not Path("out.h5").exists()


@real
def test_two_models_of_three_files_every_six_hours(tmp_path, said):
    """AROME's rain, ARPEGE's pressure of GRIB and ARPEGE's rain, on ARPEGE's grid."""
    fine = REALDATA / "meteonet_NW_2018-05-01_fine_arome0025_precip.nc"
    coarse = REALDATA / "meteonet_NW_2018-05-01_coarse_arpege01_precip.nc"
    pressure = REALDATA / "arpege_msl_NW_2018-05-01.grib"
    convert(
        [f"{fine}:tp", f"{pressure}:msl", f"{coarse}:coarse=tp"], tmp_path / "a.h5",
        like=pressure, every="6h:mean,tp=sum,coarse=sum", interval_end=["tp", "coarse"],
    )  # fmt: skip
    with open_store(tmp_path / "a.h5") as store, open_source(pressure) as grib:
        assert store.channels == ("tp", "msl", "coarse")
        assert store.grid.equals(grib.grid)
        assert len(store.time) == 4
        found = store.read(slice(None)).astype("f8")
        np.testing.assert_allclose(
            found[1, ..., 1], grib.read(np.arange(6, 12))[..., 0].mean(0, dtype="f8"), rtol=1e-6
        )
    with xr.open_dataset(coarse) as data:
        wanted = data["tp"][6:12].sum("time").values  # valid from 07 to 12 UTC
        np.testing.assert_allclose(found[1, ..., 2], wanted, atol=1e-4)
    both = np.isfinite(found).all((0, 3))
    assert both.mean() > 0.9
    # Rain of two models over a day, of one pattern.
    assert np.corrcoef(found[:, both, 0].sum(0), found[:, both, 2].sum(0))[0, 1] > 0.7
