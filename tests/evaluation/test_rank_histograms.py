"""Ranks with random ties: flat for exchangeable members, also of rain; closed forms of errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from evaluation.made_fields import setting_of, take, white_ensemble
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.catalogue import statistics
from phire.evaluation.rank_histograms import calibration
from phire.fields.grid import Grid

GRID = Grid.pixels(40, 50)


def ranks_of(truth, members):
    return take(statistics()["rank_uniformity"](setting_of(truth, GRID)), truth, members)


@pytest.mark.parametrize("dry", [-np.inf, 0.8])
def test_ranks_of_exchangeable_members_are_flat_by_chi_square(dry):
    """Four fifths of the values are equal where ``dry`` is 0.8."""
    truth, members = (np.maximum(fields, dry) for fields in white_ensemble(GRID, members=9))
    result = ranks_of(truth, members).isel(channel=0)
    # δ · M is chi-square of M degrees of freedom.
    assert chi2.cdf(result["rank_delta"].item() * 9, 9) < 0.995
    number = truth.size
    assert result["rank_error"].item() < 10 * 3 * np.sqrt(0.09 / number)
    assert np.abs(result["pit_histogram"] - 1).max() < 4 * np.sqrt(20 / number)


def test_too_little_spread_is_a_u_and_too_high_members_a_slope():
    truth, members = white_ensemble(GRID, members=9)
    narrow, high = (ranks_of(truth, m).isel(channel=0) for m in (members / 3, members + 1))
    assert narrow["rank_delta"] > 100 and narrow["pit_histogram"][0] > 2
    assert abs(narrow["calibration_bias"]) < 0.02 < narrow["rank_error"]
    assert high["calibration_bias"] > 0.2


def test_ranks_of_a_time_do_not_depend_on_the_other_times():
    truth, members = (np.maximum(fields, 0) for fields in white_ensemble(GRID, times=3))
    taker = statistics()["rank_uniformity"](setting_of(truth, GRID))
    times = np.arange(3)
    at_once = taker.measure(Batch(truth, times), Ensemble(members, times))
    single = [
        taker.measure(Batch(truth[[i]], times[[i]]), Ensemble(members[[i]], times[[i]]))
        for i in range(3)
    ]
    np.testing.assert_array_equal(at_once["rank"], sum(state["rank"] for state in single))


def test_calibration_of_shapes_in_closed_form():
    """A symmetric U has no bias; of all ranks at the bottom the bias is ½ (1 − 1/K)."""
    u = np.array([0.3, 0.1, 0.1, 0.1, 0.1, 0.3])
    assert calibration(u)[0] == pytest.approx(0, abs=1e-15)
    lowest = np.array([1.0, 0, 0, 0])
    bias, error = calibration(lowest)
    assert bias == pytest.approx(0.5 * (1 - 1 / 4))
    # C(u) − u is 3u up to 1/4, then 1 − u.
    assert error == pytest.approx(9 * 0.25**3 / 3 + 0.75**3 / 3)
