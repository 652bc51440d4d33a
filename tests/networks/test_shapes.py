"""Shapes of samples: the scale follows from sizes, margins included."""

from __future__ import annotations

import pytest

from phire.errors import InputError
from phire.networks import Shapes


def test_the_scale_follows_from_sizes_less_the_margin():
    assert Shapes.of((10, 14, 3), (24, 40, 2), margin=2).scale == 4
    assert Shapes.of((None, 8, 1), (None, 40, 1)).scale == 5
    assert Shapes.of((None, None, 1), (None, None, 1), scale=3).scale == 3


@pytest.mark.parametrize(
    ("low", "high", "scale", "message"),
    [
        ((None, None, 1), (None, None, 1), None, "scale must be given"),
        ((4, 4, 1), (16, 12, 1), None, "scale must be given"),
        ((4, 4, 1), (16, 16, 1), 2, "not times 4"),
        ((4, 4, 1), (10, 10, 1), None, "one whole scale"),
    ],
)
def test_sizes_that_contradict_are_refused(low, high, scale, message):
    with pytest.raises(InputError, match=message):
        Shapes.of(low, high, scale=scale)
