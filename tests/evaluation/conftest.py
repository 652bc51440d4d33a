"""Fixtures of the evaluation's tests."""

from __future__ import annotations

import pytest

from evaluation.made_fields import random_fields
from phire.fields.grid import Grid


@pytest.fixture(scope="session")
def pair():
    """Truth and candidate, (6, 32, 64, 2) float32, on a Gaussian grid."""
    grid = Grid.gaussian(32)
    truth = random_fields(grid, 6, 2, seed=1)
    candidate = 0.8 * truth + 0.3 * random_fields(grid, 6, 2, seed=2) + 0.05
    return grid, truth.astype("f4"), candidate.astype("f4")
