"""Return levels against the distribution drawn from and scipy's fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from phire.evaluation.return_levels import blocks_of_maxima, return_levels
from phire.fields.time_axis import TimeAxis


@pytest.mark.parametrize("shape", [-0.15, 0.1])
def test_return_levels_are_those_of_the_distribution_drawn_from(shape):
    maxima = stats.genextreme.rvs(shape, 20, 5, size=(1, 20000), random_state=0)
    found = return_levels(maxima, (2.0, 10.0, 50.0))[0]
    expected = stats.genextreme.ppf([0.5, 0.9, 0.98], shape, 20, 5)
    np.testing.assert_allclose(found, expected, rtol=0.02)
    fitted = stats.genextreme.fit(maxima[0][:2000])
    likelihood = stats.genextreme.ppf([0.5, 0.9, 0.98], *fitted)
    np.testing.assert_allclose(return_levels(maxima[:, :2000], (2.0, 10.0, 50.0))[0], likelihood,
                               rtol=0.05)  # fmt: skip


def test_years_before_and_after_1970_are_blocks_of_their_own():
    time = TimeAxis.from_cf(np.arange(60) * 73.0485 + 30, "days since 1965-01-01")
    blocks = blocks_of_maxima(time)
    assert (np.bincount(blocks.index) == 5).all() and len(np.bincount(blocks.index)) == 12


@pytest.mark.parametrize(
    ("hours", "length"),
    [
        (np.arange(100), "10 times at steps of 1 h"),
        (np.delete(np.arange(101), 50), "10 times at steps of 1 h, with gaps"),
        (np.arange(119), "10 or 11 times at steps of 1 h"),
    ],
    ids=["whole", "gap", "unequal"],
)
def test_the_length_of_a_block_counts_times(hours, length):
    blocks = blocks_of_maxima(TimeAxis.from_cf(hours, "hours since 2000-01-01"))
    assert blocks.length == length
