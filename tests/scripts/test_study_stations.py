"""The study of stations on a few months of real sea-level pressure."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from loading import load_script

study = load_script("study_stations")
REALDATA = os.environ.get("PHIRE_REALDATA")


def test_errors_are_weighted_by_area_and_taken_at_stations():
    axes = {"time": np.arange(2), "latitude": [60.0, 0.0], "longitude": [0.0, 10.0]}
    truth = xr.DataArray(np.zeros((2, 2, 2)), axes, tuple(axes))
    predicted = truth.copy(data=[[[2, 2], [1, 1]], [[2, 2], [1, 3]]])
    found = study.errors(predicted, truth, [("a", 0.1, 9.9), ("b", 60.0, 0.0)])
    # Rows of 60° weigh half as much as the equator's: means of squares 4 and (1 + 5) / 2.
    assert found["everywhere"] == pytest.approx(np.sqrt((0.5 * 4 + 3) / 1.5))
    assert found["withheld stations"] == pytest.approx(np.sqrt((5 + 4) / 2))


def test_stations_are_distinct_points():
    points = study.draw_stations((3, 4), 12, seed=1)
    assert {tuple(point) for point in points} == {(r, c) for r in range(3) for c in range(4)}


@pytest.mark.skipif(
    not REALDATA or not Path(REALDATA).is_dir(),
    reason="PHIRE_REALDATA does not name the folder of real files",
)
def test_stations_lower_the_error(tmp_path):
    name = "ncep_slp_natlantic_2001-2010_daily.nc"
    with xr.open_dataset(Path(REALDATA) / name) as dataset:
        dataset.isel(time=slice(0, 480)).to_netcdf(tmp_path / "slp.nc")
    result = CliRunner().invoke(
        study.main,
        [str(tmp_path / "slp.nc"), str(tmp_path / "study"), "--split", "2002-03-01", "--seeds", "0",
         "--stations", "100", "--epochs", "12", "--network",
         "resnet,upsampling=pre,filters=8,blocks=3,add=bilinear"],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    scores = pd.read_csv(tmp_path / "study" / "scores.csv").set_index("candidate")
    assert list(scores.index) == ["bicubic", "without stations", "with stations"]
    with xr.open_dataset(tmp_path / "study" / "with-stations" / "predicted-0.nc") as predicted:
        assert predicted["slp"].shape == (480 - 424, 16, 32)
    assert scores.loc["with stations", "everywhere"] < scores.loc["without stations", "everywhere"]
