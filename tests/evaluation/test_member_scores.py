"""Scores of each member: those of ``scores`` taken of one member after another."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.made_fields import setting_of, take, white_ensemble
from phire.evaluation.catalogue import statistics
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
