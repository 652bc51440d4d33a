"""Scripts that make predictors: the date in years, fields of another day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from loading import load_script

DAYS = ["2000-12-30", "2000-12-31", "2001-01-01", "2001-12-01", "2001-12-02"]


@pytest.fixture
def coarse(tmp_path):
    values = np.arange(5.0)[:, None, None] + np.zeros((5, 2, 3))
    axes = {"time": pd.to_datetime(DAYS), "lat": [45.0, 40.0], "lon": [0.0, 5.0, 10.0]}
    dataset = xr.Dataset({"psl": (("time", "lat", "lon"), values, {"units": "Pa"})}, axes)
    dataset["orog"] = dataset["psl"][0] * 0
    dataset.to_netcdf(tmp_path / "coarse.nc")
    return tmp_path / "coarse.nc"


def made(script, coarse, *options):
    output = coarse.with_name("made.nc")
    result = CliRunner().invoke(
        load_script(script).main, [str(coarse), str(output), *options], catch_exceptions=False
    )
    assert result.exit_code == 0
    with xr.open_dataset(output) as dataset:
        return dataset.load()


def test_the_date_in_years(coarse):
    year = made("year_predictor", coarse)["year"]
    assert year.shape == (5, 2, 3) and year.attrs["units"] == "year"
    expected = [2000 + 364 / 365.25, 2000 + 365 / 365.25, 2001, 2001 + 334 / 365.25]
    np.testing.assert_allclose(year[:4, 1, 2], expected, atol=2e-4)  # float32
    assert (year == year[:, :1, :1]).all()


@pytest.mark.parametrize(
    "options, name, expected",
    [
        ([], "psl_next", [1, 2, 2, 4, 4]),
        (["--shift", "-1D", "--suffix", "_before"], "psl_before", [0, 0, 1, 3, 3]),
    ],
)
def test_fields_of_another_day_and_their_own_beside_a_gap(coarse, options, name, expected):
    dataset = made("shifted_predictors", coarse, *options)
    assert list(dataset.data_vars) == [name]
    assert dataset[name].attrs["units"] == "Pa"
    np.testing.assert_array_equal(dataset[name][:, 0, 0], expected)
    np.testing.assert_array_equal(dataset["time"], pd.to_datetime(DAYS))
