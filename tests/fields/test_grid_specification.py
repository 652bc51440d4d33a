"""Grids given as text."""

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.grid_specification import target_grid
from spheres import sphere

REGION = Grid.regional(np.linspace(58, 40, 19), np.linspace(-8, 12, 21))


@pytest.mark.parametrize(
    ("text", "shape", "first"),
    [
        ("gaussian:16", (16, 32), (None, 0)),
        ("degrees:0.5", (37, 41), (58, -8)),
        ("degrees:10:90,-180,-90,180", (19, 36), (90, -180)),
        ("degrees:0.1:60,-10,59.5,-9.7", (6, 4), (60, -10)),
    ],
)
def test_grids_in_words(text, shape, first):
    grid = target_grid(text, REGION)
    assert grid.shape == shape
    assert first[0] in (None, grid.latitudes[0])
    assert (grid.longitudes[0] - first[1]) % 360 == 0


def test_degrees_over_the_sphere_reach_both_poles():
    grid = target_grid("degrees:2", sphere("gaussian", 30, west=-180))
    assert grid.kind == "pole-to-pole"
    assert grid.shape == (91, 180)
    assert grid.longitudes[0] == -180


@pytest.mark.parametrize(
    "text",
    [
        "degrees:",
        "degrees:-1",
        "degrees:1:2",
        "degrees:1:10,0,20,5",
        "gaussian",
        "1,2",
        "degrees:1e-4",
    ],
)
def test_words_that_are_no_grid_are_refused(text):
    with pytest.raises(InputError, match="--grid"):
        target_grid(text, REGION)
