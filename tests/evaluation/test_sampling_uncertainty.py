"""Intervals by the block bootstrap against their closed form and a direct bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from evaluation.made_fields import setting_of, take
from phire.evaluation.candidate_differences import differences_of
from phire.evaluation.catalogue import statistics
from phire.evaluation.sampling_uncertainty import bootstrap_interval
from phire.fields.grid import Grid

GRID = Grid.pixels(6, 8)


def errors(shift, *, times=200, seed=0):
    """Truth and candidate whose bias of each time is normal of mean ``shift``, deviation 1."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=(times, *GRID.shape, 1))
    return truth, truth + shift + random.normal(size=(times, 1, 1, 1))


def uncertainty(truth, candidate):
    setting = setting_of(truth, GRID, grouped=("scores",))
    return take(statistics()["uncertainty"](setting), truth, candidate)


def test_the_interval_of_a_mean_is_that_of_student():
    truth, candidate = errors(0.5)
    result = uncertainty(truth, candidate).isel(channel=0)
    # A pseudo-value of a mean is the mean over its block.
    bias = (candidate - truth).mean((1, 2, 3)).reshape(20, 10).mean(1)
    np.testing.assert_allclose(result["bias_blocks"], bias, rtol=1e-8)
    half = (result["bias_high"] - result["bias_low"]).item() / 2
    assert half == pytest.approx(1.96 * bias.std() / np.sqrt(20), rel=0.1)
    assert result["bias_low"] < 0.5 < result["bias_high"]


def test_the_interval_of_a_root_is_near_that_of_a_direct_bootstrap():
    truth, candidate = errors(0.5)
    result = uncertainty(truth, candidate).isel(channel=0)
    squares = ((candidate - truth) ** 2).mean((1, 2, 3)).reshape(20, 10).mean(1)
    random = np.random.default_rng(1)
    drawn = np.sqrt(squares[random.integers(0, 20, (4000, 20))].mean(1))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert result["rmse_low"].item() == pytest.approx(low, abs=0.02)
    assert result["rmse_high"].item() == pytest.approx(high, abs=0.02)


def test_intervals_hold_the_mean_about_as_often_as_they_should():
    random = np.random.default_rng(2)
    ends = [bootstrap_interval(random.normal(size=20), seed) for seed in range(300)]
    share = np.mean([low < 0 < high for low, high in ends])
    assert 0.88 < share < 0.97


def test_candidates_are_compared_in_pairs():
    """A constant shift is found beneath noise that both share; noise of each alone is not."""
    truth, candidate = errors(2.0)
    results = [uncertainty(truth, fields) for fields in (candidate, candidate + 0.05)]
    rows = {row[0]: row for row in differences_of(*results, 0)}
    _, difference, low, high, equal = rows["bias:channel_0"]
    assert difference == pytest.approx(-0.05) and low < high < 0 and not equal
    noise = np.random.default_rng(5).normal(size=(200, 1, 1, 1))
    rows = {
        row[0]: row for row in differences_of(results[0], uncertainty(truth, truth + 2 + noise), 0)
    }
    assert rows["bias:channel_0"][4]


def test_the_difference_counts_from_the_best_value():
    def result(ratio):
        blocks = np.full((6, 1), ratio) + 0.01 * np.arange(-2.5, 3)[:, None]
        return xr.Dataset(
            {"spread_skill_ratio": ("channel", [ratio]),
             "spread_skill_ratio_blocks": (("block", "channel"), blocks)},
            {"channel": ["t"]},
        )  # fmt: skip

    row = next(differences_of(result(0.7), result(1.2), 0))
    assert row[0] == "spread_skill_ratio:t" and row[1] == pytest.approx(0.3 - 0.2)
