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


def test_predictions_keep_their_minimum(files):
    result = CliRunner().invoke(
        ridge.main,
        [str(files / "f.nc"), str(files / "m.nc"), "--targets", "t", "--coarse", f"{files}/c.nc",
         "--split", "2001-06-01", "--minimum", "t=3"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with xr.open_dataset(files / "m.nc") as found:
        assert float(found["t"].min()) == 3 and float(found["t"].max()) > 4


def test_members_have_the_residuals_spread(files):
    result = CliRunner().invoke(
        ridge.main,
        [str(files / "f.nc"), str(files / "e.nc"), "--targets", "t", "--coarse", f"{files}/c.nc",
         "--split", "2001-06-01", "--members", "20"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with xr.open_dataset(files / "e.nc") as found:
        assert found["t"].dims == ("member", "time", "lat", "lon")
        spread = np.sqrt(found["t"].var("member", ddof=1).mean())
    assert 0.095 < spread < 0.11  # the noise of the fine fields
    # The CRPS of a Gaussian around the truth's own distribution: deviation / √π.
    crps = float(result.output.split("residuals ")[1].split(";")[0])
    assert abs(crps - 0.1 / np.sqrt(np.pi)) < 0.004


def test_the_crps_of_a_censored_gaussian_is_that_of_its_draws():
    random = np.random.default_rng(2)
    truth = np.maximum(random.normal(size=2000), 0)
    draws = np.maximum(random.normal(size=(2000, 2)), 0)
    energy = np.abs(draws - truth[:, None]).mean() - 0.5 * np.abs(np.diff(draws)).mean()
    crps = ridge.gaussian_crps(truth, np.zeros(2000), np.ones(2000), 0.0)
    assert abs(crps - energy) < 0.02


def test_scores_leave_missing_values_out():
    truth = np.array([[0.0, np.nan], [2.0, 1.0], [4.0, 1.0]])
    error, correlation = ridge.scores(truth, np.array([[1.0, 5.0], [3.0, 1.0], [5.0, 4.0]]))
    assert error == pytest.approx(np.sqrt((1 + 1 + 1 + 0 + 9) / 5))
    assert correlation == pytest.approx(1)
