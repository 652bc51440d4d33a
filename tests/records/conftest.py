"""Grids for the tests of records."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from phire.fields.grid import Grid


@pytest.fixture
def sphere():
    """A global grid of 16 × 32 points."""
    return Grid.driscoll_healy(16)


@pytest.fixture
def region():
    """A regional grid of 20 × 24 points, rows from north to south."""
    return Grid.regional(60 - 0.25 * np.arange(20), -10 + 0.25 * np.arange(24))
