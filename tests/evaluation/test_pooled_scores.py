"""CRPS of pooled fields against numbers of independent implementations and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.made_fields import rainy_ensemble, setting_of, take, white_ensemble
from phire.evaluation import pooled_scores
from phire.evaluation.catalogue import statistics
from phire.fields.grid import Grid


def pooled(truth, members, grid):
    return take(statistics()["pooled_crps"](setting_of(truth, grid)), truth, members)


@pytest.mark.parametrize(
    ("pooling", "window", "expected"),
    [
        ("mean", 1, 2.3826587602717746),
        ("maximum", 1, 2.3826587602717746),
        ("mean", 4, 1.6239674330709466),
        ("mean", 8, 0.16558691049414836),
        ("maximum", 4, 4.248016086945029),
    ],
)
def test_scores_of_rain_equal_those_of_an_independent_implementation(pooling, window, expected):
    result = pooled(*rainy_ensemble(), Grid.pixels(16, 16))
    found = result["pooled_crps"].sel(pooling=pooling, window=window).item()
    assert found == pytest.approx(expected, rel=1e-6)
    fair = result["pooled_crps_fair"].sel(pooling="mean", window=1).item()
    assert fair == pytest.approx(2.040777308553923, rel=1e-9)


def test_means_and_squares_are_weighted_by_area_and_incomplete_squares_left_out():
    scoringrules = pytest.importorskip("scoringrules")
    grid = Grid.gaussian(12)
    truth, members = white_ensemble(grid, times=2)
    truth[1, 3, 5] = np.nan
    result = pooled(truth, members, grid)
    weights = np.broadcast_to(grid.area_weights(), grid.shape)
    sums = np.zeros(2)
    for i in range(2):
        for row in range(0, 12, 4):
            for column in range(0, 24, 4):
                place = (slice(row, row + 4), slice(column, column + 4))
                area = weights[place]
                y = (truth[i, ..., 0][place] * area).sum() / area.sum()
                x = (members[i, ..., 0][(slice(None), *place)] * area).sum((1, 2)) / area.sum()
                if np.isfinite(y):
                    score = scoringrules.crps_ensemble(y, x, estimator="fair")
                    sums += [area.sum() * score, area.sum()]
    found = result["pooled_crps_fair"].sel(pooling="mean", window=4).item()
    assert found == pytest.approx(sums[0] / sums[1], rel=1e-9)


def test_large_fields_are_sampled_in_strips_of_whole_squares(monkeypatch):
    """With two strips at most, every second of four is left out."""
    monkeypatch.setattr(pooled_scores, "STRIPS", 2)
    truth, members = white_ensemble(Grid.pixels(64, 32), times=2)
    rows = np.r_[0:16, 32:48]
    found = pooled(truth, members, Grid.pixels(64, 32))
    expected = pooled(truth[:, rows], members[:, :, rows], Grid.pixels(32, 32))
    larger = {"window": slice(2, None)}  # points are all used
    for name in ("pooled_crps", "pooled_crps_fair"):
        np.testing.assert_allclose(found[name].sel(larger), expected[name].sel(larger), rtol=1e-6)
        assert not np.isclose(found[name].sel(window=1), expected[name].sel(window=1)).any()
