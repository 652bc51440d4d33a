"""Tests of an ensemble's ranks for correlated fields."""

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from scipy.ndimage import gaussian_filter

from loading import load_script

ranks = load_script("rank_exchangeability")


def smooth_fields(*shape, seed):
    noise = np.random.default_rng(seed).normal(size=shape)
    return gaussian_filter(noise, [0] * (len(shape) - 2) + [2, 2], mode="wrap")


def p_values(members, trials=30):
    found = []
    for seed in range(trials):
        fields = smooth_fields(6, 5, 24, 24, seed=seed)
        fields[:, 1:] = members(fields[:, 1:])
        shares = np.array([ranks.histograms(each, np.full((24, 24), 1 / 576)) for each in fields])
        found.append(ranks.exchange_test(shares, 199, seed)[1])
    return np.array(found)


def test_exchangeable_members_are_rejected_as_often_as_the_level_says():
    found = p_values(lambda members: members)
    assert (found < 0.1).mean() < 0.25 and 0.3 < found.mean() < 0.7


def test_members_without_enough_spread_are_rejected():
    assert (p_values(lambda members: 0.6 * members, trials=8) < 0.05).all()


def test_equal_values_share_their_ranks():
    shares = ranks.histograms(np.zeros((4, 2, 3)), np.full((2, 3), 1 / 6))
    np.testing.assert_allclose(shares, 0.25)


def test_errors_are_uncorrelated_beyond_the_length_of_their_filter():
    lag = ranks.decorrelation_lag(smooth_fields(50, 8, 256, seed=1))
    # Two points of noise filtered by a Gaussian of deviation s correlate as exp(-(d / 2 s)^2).
    assert lag == pytest.approx(4 * np.sqrt(np.log(10)), abs=1.5)


def test_thinned_ranks_of_independent_values_have_a_p_value_above_the_level():
    values = np.random.default_rng(2).normal(size=(8, 5, 40, 40))
    assert ranks.decorrelated_p(values[:, 0], values[:, 1:], 2, 0) > 0.01
    assert ranks.decorrelated_p(3 * values[:, 0], values[:, 1:], 2, 0) < 1e-6


def test_command_prints_a_row_for_each_channel(tmp_path):
    coordinates = {
        "time": np.datetime64("2000-01-01", "ns") + np.arange(3) * np.timedelta64(6, "h"),
        "latitude": np.linspace(80, -80, 9),
        "longitude": np.arange(0.0, 360, 20),
    }
    fields = smooth_fields(3, 5, 9, 18, seed=3).astype("float32")
    dims = ("time", "member", "latitude", "longitude")
    members = xr.Dataset({"tas": (dims, fields[:, 1:])}, coordinates)
    truth = xr.Dataset({"tas": (("time", "latitude", "longitude"), fields[:, 0])}, coordinates)
    truth["tas"].attrs["units"] = members["tas"].attrs["units"] = "K"
    members.to_netcdf(tmp_path / "members.nc")
    truth.to_netcdf(tmp_path / "truth.nc")
    result = CliRunner().invoke(
        ranks.main, [str(tmp_path / "truth.nc"), str(tmp_path / "members.nc"), "--exchanges", "99"]
    )
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("| members | tas | ")
