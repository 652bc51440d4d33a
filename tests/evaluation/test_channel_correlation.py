"""Correlations of channels against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.made_fields import setting_of, take
from phire.evaluation.catalogue import statistics
from phire.fields.grid import Grid


def test_correlations_and_their_error_equal_numpy():
    random = np.random.default_rng(0)
    grid = Grid.gaussian(8)
    truth = random.normal(size=(4, *grid.shape, 3)) @ random.normal(size=(3, 3)) + 5
    candidate = random.normal(size=(4, *grid.shape, 3)) @ random.normal(size=(3, 3))
    candidate[2, 3, 4, 1] = np.nan
    weights = np.broadcast_to(grid.area_weights(), (4, *grid.shape)).ravel().copy()
    weights[2 * 128 + 3 * 16 + 4] = 0
    expected = []
    for fields in (candidate, truth):
        covariance = np.cov(np.nan_to_num(fields).reshape(-1, 3).T, aweights=weights, ddof=0)
        size = np.sqrt(np.diag(covariance))
        expected.append(covariance / np.outer(size, size))
    taker = statistics()["channel_correlation"](setting_of(truth, grid))
    result = take(taker, truth, candidate)
    np.testing.assert_allclose(result["channel_correlation"], expected[0], rtol=1e-9)
    gaps = (expected[0] - expected[1])[np.triu_indices(3, 1)]
    error = np.sqrt((gaps**2).mean())
    assert result["channel_correlation_error"].item() == pytest.approx(error)
