"""``phire convert``, ``join`` and ``info`` as a user gives them."""

import json
import os
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from phire.cli.phire import main
from phire.fields import open_store
from phire.files import partial_path
from pipeline import run, start

REALDATA = os.environ.get("PHIRE_REALDATA")
real = pytest.mark.skipif(
    not REALDATA or not Path(REALDATA).is_dir(),
    reason="PHIRE_REALDATA does not name the folder of real files",
)


def phire(*arguments, status=0):
    result = CliRunner().invoke(main, [str(part) for part in arguments])
    assert result.exit_code == status, result.output
    return result.output


def write(path, hours=range(8), shape=(9, 16)):
    times = pd.Timestamp("2000-01-01") + pd.to_timedelta(np.array(hours) * 3, "h")
    values = np.random.default_rng(0).normal(size=(len(times), 2, *shape)).astype("f4")
    coordinates = {
        "time": times,
        "level": [500, 850],
        "latitude": np.linspace(90, -90, shape[0]),
        "longitude": np.arange(shape[1]) * 360 / shape[1],
    }
    dimensions = tuple(coordinates)
    xr.Dataset(
        {n: (dimensions, values, {"units": "m s**-1"}) for n in "uv"}, coordinates
    ).to_netcdf(path)
    return path


def test_every_option_reaches_the_store(tmp_path):
    write(tmp_path / "a.nc")
    phire("convert", tmp_path / "a.nc", tmp_path / "a.h5", "--wind", "u,v", "--variables", "v",
          "--level", 850, "--time", "2000-01-01T06:00,2000-01-01T18:00",
          "--region", "60,-45,0,90")  # fmt: skip
    with open_store(tmp_path / "a.h5") as store:
        assert store.channels == ("divergence", "vorticity", "v")
        assert store.shape[1] == 4
        assert store.grid.longitudes[0] == -45
        assert store.grid.latitudes.min() >= 0


def test_options_from_a_file(tmp_path):
    write(tmp_path / "a.nc")
    (tmp_path / "options.yaml").write_text("wind: [u, v]\nlevel: 500\nregion: 90,0,-90,360\n")
    phire("convert", tmp_path / "a.nc", tmp_path / "a.h5", "--config", tmp_path / "options.yaml")
    with open_store(tmp_path / "a.h5") as store:
        assert store.channels == ("divergence", "vorticity")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--level among 500, 850"),
        (["--variables", "w"], "no variable 'w' of fields; it has u, v"),
        (["--level", "300"], "no level 300"),
        (["--level", "850", "--time", "2001-01-01,2002-01-01"], "--time"),
        (["--level", "850", "--wind", "u"], "is not of the form U,V"),
        (["--level", "850", "--region", "1,2,3"], "is not of the form N,W,S,E"),
    ],
)
def test_mistakes_get_one_sentence_and_status_2(tmp_path, options, said):
    write(tmp_path / "a.nc")
    output = phire("convert", tmp_path / "a.nc", tmp_path / "a.h5", *options, status=2)
    assert said in output.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


def test_join_and_info(tmp_path):
    for name, hours in (("b", range(8, 12)), ("a", (0, 1, 2, 5, 6, 7))):
        write(tmp_path / f"{name}.nc", hours)
        phire("convert", tmp_path / f"{name}.nc", tmp_path / f"{name}.h5", "--level", 850)
    phire("join", tmp_path / "b.h5", tmp_path / "a.h5", tmp_path / "all.h5")
    output = phire("info", tmp_path / "all.h5")
    for said in ("virtual field store", "u (m s**-1), v (m s**-1)", "3 h", "pole-to-pole",
                 "2 steps missing (2 after 2000-01-01T06:00)", "b.h5"):  # fmt: skip
        assert said in output
    facts = json.loads(phire("info", tmp_path / "all.h5", "--json"))
    assert facts["fields"] == 10
    numbers = {name: facts[name] for name in ("spacing", "latitudes", "missing values", "step")}
    assert numbers == {
        "spacing": [22.5, 22.5], "latitudes": [90, -90], "missing values": 0, "step": "PT3H",
    }  # fmt: skip
    output = phire("join", tmp_path / "a.h5", tmp_path / "a.h5", tmp_path / "c.h5", status=2)
    assert "two different stores" in output


def test_info_of_other_formats_says_what_can_be_converted(tmp_path):
    write(tmp_path / "a.nc")
    output = phire("info", tmp_path / "a.nc")
    for said in ("NetCDF", "variable u", "500, 850", "pole-to-pole", "3 h"):
        assert said in output


def test_killed_in_the_middle_the_same_command_completes(tmp_path):
    source = write(tmp_path / "a.nc", range(150), (91, 180))
    command = ("phire", "convert", source, tmp_path / "a.h5", "--level", 850, "--wind", "u,v")
    process = start(*command)
    deadline = time.monotonic() + 60
    while not partial_path(tmp_path / "a.h5").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "a.h5").exists()
    run(*command)
    assert {path.name for path in tmp_path.iterdir()} == {"a.nc", "a.h5"}
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["data"].shape == (2, 150, 91, 180)
        assert np.isfinite(file["data"][:]).all()
    assert "already made" in run(*command)


REAL = {
    "era5_t2m_uk_2019-03_hourly.grib": ([], "t2m (K)", 744, "33 × 49"),
    "era5_u_pressure-levels_2020-01-01_hourly.nc": (["--level", 500], "u (m s**-1)", 24, "41 × 41"),
    "era5_v_pressure-levels_2020-01-01_hourly.nc": (["--level", 1000], "v (m s**-1)", 24, "41"),
    "ifs_uv_200hPa_0p5deg.grib": (["--wind", "u,v"], "divergence (s**-1)", 1, "361 × 720"),
    "ifs_z_spectral_T799.grib": (["--grid", "gaussian:160"], "z (m**2 s**-2)", 1, "160 × 320"),
    "arome_msl_NW_2018-05-01.grib": ([], "msl (Pa)", 25, "227 × 315"),
    "arpege_msl_NW_2018-05-01.grib": ([], "msl (Pa)", 25, "58 × 80"),
}


@real
@pytest.mark.parametrize("name", REAL)
def test_every_real_file_is_converted_and_described(tmp_path, name):
    options, channels, count, grid = REAL[name]
    phire("convert", Path(REALDATA) / name, tmp_path / "a.h5", *options)
    facts = json.loads(phire("info", tmp_path / "a.h5", "--json"))
    named = [f"{channel['name']} ({channel['units']})" for channel in facts["channels"]]
    assert channels in named
    assert facts["fields"] == count
    assert grid in facts["grid"]
    assert facts["missing values"] == 0
    original = phire("info", Path(REALDATA) / name)
    assert "variable" in original
    assert " to ".join(facts["time"]) in original
