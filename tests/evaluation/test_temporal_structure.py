"""Persistence and trends against closed forms, and return levels of fields."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.made_fields import setting_of, take
from phire.evaluation import evaluate
from phire.evaluation.catalogue import statistics
from phire.evaluation.figures.all_figures import plans
from phire.evaluation.figures.results_reading import ResultsFolder
from phire.evaluation.return_levels import return_levels
from phire.evaluation.temporal_structure import lag_one, trends
from phire.fields import ArraySource
from phire.fields.grid import Grid
from phire.fields.time_axis import TimeAxis

GRID = Grid.gaussian(8)


def autoregressive(coefficient, times=600, seed=0):
    """(T, H, W, 1) fields of the lag-1 autocorrelation ``coefficient`` at each point."""
    random = np.random.default_rng(seed)
    fields = random.normal(size=(times, *GRID.shape, 1))
    for t in range(1, times):
        fields[t] = coefficient * fields[t - 1] + np.sqrt(1 - coefficient**2) * fields[t]
    return fields


def test_autocorrelation_in_closed_form_and_by_numpy():
    truth, candidate = autoregressive(0.7), autoregressive(0.4, seed=1)
    result = take(statistics()["temporal"](setting_of(truth, GRID)), truth, candidate)
    assert result["lag_autocorrelation"].item() == pytest.approx(0.4, abs=0.02)
    assert result["lag_autocorrelation_difference"].item() == pytest.approx(-0.3, abs=0.03)
    flat = candidate.reshape(600, -1)
    each = [np.corrcoef(flat[:-1, p], flat[1:, p])[0, 1] for p in range(flat.shape[1])]
    weights = np.broadcast_to(GRID.area_weights(), GRID.shape).ravel()
    expected = np.average(each, weights=weights)
    assert result["lag_autocorrelation"].item() == pytest.approx(expected, rel=1e-10)


def test_a_single_time_has_no_autocorrelation():
    """A group by hour, month or season may hold one time."""
    assert np.isnan(lag_one(np.ones((1, 3, 4)), np.array([7.0]))).all()


def test_trends_equal_numpy():
    random = np.random.default_rng(0)
    moments = np.sort(random.uniform(0, 100, 50))
    values = 3 * moments[:, None] + random.normal(size=(50, 4))
    expected = np.polyfit(moments, values, 1)[0]
    np.testing.assert_allclose(trends(values, moments), expected, rtol=1e-9)
    values[7, 2] = np.nan
    kept = np.arange(50) != 7
    expected = np.polyfit(moments[kept], values[kept, 2], 1)[0]
    assert trends(values, moments)[2] == pytest.approx(expected, rel=1e-9)


def test_return_levels_of_fields_have_intervals_that_hold_them():
    truth = autoregressive(0.3)
    result = take(statistics()["temporal"](setting_of(truth, GRID)), truth, 1.5 * truth)
    level = result["return_level"]
    assert (result["return_level_low"] < level).all() and (
        level < result["return_level_high"]
    ).all()
    assert result["return_level_ratio"].item() == pytest.approx(1.5, rel=1e-6)
    blocks = truth.max((1, 2, 3)).reshape(60, 10).max(1)
    expected = return_levels(1.5 * blocks[None], (10.0,))[0, 0]
    assert level.sel(period=10).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("hours", "length", "count", "axis"),
    [
        (3 * np.arange(125), "10 or 11 times at steps of 3 h", 12, "Period (blocks)"),
        (24 * 73 * np.arange(61), "1 year", 12, "Period (years)"),
        (None, "10 times", 12, "Period (blocks)"),
    ],
    ids=["hours", "years", "no dates"],
)
def test_the_length_of_a_block_is_stated(tmp_path, hours, length, count, axis):
    dated = hours is not None
    time = TimeAxis.from_cf(hours, "hours since 1990-01-02") if dated else TimeAxis.steps(120)
    truth = autoregressive(0.3, len(time)).astype("f4")
    source, candidate = (ArraySource(f, grid=GRID, time=time) for f in (truth, 1.5 * truth))
    options = {"metrics": ["temporal"], "report": False}
    evaluate(source, {"a": candidate}, tmp_path / "out", **options)
    folder = ResultsFolder(tmp_path / "out")
    result = folder.metric("temporal")["a"]
    for name in ("period", "return_level", "return_level_low"):
        assert result[name].attrs["block_length"] == length
        assert result[name].attrs["block_count"] == count
    (plan,) = (one for one in plans(folder) if one.name.startswith("temporal-"))
    assert plan.caption.endswith(f"A block is {length}; there are {count} blocks.")
    assert plan.draw().axes[0].get_xlabel() == axis


def test_too_few_times_have_no_blocks():
    truth = autoregressive(0.3, 60)
    result = take(statistics()["temporal"](setting_of(truth, GRID)), truth, truth)
    assert result["return_level"].isnull().all()
    assert "block_length" not in result["period"].attrs
