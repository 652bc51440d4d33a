"""Scores of the table of events against scores, and their limits."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from evaluation.made_fields import rainy_ensemble, setting_of, take
from phire.evaluation.catalogue import statistics
from phire.evaluation.events import exceeds
from phire.fields.grid import Grid

GRID = Grid.pixels(16, 16)
TRUTH, MEMBERS = rainy_ensemble()


def events(truth, candidate, grid=GRID):
    setting = setting_of(truth, grid, channels=("pr",), thresholds={"pr": (1.0, 5.0)})
    return take(statistics()["events"](setting), truth, candidate).sel(channel="pr")


@pytest.mark.parametrize("limit", [1, 5])
def test_scores_equal_those_of_scores(limit):
    categorical = pytest.importorskip("scores.categorical")
    here = events(TRUTH, MEMBERS[:, 0]).sel(event=f"> {limit}")
    table = categorical.BinaryContingencyManager(
        xr.DataArray((MEMBERS[:, 0] > limit).astype(float)),
        xr.DataArray((TRUTH > limit).astype(float)),
    )
    for name, method in (
        ("frequency_bias", "frequency_bias"),
        ("hit_rate", "hit_rate"),
        ("false_alarm_ratio", "false_alarm_ratio"),
        ("equitable_threat_score", "equitable_threat_score"),
        ("symmetric_extremal_dependence_index", "symmetric_extremal_dependence_index"),
    ):
        assert here[name].item() == pytest.approx(float(getattr(table, method)()), rel=1e-9), name
    h, f = np.log(float(table.hit_rate())), np.log(float(table.false_alarm_rate()))
    assert here["extremal_dependence_index"].item() == pytest.approx((f - h) / (f + h), rel=1e-9)


def test_a_perfect_candidate_and_missing_points():
    perfect = events(TRUTH, TRUTH)
    assert (perfect["frequency_bias"] == 1).all() and (perfect["equitable_threat_score"] == 1).all()
    holed = MEMBERS[:, 0].copy()
    holed[:, :4] = np.nan
    cut = events(TRUTH[:, 4:], MEMBERS[:, 0, 4:], Grid.pixels(12, 16)).sel(event="> 5")
    found = events(TRUTH, holed).sel(event="> 5")
    for name in ("frequency_bias", "hit_rate", "equitable_threat_score"):
        assert found[name].item() == pytest.approx(cut[name].item())


@given(st.floats(-1e3, 1e3))
def test_single_precision_exceeds_a_limit_exactly(limit):
    """Values beside a limit are compared as in double precision."""
    nearest = np.float32(limit)
    values = np.array([nearest, *np.nextafter(nearest, np.float32([-np.inf, np.inf]))])
    np.testing.assert_array_equal(exceeds(values, limit), values.astype(float) > limit)
