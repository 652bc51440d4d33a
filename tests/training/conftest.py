"""Phases of the toy objective."""

import pytest

from phire.training import Phase
from toy_objective import points


@pytest.fixture
def phases():
    return [
        Phase("first", 2, points, 40, learning_rates={"line": 0.05}),
        Phase("second", 1, points, 40, learning_rates={"line": 0.01}),
    ]
