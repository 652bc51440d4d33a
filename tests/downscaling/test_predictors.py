"""Prediction of runs with predictors, maps, covariates, a margin: the samples of the records."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import xarray as xr

from downscaling.trained_runs import make_run
from phire.cli.phire_eval import main as phire_eval
from phire.cli.predict import main as phire_predict
from phire.downscaling import Downscaler, PredictedSource, predict
from phire.downscaling.schema_shapes import shapes_of
from phire.downscaling.time_windows import windows
from phire.errors import InputError
from phire.fields import TimeAxis, open_source
from phire.records import open_records, write_downscaling_records
from phire.training import open_run

DAYS = 10


def field(name, latitudes, longitudes, days=DAYS, units="K", seed=0):
    """A variable of smooth waves that move from day to day."""
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    rows, columns = np.deg2rad(latitudes)[:, None], np.deg2rad(longitudes)
    time = np.datetime64("2000-01-01") + np.arange(days).astype("timedelta64[D]")
    values = [
        280 + 5 * np.sin(9 * rows + phase[0] + t / 3) + 4 * np.cos(11 * columns + phase[1] - t / 2)
        for t in range(days)
    ]
    array = xr.DataArray(
        np.array(values, np.float32), dims=("time", "latitude", "longitude"),
        coords={"time": time, "latitude": latitudes, "longitude": longitudes},
        attrs={"units": units},
    )  # fmt: skip
    array["latitude"].attrs["units"], array["longitude"].attrs["units"] = (
        "degrees_north", "degrees_east",
    )  # fmt: skip
    return array.rename(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fine temperature, two coarse files that are not aligned with it, a map; records and a run."""
    folder = tmp_path_factory.mktemp("predictors")
    fine = 50.25 - 0.5 * np.arange(16), 0.25 + 0.5 * np.arange(24)
    field("tas", *fine).to_dataset().to_netcdf(folder / "fine.nc")
    wide = 56 - 1.5 * np.arange(14), -6 + 1.5 * np.arange(18)
    coarse = [field(n, *wide, units=u, seed=s)
              for n, u, s in (("psl", "Pa", 1), ("hus", "kg kg-1", 2))]  # fmt: skip
    xr.merge(coarse).to_netcdf(folder / "coarse.nc")
    gaussian = 57 - 1.9 * np.arange(11), -7 + 1.9 * np.arange(15)
    field("ta", *gaussian, seed=3).to_dataset().to_netcdf(folder / "upper.nc")
    orography = field("orog", *fine, days=1, units="m", seed=4).isel(time=0, drop=True)
    orography.to_dataset().to_netcdf(folder / "maps.nc")
    write_downscaling_records(
        folder / "fine.nc", folder / "records", predictors=[
            f"{folder / 'coarse.nc'}:psl,hus", f"{folder / 'upper.nc'}:ta"
        ],
        static=[folder / "maps.nc"], covariates=["day"], scale=4, margin=1, whole_fields=True,
        shards=1, normalization="z",
    )  # fmt: skip
    records = open_records(folder / "records")
    inputs = dict(records.manifest.options)
    run = make_run(
        folder / "run", records.schema, shapes_of(records.schema),
        "srgan-small,filters=4,blocks=1,kernel=3", **inputs,
    )  # fmt: skip
    shutil.copy(folder / "records" / "static.h5", run)
    return folder


def refused(folder, output, *arguments):
    """What the command says as it refuses, in one line with status 2 and nothing left."""
    command = [str(folder / "run"), *map(str, arguments)]
    command.insert(2, str(output))
    with pytest.raises(SystemExit) as ended:
        phire_predict(command)
    assert ended.value.code == 2
    assert not output.exists()
    assert not list(output.parent.glob(f".{output.name}*"))


def test_a_prediction_reads_what_the_records_hold(folder):
    """The same network on the records' own samples gives the same fields."""
    records = open_records(folder / "records")
    network = open_run(folder / "run").network("generator")
    batch = next(iter(records.dataset(DAYS)))
    assert {*network.input} == {"low", "static", "time"}
    made = network({name: batch[name] for name in network.input}, training=False)
    expected = records.schema.normalization.invert(made.numpy())
    predict(
        folder / "run", folder / "coarse.nc", folder / "given.nc",
        predictors=[f"{folder / 'upper.nc'}:ta"], static=[folder / "maps.nc"],
    )  # fmt: skip
    with xr.open_dataset(folder / "given.nc") as found:
        assert found["tas"].attrs["units"] == "K"
        # Records lie on disk in an order of their own.
        order = [np.abs(found["tas"].values - e[..., 0]).max((1, 2)).argmin() for e in expected]
        assert sorted(order) == list(range(DAYS))
        np.testing.assert_allclose(found["tas"].values[order], expected[..., 0], atol=2e-3)
        with xr.open_dataset(folder / "fine.nc") as fine:
            np.testing.assert_allclose(found["latitude"], fine["latitude"], atol=1e-6)
            np.testing.assert_allclose(found["longitude"], fine["longitude"], atol=1e-6)


@pytest.mark.parametrize("tile", [1, 3])
def test_tiles_leave_no_trace_with_maps_and_a_margin(folder, tile):
    coarse = open_source(folder / "coarse.nc")
    whole, tiled = (
        PredictedSource(folder / "run", coarse, tile=size).read([0, 4]) for size in (100, tile)
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-4 * whole.std())


def test_what_is_left_out_comes_from_the_records(folder, tmp_path):
    time = "2000-01-03,2000-01-06"
    predict(folder / "run", folder / "coarse.nc", tmp_path / "default.nc", time=time)
    predict(
        folder / "run", f"{folder / 'upper.nc'}:ta", tmp_path / "other.nc", time=time,
        predictors=[f"{folder / 'coarse.nc'}:psl,hus"], static=[f"{folder / 'maps.nc'}:orog"],
    )  # fmt: skip
    with (
        xr.open_dataset(tmp_path / "default.nc") as one,
        xr.open_dataset(tmp_path / "other.nc") as other,
    ):
        assert one.sizes["time"] == 3
        np.testing.assert_allclose(one["tas"], other["tas"], atol=1e-3)


def test_evaluation_takes_the_records_own_predictors(folder, tmp_path):
    phire_eval(
        [str(folder / "fine.nc"), "--candidate", f"net={folder / 'run'}", "--scale", "4",
         "--metrics", "scores", "--no-report", "--quiet", "--out", str(tmp_path / "results")],
        standalone_mode=False,
    )  # fmt: skip
    coarse = open_source(folder / "coarse.nc")
    made = PredictedSource(folder / "run", coarse).read(slice(None))[..., 0]
    with xr.open_dataset(folder / "fine.nc") as truth:
        error = made - truth["tas"].values
    with xr.open_dataset(tmp_path / "results" / "net" / "scores.nc") as scores:
        found = np.sqrt((scores["rmse"].values.astype(float) ** 2).mean())
    weights = np.cos(np.deg2rad(50.25 - 0.5 * np.arange(16)))[:, None] * np.ones(24)
    expected = np.sqrt((error**2 * weights).sum() / (weights.sum() * DAYS))
    assert found == pytest.approx(expected, rel=0.02)


def test_from_xarray_with_further_datasets(folder):
    model = Downscaler.load(folder / "run")
    with (
        xr.open_dataset(folder / "coarse.nc") as coarse,
        xr.open_dataset(folder / "upper.nc") as upper,
        xr.open_dataset(folder / "maps.nc") as maps,
    ):
        fine = model(coarse.isel(time=[2, 3]), predictors=upper, static=maps)
    expected = PredictedSource(folder / "run", open_source(folder / "coarse.nc")).read([2, 3])
    np.testing.assert_allclose(fine["tas"], expected[..., 0], atol=1e-3)


def test_predictors_that_do_not_fit_are_refused(folder, tmp_path, capsys):
    output = tmp_path / "fine.nc"
    with xr.open_dataset(folder / "upper.nc") as upper:
        celsius = upper.load().copy()
        short = upper.isel(time=slice(0, 6))
        short.to_netcdf(tmp_path / "short.nc")
    celsius["ta"].attrs["units"] = "Pa"
    celsius.to_netcdf(tmp_path / "units.nc")
    coarse = folder / "coarse.nc"
    refused(folder, output, coarse, "--predictors", f"{tmp_path / 'units.nc'}:ta")
    assert "holds ta in 'Pa'" in capsys.readouterr().err
    refused(folder, output, coarse, "--predictors", tmp_path / "short.nc")
    said = capsys.readouterr().err
    assert "short.nc lacks 4 of the 10 times asked for (the first is 2000-01-07" in said
    refused(folder, output, coarse, "--predictors", f"{folder / 'upper.nc'}:nothing")
    assert "nothing" in capsys.readouterr().err
    refused(folder, output, coarse, "--predictors", f"{folder / 'fine.nc'}:tas")
    assert "gives tas, but " in capsys.readouterr().err


def test_maps_that_do_not_fit_are_refused(folder, tmp_path, capsys):
    output = tmp_path / "fine.nc"
    with xr.open_dataset(folder / "maps.nc") as maps:
        maps.isel(latitude=slice(0, 10)).to_netcdf(tmp_path / "part.nc")
    refused(folder, output, folder / "coarse.nc", "--static", tmp_path / "part.nc")
    assert "part.nc lies on a regional grid of 10 × 24 points" in capsys.readouterr().err
    kept = folder / "run" / "static.h5"
    moved = kept.rename(tmp_path / "static.h5")
    try:
        refused(folder, output, folder / "coarse.nc")
        assert "reads the maps orog, but does not hold them: give --static FILE:orog" in (
            capsys.readouterr().err
        )
    finally:
        moved.rename(kept)


def test_a_predictor_that_is_gone_is_asked_for(folder, tmp_path, capsys):
    moved = (folder / "upper.nc").rename(tmp_path / "upper.nc")
    try:
        refused(folder, tmp_path / "fine.nc", folder / "coarse.nc")
    finally:
        moved.rename(folder / "upper.nc")
    said = capsys.readouterr().err
    assert "upper.nc" in said
    assert "--predictors" in said


def test_windows_end_at_their_field_and_never_cross_a_gap():
    time = TimeAxis(86400 * np.array([0, 1, 2, 3, 10, 11, 12]), "standard")
    start, step = windows(time, np.arange(7), 3, 86400)
    np.testing.assert_array_equal(start, [0, 0, 0, 1, 4, 4, 4])
    np.testing.assert_array_equal(step, [0, 1, 2, 2, 0, 1, 2])
    start, step = windows(time, np.arange(7), 3, 86400, from_first=True)
    np.testing.assert_array_equal(start, [0, 1, 1, 1, 4, 4, 4])
    np.testing.assert_array_equal(step, [0, 0, 1, 2, 0, 1, 2])
    with pytest.raises(InputError, match=r"1970-01-12.* has 3 fields, but the run reads windows"):
        windows(time, np.array([5]), 4, 86400)


def test_a_downscaler_is_fitted_to_xarray(folder, tmp_path):
    with (
        xr.open_dataset(folder / "fine.nc") as fine,
        xr.open_dataset(folder / "coarse.nc") as coarse,
        xr.open_dataset(folder / "maps.nc") as maps,
    ):
        options = {"scale": 4, "network": "srgan-small,filters=4,blocks=1,noise=1",
                   "objective": "content", "whole_fields": True, "covariates": ["day"], "shards": 1,
                   "epochs": (3,), "learning_rates": (1e-3,), "batch_size": 5,
                   "normalization": "z"}  # fmt: skip
        model = Downscaler.fit(
            fine, predictors=coarse, static=maps, out=tmp_path / "run", **options
        )
        loss = open_run(tmp_path / "run").history["loss"]
        assert loss.iloc[-1] < loss.iloc[0]
        ensemble = model(coarse.isel(time=[8, 9]), members=4)
    assert ensemble["tas"].dims == ("member", "time", "latitude", "longitude")
    assert ensemble["tas"].shape == (4, 2, 16, 24)
    assert float(ensemble["tas"].std("member").mean()) > 0
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert ".run." not in (tmp_path / "run" / "config.yaml").read_text()
    history = (tmp_path / "run" / "training.csv").stat()
    again = {"predictors": coarse, "static": maps, "out": tmp_path / "run", **options}
    Downscaler.fit(fine, **again)
    assert (tmp_path / "run" / "training.csv").stat() == history
    with pytest.raises(InputError, match="the content of xarray data has changed"):
        Downscaler.fit(fine + 1, **again)
    with pytest.raises(InputError, match="nonsense is not an option"):
        Downscaler.fit(fine, out=tmp_path / "other", nonsense=1)
    with pytest.raises(InputError, match="static is a int"):
        Downscaler.fit(fine, static=[3], out=tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("validation", ["share", "dataset"])
def test_a_fit_is_judged_on_times_that_it_was_not_trained_on(folder, tmp_path, validation):
    with (
        xr.open_dataset(folder / "fine.nc") as fine,
        xr.open_dataset(folder / "coarse.nc") as coarse,
    ):
        options = {"scale": 4, "network": "srgan-small,filters=4,blocks=1", "shards": 1,
                   "objective": "content", "whole_fields": True, "epochs": (2,),
                   "learning_rates": (1e-3,), "batch_size": 4, "normalization": "z",
                   "predictors": coarse}  # fmt: skip
        trained, held_out = fine.isel(time=slice(0, 7)), fine.isel(time=slice(7, None))
        given = {"share": (fine, 0.3), "dataset": (trained, held_out)}[validation]
        model = Downscaler.fit(given[0], validation=given[1], out=tmp_path / "run", **options)
        run = open_run(tmp_path / "run")
        assert np.isfinite(run.history["val_loss"]).all()
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
        # Statistics and loss are those of the parts.
        normalization = model.generator.normalization
        assert normalization.mean[0] == pytest.approx(float(trained["tas"].mean()), rel=1e-6)
        error = model(coarse)["tas"] - fine["tas"].values
    squares = (error.isel(time=slice(7, None)) / normalization.std[0]) ** 2
    assert float(squares.mean()) == pytest.approx(run.history["val_loss"].iloc[-1], rel=1e-3)
    for share in (0, 1.5, 0.01):
        with pytest.raises(InputError, match=f"validation={share:g}"):
            Downscaler.fit(fine, validation=share, out=tmp_path / "other", **options)
