"""Winter days over Iberia from reanalysis by the commands: records, training, prediction, scores.

A small budget; the study with three seeds is pipelines/iberia.yaml (docs/results/iberia.md).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from loading import load_script
from phire.cli.phire_data import main as phire_data
from phire.cli.phire_eval import main as phire_eval
from phire.cli.phire_train import main as phire_train
from phire.cli.predict import main as phire_predict

REALDATA = os.environ.get("PHIRE_REALDATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not REALDATA or not Path(REALDATA).is_dir(),
        reason="PHIRE_REALDATA does not name the folder of real files",
    ),
]
SPLIT = "1998-06-01"
FINE, LEVELS, SURFACE = (
    f"{REALDATA}/iberia_{name}_djf1983-2002.nc"
    for name in ("fine_eobs050", "coarse_ncep25", "coarse_ncep_t62")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs every command once: tas by DeepESD, six epochs."""
    folder = tmp_path_factory.mktemp("iberia")
    load_script("year_predictor").main([LEVELS, str(folder / "year.nc")], standalone_mode=False)
    steps = [
        (phire_data, FINE, folder / "records", "--targets", "tas",
         "--predictors", f"{LEVELS}:psl,ta850,hus850", "--predictors", f"{SURFACE}:tas,pr",
         "--predictors", folder / "year.nc", "--static", f"{FINE}:orog,lsm",
         "--covariates", "day", "--scale", 5, "--margin", 1, "--whole-fields",
         "--missing", "mask", "--normalization", "z", "--shards", 1, "--time", f",{SPLIT}"),
        (phire_train, folder / "records", "--out", folder / "run", "--network", "deepesd",
         "--objective", "content", "--schedule", "cosine", "--epochs", 6,
         "--learning-rates", "2e-3", "--batch-size", 32, "--weight-decay", 1),
        (phire_predict, folder / "run", LEVELS, folder / "tas.nc", "--time", f"{SPLIT},"),
        (phire_eval, FINE, "--variables", "tas", "--time", f"{SPLIT},", "--metrics", "scores,maps",
         "--scale", 5, "--candidate", f"run={folder / 'run'}",
         "--candidate", f"file={folder / 'tas.nc'}", "--no-report", "--out", folder / "results"),
    ]  # fmt: skip
    for command, *arguments in steps:
        command([str(one) for one in (*arguments, "--quiet")], standalone_mode=False)
    return folder


@pytest.fixture(scope="module")
def winters():
    """(truth of the four winters, bias-corrected interpolation of NCEP's tas), (361, 19, 29)."""
    with xr.open_dataset(FINE) as fine, xr.open_dataset(SURFACE) as coarse:
        truth = fine["tas"].load()
        found = coarse["tas"].interp(
            lat=truth.lat.clip(coarse.lat.min(), coarse.lat.max()),
            lon=truth.lon.clip(coarse.lon.min(), coarse.lon.max()),
        )
    training = truth.time < np.datetime64(SPLIT)
    bias = (found - truth).isel(time=training.values).mean("time")
    return truth[~training.values].values, (found - bias)[~training.values].values


def rmse(a, b):
    return float(np.sqrt(np.nanmean((a - b) ** 2)))


def test_the_network_beats_bias_corrected_interpolation_on_all_points(folder, winters):
    truth, interpolated = winters
    with xr.open_dataset(folder / "tas.nc") as predicted:
        values = predicted["tas"].sortby("latitude").values
    assert values.shape == truth.shape == (361, 19, 29)
    assert rmse(interpolated, truth) == pytest.approx(1.98, abs=0.01)
    assert rmse(values, truth) < 1.7 < rmse(interpolated, truth)


def test_the_scores_of_the_evaluation_are_those_of_the_ridge_table(folder, winters):
    """RMSE over all values and correlation in time; without weights as in the table."""
    truth, _ = winters
    with xr.open_dataset(folder / "tas.nc") as predicted:
        values = predicted["tas"].sortby("latitude").values
    error, correlation = load_script("ridge_regression").scores(
        truth.reshape(361, -1), values.reshape(361, -1)
    )
    for candidate in ("run", "file"):
        with xr.open_dataset(folder / "results" / candidate / "maps.nc") as maps:
            assert maps["rmse"].notnull().sum() == np.isfinite(truth).any(0).sum()
            found = load_script("study_iberia").measure(maps)
        assert found == pytest.approx((error, correlation), abs=1e-4)
        with xr.open_dataset(folder / "results" / candidate / "scores.nc") as scores:
            assert float(scores["rmse_mean"][0]) == pytest.approx(error, rel=0.02)  # by area
