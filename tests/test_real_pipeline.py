"""The main job on real input: hourly ERA5 temperature, from the GRIB file to the report."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import spearmanr

from pipeline import run

REALDATA = os.environ.get("PHIRE_REALDATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not REALDATA or not Path(REALDATA).is_dir(),
        reason="PHIRE_REALDATA does not name the folder of real files",
    ),
]

TRAINING = "2019-03-01,2019-03-22"
HELD_OUT = "2019-03-22,2019-04-01"
CLASSES = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs every command once, in order, in a folder of its own."""
    folder = tmp_path_factory.mktemp("era5")
    grib = Path(REALDATA) / "era5_t2m_uk_2019-03_hourly.grib"
    store = folder / "t2m.h5"
    run("phire", "convert", grib, store, "--variables", "t2m")
    pairs = ("--patch", "32,32", "--classes", CLASSES, "--normalization", "z")
    run(
        "rplearn-data",
        store,
        folder / "pairs",
        "--time",
        TRAINING,
        "--patches-per-field",
        16,
        *pairs,
    )
    run("rplearn-data", store, folder / "pairs-held-out", "--time", HELD_OUT,
        "--patches-per-field", 8, "--statistics", folder / "pairs", *pairs)  # fmt: skip
    run("rplearn-train", folder / "pairs", "--validation", folder / "pairs-held-out",
        "--out", folder / "representation", "--network", "tiny", "--classes", CLASSES,
        "--epochs", 4, "--objective", "temporal-distance,flips")  # fmt: skip
    run("rplearn-eval", folder / "representation", "--records", folder / "pairs-held-out",
        "--epoch", "best", "--out", folder / "metric")  # fmt: skip
    run("phire-data", store, folder / "patches", "--time", TRAINING, "--patch", "32,32",
        "--scale", 4, "--patches-per-field", 4, "--normalization", "z",
        "--statistics", folder / "pairs")  # fmt: skip
    run("phire-train", folder / "patches", "--out", folder / "generator",
        "--network", "srgan-small",
        "--objective", f"srgan,content={folder / 'metric'},pretrain_epochs=1",
        "--epochs", "1", "--learning-rates", "1e-4", "--batch-size", 16)  # fmt: skip
    run("phire", "predict", folder / "generator", store, folder / "fine.nc", "--coarsen", 4,
        "--time", HELD_OUT)  # fmt: skip
    run("phire-eval", store, "--time", HELD_OUT, "--scale", 4, "--out", folder / "results",
        "--candidate", "bicubic=bicubic", "--candidate", f"learned={folder / 'generator'}",
        "--candidate", f"file={folder / 'fine.nc'}")  # fmt: skip
    return folder


def test_the_metric_tells_lags_apart_on_held_out_days(folder):
    metric = json.loads((folder / "metric" / "metric.json").read_text())
    assert metric["classes"] == CLASSES
    # Chance is 0.125, with a standard error of 0.008, and 0.
    assert metric["scores"]["accuracy"] >= 1.6 / CLASSES
    assert metric["scores"]["spearman"] >= 0.5


def test_the_learned_distance_rises_with_lag(folder):
    with xr.open_dataset(folder / "metric" / "lag.nc") as results:
        distance = results["learned_mean"].values
    assert len(distance) == CLASSES
    assert spearmanr(np.arange(CLASSES), distance).statistic > 0.9
    assert distance[-1] > 1.5 * distance[0]


def test_the_prediction_is_in_physical_units_with_coordinates(folder):
    with xr.open_dataset(folder / "fine.nc") as fine, xr.open_dataset(folder / "t2m.h5") as truth:
        assert fine["t2m"].attrs["units"] == "K"
        assert fine["t2m"].shape == (240, 32, 48)
        np.testing.assert_allclose(fine["latitude"], truth["latitude"][:32], atol=1e-4)
        np.testing.assert_allclose(fine["longitude"], truth["longitude"][:48], atol=1e-4)
        assert 260 < float(fine["t2m"].mean()) < 300


def test_the_report_compares_all_candidates(folder):
    summary = pd.read_csv(folder / "results" / "summary.csv")
    assert {"bicubic", "learned", "file"} <= set(summary["candidate"])
    report = (folder / "results" / "report.html").read_text()
    assert "bicubic" in report
    assert re.search(r"data:image/(webp|png);base64,", report)


def test_a_prediction_read_from_a_file_scores_as_the_run_does(folder):
    summary = pd.read_csv(folder / "results" / "summary.csv").set_index("candidate")
    numbers = summary.select_dtypes("number")
    np.testing.assert_allclose(
        numbers.loc["file"], numbers.loc["learned"], rtol=1e-3, equal_nan=True
    )
