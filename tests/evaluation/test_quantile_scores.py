"""Quantile scores against scores and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from evaluation.made_fields import rainy_ensemble, setting_of, take, white_ensemble
from phire.evaluation.catalogue import statistics
from phire.fields.grid import Grid

GRID = Grid.pixels(16, 16)


def test_quantile_scores_equal_those_of_scores():
    continuous = pytest.importorskip("scores.continuous")
    truth, members = rainy_ensemble()
    result = take(statistics()["quantile_score"](setting_of(truth, GRID)), truth, members)
    for level in (0.1, 0.75, 0.99):
        quantile = np.quantile(members, level, axis=1)
        expected = continuous.quantile_score(
            xr.DataArray(quantile.ravel()), xr.DataArray(truth.ravel()), alpha=level
        )
        here = result.sel(level=level)
        assert here["quantile_score"].item() == pytest.approx(float(expected), rel=1e-9)
        assert here["quantile_coverage"].item() == pytest.approx((truth <= quantile).mean())


def test_many_exchangeable_members_cover_the_truth_as_often_as_they_should():
    truth, members = white_ensemble(GRID, times=6, members=99)
    result = take(statistics()["quantile_score"](setting_of(truth, GRID)), truth, members)
    np.testing.assert_allclose(result["quantile_coverage"][0], result["level"], atol=0.04)
