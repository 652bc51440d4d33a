"""The ridge baseline finds a linear relation and is written as a candidate of an evaluation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from loading import load_script

ridge = load_script("ridge_regression")


@pytest.fixture
def files(tmp_path):
    """Coarse fields, and fine ones that are a linear map of them with noise and a missing point."""
    random = np.random.default_rng(0)
    time = pd.date_range("2001-01-01", periods=200)
    coarse = random.normal(size=(200, 2, 3)).astype("f4")
    weights = random.normal(size=(6, 20))
    fine = (
        coarse.reshape(200, 6) @ weights + 3 + random.normal(scale=0.1, size=(200, 20))
    ).reshape(200, 4, 5)
    fine[:, 0, 0] = np.nan
    axes = {"time": time}
    xr.Dataset({"p": (("time", "y", "x"), coarse), "z": (("y", "x"), coarse[0])}, axes).to_netcdf(
        tmp_path / "c.nc"
    )
    xr.Dataset({"t": (("time", "lat", "lon"), fine, {"units": "K"})}, axes).to_netcdf(
        tmp_path / "f.nc"
    )
    return tmp_path


def test_a_linear_relation_is_found(files):
    result = CliRunner().invoke(
        ridge.main,
        [str(files / "f.nc"), str(files / "r.nc"), "--targets", "t", "--coarse", f"{files}/c.nc",
         "--split", "2001-06-01"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with xr.open_dataset(files / "r.nc") as found, xr.open_dataset(files / "f.nc") as truth:
        assert found["time"].values[0] == np.datetime64("2001-06-01")
        error = found["t"] - truth["t"].sel(time=found["time"])
        assert np.isnan(error[:, 0, 0]).all()
        # The noise, and the error of seven coefficients from 151 times.
        assert 0.095 < np.sqrt((error**2).mean()) < 0.11
    assert "correlation 0.99" in result.output or "correlation 1.00" in result.output


def test_predictions_keep_their_minimum():
    random = np.random.default_rng(1)
    inputs = random.normal(size=(60, 3))
    train = np.arange(60) < 40
    found, _ = ridge.regress(inputs, inputs[:, :1] * 2, train, minimum=0.0)
    assert found.min() == 0 and found.max() > 1


def test_scores_leave_missing_values_out():
    truth = np.array([[0.0, np.nan], [2.0, 1.0], [4.0, 1.0]])
    error, correlation = ridge.scores(truth, np.array([[1.0, 5.0], [3.0, 1.0], [5.0, 4.0]]))
    assert error == pytest.approx(np.sqrt((1 + 1 + 1 + 0 + 9) / 5))
    assert correlation == pytest.approx(1)
