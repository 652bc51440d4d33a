"""Energy and variogram scores against scoringrules, and the energy score's closed form."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.made_fields import setting_of, take, white_ensemble
from phire.evaluation import multivariate_scores
from phire.evaluation.catalogue import statistics
from phire.evaluation.multivariate_scores import energy_scores
from phire.fields.grid import Grid


@pytest.fixture
def patches():
    """Truth (10, 16) and members (7, 10, 16) of ten patches of sixteen points."""
    random = np.random.default_rng(0)
    return random.normal(size=(10, 16)), random.normal(size=(7, 10, 16))


def test_scores_equal_those_of_scoringrules():
    scoringrules = pytest.importorskip("scoringrules")
    grid = Grid.pixels(16, 24)
    truth, members = white_ensemble(grid, times=2)
    result = take(statistics()["patch_scores"](setting_of(truth, grid)), truth, members)

    def cut(fields):
        """(..., H, W) as (..., patches, points)."""
        shape = fields.shape[:-2]
        blocks = fields.reshape(*shape, 2, 8, 3, 8)
        return np.moveaxis(blocks, -3, -2).reshape(*shape, 6, 64)

    y, x = cut(truth[..., 0]), cut(np.moveaxis(members[..., 0], 1, 0))
    x = np.moveaxis(x, 0, -2)
    for name, estimator in (("energy_score", "nrg"), ("energy_score_fair", "fair")):
        # Theirs is of the root of the sum of squares, ours of the mean.
        expected = scoringrules.es_ensemble(y, x, estimator=estimator).mean(1) / 8
        np.testing.assert_allclose(result[name][0], expected, rtol=1e-6)
    # Theirs sums over ordered pairs.
    expected = scoringrules.vs_ensemble(y, x, p=0.5).mean(1) / (64 * 63)
    np.testing.assert_allclose(result["variogram_score"][0], expected, rtol=1e-6)


def test_the_energy_score_of_equal_distributions_is_half_the_mean_distance():
    """Of k normal numbers, E‖X − X′‖ = 2 Γ((k + 1)/2) / Γ(k/2); the fair score estimates half."""
    from scipy.special import gammaln

    random = np.random.default_rng(1)
    points = 9
    observed = random.normal(size=(4000, points))
    members = random.normal(size=(5, 4000, points))
    fair = energy_scores(observed, members, np.full((4000, points), 1 / points))[1].mean()
    expected = np.exp(gammaln((points + 1) / 2) - gammaln(points / 2)) / np.sqrt(points)
    assert fair == pytest.approx(expected, abs=0.01)


def test_a_patch_with_a_missing_value_is_left_out():
    grid = Grid.pixels(16, 16)
    truth, members = white_ensemble(grid, times=1)
    holed = members.copy()
    holed[0, 3, 2, 5] = np.nan
    taker = statistics()["patch_scores"](setting_of(truth, grid))
    whole, without = (take(taker, truth, m)["energy_score"].item() for m in (members, holed))
    upper = take(
        statistics()["patch_scores"](setting_of(truth[:, :8, :8], Grid.pixels(8, 8))),
        truth[:, :8, :8],
        members[:, :, :8, :8],
    )["energy_score"].item()
    assert without == pytest.approx((4 * whole - upper) / 3, rel=1e-9)


def test_of_large_fields_some_patches_are_drawn(monkeypatch):
    """Five of twelve patches, whose mean score is that of the field."""
    monkeypatch.setattr(multivariate_scores, "PATCHES", 5)
    grid = Grid.pixels(24, 32)
    truth, members = white_ensemble(grid, times=1)
    taker = statistics()["patch_scores"](setting_of(truth, grid))
    corners = {(rows[0], columns[0]) for rows, columns in zip(taker._rows, taker._columns)}
    assert len(corners) == 5
    assert all(row in (0, 8, 16) and column in (0, 8, 16, 24) for row, column in corners)
    own = []
    for row, column in corners:
        place = slice(row, row + 8), slice(column, column + 8)
        y, x = truth[:, *place], members[:, :, *place]
        one = statistics()["patch_scores"](setting_of(y, Grid.pixels(8, 8)))
        own.append(take(one, y, x))
    for name in ("energy_score_fair", "variogram_score"):
        found = take(taker, truth, members)[name].item()
        assert found == pytest.approx(np.mean([one[name].item() for one in own]), rel=1e-9)
