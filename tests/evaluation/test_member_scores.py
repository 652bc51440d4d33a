"""Scores of each member: those of ``scores`` taken of one member after another."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.made_fields import setting_of, take, white_ensemble
from phire.evaluation import member_point_scores
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.catalogue import statistics
from phire.evaluation.chunks import with_candidate
from phire.evaluation.member_point_scores import member_similarity
from phire.evaluation.member_ranges import member_ends
from phire.evaluation.structural_similarity import similarity_in_rows, structural_similarity
from phire.fields.grid import Grid

GRID = Grid.gaussian(12)


def test_members_scores_are_those_of_single_fields():
    truth, members = white_ensemble(GRID, times=4, members=3)
    members += 0.5 * truth[:, None] + np.array([0.1, 0.2, 0.4])[:, None, None, None]
    members[2, 1, 3, 4] = np.nan  # left out for all members alike
    setting = setting_of(truth, GRID)
    result = take(statistics()["members"](setting), truth, members)
    holed = members.copy()
    holed[2, :, 3, 4] = np.nan
    each = [take(statistics()["scores"](setting), truth, holed[:, m]) for m in range(3)]
    for name in ("rmse", "mae", "bias", "correlation"):
        single = np.stack([one[name].values for one in each])
        for ending, pick in (("", np.mean), ("_low", np.min), ("_high", np.max)):
            found = result[f"member_{name}{ending}"]
            np.testing.assert_allclose(found, pick(single, 0), rtol=1e-6, atol=1e-7)
        together = [one[f"{name}_mean"].item() for one in each]
        assert result[f"member_{name}_mean"].item() == pytest.approx(np.mean(together), rel=1e-6)
        assert result[f"member_{name}_mean_high"].item() == pytest.approx(max(together), rel=1e-6)


@pytest.mark.parametrize("global_grid", [True, False])
def test_similarity_of_some_rows_is_that_of_these_windows(global_grid):
    random = np.random.default_rng(4)
    truth = random.normal(300, 4, (20, 30)).astype("f4")
    members = (truth + random.normal(size=(3, 20, 30))).astype("f4")
    mask = random.random((20, 30)) > 0.01
    tops = slice(1, None, 6)
    for present in (None, mask):
        found, full = similarity_in_rows(
            truth, members, 20.0, tops, wraps=global_grid, mask=present
        )
        for member, own in zip(members, found):
            expected, whole = structural_similarity(
                truth, member, 20.0, wraps=global_grid, mask=present
            )
            chosen = np.broadcast_to(True, own.shape) if present is None else whole[tops]
            np.testing.assert_allclose(own[chosen], expected[tops][chosen], atol=2e-5)
        if present is not None:
            np.testing.assert_array_equal(full, whole[tops])
            assert 0 < full.sum() < full.size


def test_similarity_of_members_of_large_fields_is_of_every_few_rows(monkeypatch):
    truth, members = white_ensemble(GRID, times=2, members=4)
    members = (members + 0.5 * truth[:, None]).astype("f4")
    setting = setting_of(truth, GRID)
    times = np.arange(2)
    monkeypatch.setattr(member_point_scores, "WINDOWS", 1)
    found = member_similarity(setting, Batch(truth, times), Ensemble(members, times))
    tops = [2]  # of six: a step of twice the number of members leaves one
    weights = setting.domain.weights[3:-3][tops, 0]
    for t, m in np.ndindex(2, 4):
        similarity, _ = structural_similarity(
            truth[t, ..., 0],
            members[t, m, ..., 0],
            float(setting.truth_moments.range[0]),
            wraps=True,
        )
        expected = np.average(similarity[tops].mean(1), weights=weights)
        assert found[t, 0, m] == pytest.approx(expected, abs=1e-5)


def test_ranges_of_scores_beside_missing_values_are_those_of_single_members():
    grid = Grid.regional(np.linspace(50, 40, 12), np.linspace(0, 15, 14))
    truth, members = white_ensemble(grid, times=3, members=4)
    members = members + 0.5 * truth[:, None]
    truth[:, 8:, :5] = members[:, :, 8:, :5] = np.nan  # sea, of which there is no climatology
    truth[1, 2, 9] = members[1, :, 2, 9] = np.nan
    statistic, times = statistics()["scores"](setting_of(truth, grid)), np.arange(3)
    ensemble = Ensemble(members, times)
    result = statistic.described(with_candidate(statistic, {}, Batch(truth, times), ensemble))
    each = [take(statistic, truth, members[:, m]) for m in range(4)]
    for name in statistic.member_ranges:
        values = np.stack([one[name].values for one in each])
        assert np.isfinite(values).all(), name
        for end, pick in zip(member_ends(name), (np.min, np.max)):
            np.testing.assert_allclose(result[end], pick(values, 0), 2e-5, 1e-6, err_msg=end)
