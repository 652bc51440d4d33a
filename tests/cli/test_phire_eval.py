"""``phire-eval`` as it is called: what candidates may be, and the mistakes it names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from phire.cli.phire_eval import main

LATITUDES, LONGITUDES = np.linspace(60, 52, 33), np.linspace(-10, 2, 49)


def dataset(values):
    times = np.datetime64("2019-03-01", "ns") + np.arange(len(values)) * np.timedelta64(1, "h")
    coordinates = {"time": times, "latitude": LATITUDES, "longitude": LONGITUDES}
    variable = (("time", "latitude", "longitude"), values.astype("f4"), {"units": "K"})
    return xr.Dataset({"t2m": variable}, coordinates)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eval")
    random = np.random.default_rng(0)
    wave = (
        280 + 5 * np.sin(np.deg2rad(20 * LONGITUDES)) * np.cos(np.deg2rad(15 * LATITUDES))[:, None]
    )
    truth = wave + random.normal(size=(6, 33, 49))
    dataset(truth).to_netcdf(folder / "truth.nc")
    dataset(truth + 0.1 * random.normal(size=truth.shape)).to_zarr(folder / "near.zarr")
    members = [dataset(wave + random.normal(size=truth.shape)) for _ in range(4)]
    xr.concat(members, dim="member").to_netcdf(folder / "ensemble.nc")
    return folder


def called(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_files_ensembles_and_interpolations_side_by_side(folder, tmp_path):
    out = tmp_path / "out"
    command = [folder / "truth.nc", "--out", out, "--scale", 4, "--no-report"]
    for candidate in ("near=near.zarr", "cubic=bicubic", "ensemble=ensemble.nc"):
        name, spec = candidate.split("=")
        command += ["--candidate", f"{name}={folder / spec if '.' in spec else spec}"]
    command += ["--region", "west=60,-10,52,-4", "--time", "2019-03-01,2019-03-01T05:00"]
    called(*command)
    summary = pd.read_csv(out / "summary.csv", keep_default_na=False)
    whole = summary[summary["region"] == ""].set_index("candidate")
    rmse = whole["rmse:t2m"].astype(float)
    # Independent noise of size 1; what the cubic misses of it; a tenth.
    assert rmse["near"] == pytest.approx(0.1, rel=0.1)
    assert rmse["near"] < rmse["cubic"] < 1.2
    assert float(whole["crps:t2m"]["ensemble"]) > 0
    error = whole["log_spectral_error:t2m"].astype(float)
    assert error["near"] < error["cubic"]
    with xr.open_dataset(out / "truth" / "samples.nc") as samples:
        assert samples["field"].shape == (1, 3, 32, 48)
    assert "already made" in called(*command)
    assert "scale" in called(*[8 if a == 4 else a for a in command], status=2)


def test_options_from_a_file_and_the_report(folder, tmp_path):
    config = tmp_path / "options.yaml"
    config.write_text(f"scale: 4\nmetrics: [spectrum, scores]\nout: {tmp_path / 'out'}\n")
    called(folder / "truth.nc", "--config", config, "--candidate", "cubic=bicubic")
    assert "cubic" in (tmp_path / "out" / "report.html").read_text()
    assert not (tmp_path / "out" / "cubic" / "maps.nc").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--candidate", "bicubic"), "NAME=SPEC"),
        (("--candidate", "cubic=bicubic"), "--scale"),
        (("--candidate", "a=missing.nc"), "missing.nc"),
        (("--candidate", "a=bicubic", "--candidate", "a=nearest", "--scale", 4), "same name"),
        (("--metrics", "beauty"), "beauty"),
        (("--region", "west"), "N,W,S,E"),
        (("--region", "west=52,-10,60,-4"), "west"),
        (("--time", "1999-01-01,1999-02-01"), "--time"),
        (("--variables", "wind"), "wind"),
    ],
)
def test_mistakes_are_named(folder, tmp_path, arguments, named):
    said = called(folder / "truth.nc", "--out", tmp_path / "out", *arguments, status=2)
    assert named in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_a_field_without_a_time_axis_is_one_instant(folder, tmp_path):
    with xr.open_dataset(folder / "truth.nc") as truth:
        truth.isel(time=0, drop=True).to_netcdf(tmp_path / "truth.nc")
        truth.isel(time=0, drop=True).to_netcdf(tmp_path / "still.nc")
        truth.isel(time=[0]).to_netcdf(tmp_path / "dated.nc")
    command = [tmp_path / "truth.nc", "--out", tmp_path / "out", "--metrics", "scores"]
    for name in ("still", "dated"):
        command += ["--candidate", f"{name}={tmp_path / name}.nc"]
    called(*command)
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert summary["rmse:t2m"].tolist() == [0, 0]


def test_wind_is_named(folder, tmp_path):
    with xr.open_dataset(folder / "truth.nc") as truth:
        for name in ("west", "south"):
            truth[name] = truth["t2m"].assign_attrs(units="m s-1")
        truth.to_netcdf(tmp_path / "wind.nc")
    command = [tmp_path / "wind.nc", "--out", tmp_path / "out", "--metrics", "spectrum"]
    called(*command, "--wind", "west,south", "--no-report")
    with xr.open_dataset(tmp_path / "out" / "truth" / "spectrum.nc") as spectrum:
        assert "kinetic_energy" in spectrum
    told = called(*command[:1], "--out", tmp_path / "bad", "--wind", "west,t2m", status=2)
    assert "t2m is in 'K'" in told and not (tmp_path / "bad").exists()
    assert "U,V" in called(*command, "--wind", "west", status=2)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--metrics", "maps", "--wind", "u,v"], "--wind u,v: name the eastward"),
        (["--metrics", "scores"], "--metrics scores: it compares candidates with the truth"),
        (["--metrics", "maps", "--scheduler", "nowhere://host:1"], "--scheduler nowhere://host:1"),
        (["--metrics", "maps", "--orography", "truth.nc"], "give --orography a file with one time"),
    ],
    ids=["unknown wind", "no candidate", "no scheduler", "orography of several times"],
)
def test_a_mistake_is_named_and_leaves_no_output(folder, tmp_path, options, part):
    options = [folder / one if one.endswith(".nc") else one for one in options]
    told = called(folder / "truth.nc", "--out", tmp_path / "out", *options, status=2)
    assert part in " ".join(told.split()) and "Traceback" not in told
    assert not (tmp_path / "out").exists()
