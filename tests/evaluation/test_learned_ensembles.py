"""Learned scores of ensembles against scoringrules and each member by itself; by season."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from evaluation.made_fields import setting_of, take, white_ensemble
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.catalogue import statistics
from phire.fields.grid import Grid
from phire.fields.time_axis import TimeAxis

GRID = Grid.pixels(8, 12)
TRUTH, MEMBERS = white_ensemble(GRID, times=24, members=4)


def features(fields):
    """Means over quarters of the rows."""
    return np.asarray(fields, float).reshape(len(fields), 4, -1).mean(2)


def distance(truth, candidate):
    return ((features(truth) - features(candidate)) ** 2).mean(1)


LEARNED = {"distance": distance, "features": features}


def test_the_learned_energy_score_is_that_of_scoringrules():
    scoringrules = pytest.importorskip("scoringrules")
    statistic = statistics()["learned_ensemble"](setting_of(TRUTH, GRID, learned=LEARNED))
    result = take(statistic, TRUTH, MEMBERS)
    members = np.stack([features(MEMBERS[:, m]) for m in range(4)], 1)
    expected = scoringrules.es_ensemble(features(TRUTH), members)
    np.testing.assert_allclose(result["learned_energy_score"], expected, rtol=1e-6)
    assert result["learned_energy_score_mean"].item() == pytest.approx(expected.mean(), rel=1e-6)


def test_the_fair_score_of_members_like_the_truth_is_least():
    def score(factor):
        statistic = statistics()["learned_ensemble"](setting_of(TRUTH, GRID, learned=LEARNED))
        return take(statistic, TRUTH, factor * MEMBERS)["learned_energy_score_fair_mean"].item()

    assert score(1.0) < min(score(0.0), score(3.0))


def test_distances_of_members_are_those_of_each():
    setting = setting_of(TRUTH, GRID, learned=LEARNED)
    result = take(statistics()["learned_ensemble"](setting), TRUTH, MEMBERS)
    each = [take(statistics()["learned"](setting), TRUTH, MEMBERS[:, m]) for m in range(4)]
    for name, variable in (
        ("member_learned_distance_mean", "learned_distance_mean"),
        ("member_frechet_distance", "frechet_distance"),
    ):
        values = [one[variable].item() for one in each]
        for ending, pick in (("", np.mean), ("_low", np.min), ("_high", np.max)):
            assert result[f"{name}{ending}"].item() == pytest.approx(pick(values), rel=1e-9)


def test_learned_distances_by_season_are_those_of_its_times():
    time = TimeAxis.from_cf(np.arange(24) * 15, "days since 2001-01-03")
    setting = setting_of(TRUTH, GRID, learned=LEARNED, grouped=("learned", "learned_ensemble"))
    setting = dataclasses.replace(setting, time=time)
    statistic = statistics()["by_season"](setting)
    times = np.arange(24)
    state = statistic.update({}, Batch(TRUTH, times), Ensemble(MEMBERS, times))
    result = statistic.result(state)
    summer = time.months() % 12 // 3 == 2
    here = result.sel(season="JJA")
    one = setting_of(TRUTH[summer], GRID, learned=LEARNED)
    alone = take(statistics()["learned_ensemble"](one), TRUTH[summer], MEMBERS[summer])
    for name, variable in (
        ("learned_energy_score_fair", "learned_energy_score_fair_mean"),
        ("member_frechet_distance", "member_frechet_distance"),
        ("member_learned_distance", "member_learned_distance_mean"),
    ):
        assert here[name].item() == pytest.approx(alone[variable].item(), rel=1e-9)
    assert np.isfinite(result["frechet_distance"]).all()
