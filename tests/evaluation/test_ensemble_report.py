"""All default figures of an ensemble of two channels, beside a single field."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from phire.cli.phire_eval import main as phire_eval

DIMS = ("time", "lat", "lon")


@pytest.mark.slow
def test_the_report_of_an_ensemble_of_two_channels(tmp_path):
    random = np.random.default_rng(0)
    axes = {
        "time": pd.date_range("2000-01-01", periods=8, freq="6h"),
        "lat": np.arange(54.0, 48.0, -0.5),
        "lon": np.arange(0.0, 8.0, 0.5),
    }
    shape = tuple(len(axis) for axis in axes.values())
    truth = {name: random.normal(size=shape).cumsum(-1) for name in ("t", "q")}
    xr.Dataset({n: (DIMS, v, {"units": "K"}) for n, v in truth.items()}, axes).to_netcdf(
        tmp_path / "truth.nc"
    )
    members = {n: v + random.normal(size=(4, *shape)) for n, v in truth.items()}
    for name, dims, chosen in (("members", ("member", *DIMS), slice(None)), ("one", DIMS, 0)):
        dataset = {n: (dims, v[chosen], {"units": "K"}) for n, v in members.items()}
        xr.Dataset(dataset, axes).to_netcdf(tmp_path / f"{name}.nc")
    result = CliRunner().invoke(
        phire_eval,
        [f"{tmp_path}/truth.nc", "--candidate", f"members={tmp_path}/members.nc",
         "--candidate", f"one={tmp_path}/one.nc", "--out", f"{tmp_path}/results", "--quiet"],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    summary = pd.read_csv(tmp_path / "results" / "summary.csv", index_col="candidate")
    # Independent errors of deviation 1, four of them in a mean.
    assert summary.loc["one", "rmse:t"] == pytest.approx(1, abs=0.05)
    assert summary.loc["members", "rmse:t"] == pytest.approx(0.5, abs=0.03)
    assert (tmp_path / "results" / "members" / "channel_correlation.nc").exists()
    assert (tmp_path / "results" / "report.html").exists()
