"""Rain of models and radars by the commands: store, records, training, prediction, evaluation."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from phire.cli import phire, phire_data, phire_eval, phire_train
from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.networks import network
from phire.records import open_records

REALDATA = os.environ.get("PHIRE_REALDATA")
pytestmark = pytest.mark.skipif(
    not REALDATA or not Path(REALDATA).is_dir(),
    reason="PHIRE_REALDATA does not name the folder of real files",
)

RECORDS = ("--patches-per-field", 4, "--normalization", "log:0.1", "--missing", "mask",
           "--shards", 1)  # fmt: skip
TRAINING = ("--network", "convnet,filters=4,blocks=1", "--objective", "content", "--epochs", 1,
            "--learning-rates", "1e-3", "--batch-size", 4)  # fmt: skip


def run(module, *arguments):
    result = CliRunner().invoke(module.main, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def convert(name, output, *options):
    run(phire, "convert", Path(REALDATA) / name, output, *options)
    return output


def chain(folder, truth, scale, time, *, data, low=None):
    """Records, training, prediction and evaluation of the run and of the file it predicted.

    Args:
        folder: Where all is made.
        truth: The store of fine fields.
        scale: Ratio of the resolutions.
        time: The times to predict.
        data: Options of phire-data.
        low: The store of coarse fields; coarsened truth by default.
    """
    run(phire_data, truth, folder / "records", "--scale", scale, *RECORDS, *data)
    run(phire_train, folder / "records", "--out", folder / "run", *TRAINING)
    coarse = (truth, "--coarsen", scale) if low is None else (low,)
    run(phire, "predict", folder / "run", coarse[0], folder / "fine.nc", *coarse[1:],
        "--minimum", 0, "--time", time)  # fmt: skip
    run(phire_eval, truth, "--time", time, "--scale", scale, "--minimum", 0, "--metrics", "scores",
        "--no-report", "--candidate", f"run={folder / 'run'}",
        "--candidate", f"file={folder / 'fine.nc'}", "--out", folder / "results")  # fmt: skip
    scores = pd.read_csv(folder / "results" / "summary.csv").set_index("candidate")
    scores = scores.select_dtypes("number").dropna(axis=1)
    assert np.isfinite(scores.filter(like="rmse")).size == 2
    np.testing.assert_allclose(scores.loc["run"], scores.loc["file"], rtol=1e-4, atol=1e-6)
    return xr.open_dataset(folder / "fine.nc")


def blocks_without_input(truth, scale):
    """True where no point of a point's block is present."""
    height, width = (size - size % scale for size in truth.shape)
    there = np.isfinite(truth[:height, :width])
    blocks = there.reshape(height // scale, scale, width // scale, scale).any((1, 3))
    return ~blocks.repeat(scale, 0).repeat(scale, 1)


def test_arome_rain_from_arpege(tmp_path):
    """Two models on one corner, orography; a run's ARPEGE is found again by phire-eval."""
    fine, low = (
        convert(f"meteonet_NW_2018-05-01_{name}_precip.nc", tmp_path / f"{name}.h5")
        for name in ("fine_arome0025", "coarse_arpege01")
    )
    maps = f"{REALDATA}/meteonet_NW_2018-05-01_fine_arome0025_precip.nc:orog"
    data = ("--low", low, "--static", maps, "--patch", "32,32", "--time", ",2018-05-01T03:00")
    with chain(tmp_path, fine, 4, "2018-05-01T12:00,2018-05-01T14:00", data=data, low=low) as made:
        with xr.open_dataset(fine, engine="h5netcdf") as truth:
            np.testing.assert_allclose(made["latitude"], truth["latitude"], atol=1e-5)
            np.testing.assert_allclose(made["longitude"], truth["longitude"], atol=1e-5)
        assert made["tp"].attrs["units"] == "mm"
        assert not made["tp"].isnull().any() and float(made["tp"].min()) >= 0
    assert (tmp_path / "run" / "static.h5").is_file()
    schema = open_records(tmp_path / "records").schema
    assert (schema.alignment, schema.arrays["static"].channels) == ("corner", ("orog",))


def test_mrms_from_its_coarsening(tmp_path):
    region = ("--region", "36,-80,34,-78", "--time", "2016-09-20T00,2016-09-20T04")
    truth = convert("radar_mrms_qpe1h_2016-09-20_22_hourly.nc", tmp_path / "mrms.h5", *region)
    data = ("--patch", "64,64", "--time", ",2016-09-20T02:00")
    with chain(tmp_path, truth, 8, "2016-09-20T02:00,2016-09-20T04:00", data=data) as made:
        assert made["precip"].shape == (2, 200, 200)
        assert float(made["precip"].min()) >= 0


@pytest.mark.parametrize(
    "name, scale, training, time",
    [
        ("knmi_2010-08-26", 4, "2010-08-26T00:10", "2010-08-26T00:15,2010-08-26T00:20"),
        ("mch_2016-07-11", 5, "2016-07-11T20:55", "2016-07-11T21:00,2016-07-11T21:05"),
    ],
)
def test_radar_on_a_projected_grid_with_a_mask(tmp_path, name, scale, training, time):
    """KNMI's reach is a fixed circle, MeteoSwiss's mask moves."""
    bounds = f",{time.partition(',')[2]}"
    truth = convert(f"radar_{name}_5min.nc", tmp_path / "radar.h5", "--time", bounds)
    data = ("--patch", "80,80", "--time", f",{training}")
    with chain(tmp_path, truth, scale, time, data=data) as made:
        with xr.open_dataset(truth, engine="h5netcdf") as opened:
            field = opened["data"].values[0, -1]
        gone = blocks_without_input(field, scale)
        assert 0.1 < gone.mean() < 0.4
        np.testing.assert_array_equal(made["precip"].isnull().values[0], gone)
        assert made["precip"].attrs["grid_mapping"]
    check_that_poison_changes_no_loss(tmp_path / "records")


def check_that_poison_changes_no_loss(directory):
    """Invalid values of real records, set to 1e30, change neither losses nor weights."""
    records = open_records(directory)
    batch = next(iter(records.dataset(4)))
    assert 0.5 < float(batch["valid"].numpy().mean()) < 1
    found = []
    for poison in (0.0, 1e30):
        poisoned = np.where(batch["valid"] > 0, batch["high"], np.float32(poison))
        task = Task(records.schema, *network.resolve("convnet,filters=4,blocks=1"))
        made = objectives.build("content", task)
        for weight in made.generator.weights:
            weight.assign(0.01 + 0 * weight)
        made.begin("phase 1")
        losses = made.whole_step({**batch, "high": poisoned})
        found.append([float(losses["loss"]), *(w.numpy() for w in made.generator.weights)])
    assert np.isfinite(found[0][0]) and found[0][0] > 0
    for clean, spoilt in zip(*found):
        np.testing.assert_array_equal(clean, spoilt)
