"""Padding of a fine grid to whole blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies

from phire.fields.coarsening import remainder, whole_blocks
from phire.fields.grid import Grid
from phire.fields.padding import padded_grid, padding, padding_note

SIZES = strategies.integers(2, 23)


@given(SIZES, SIZES, strategies.integers(2, 7), strategies.booleans(), strategies.booleans())
def test_a_padded_grid_divides_and_begins_with_the_grid(rows, columns, scale, north_up, pixels):
    latitudes = 40 + 0.5 * np.arange(rows)
    grid = Grid.regional(latitudes[:: -1 if north_up else 1], 5 + 0.25 * np.arange(columns))
    if pixels:
        grid = Grid.pixels(rows, columns)
    padded = padded_grid(grid, padding(grid, scale))
    assert remainder(padded, scale) == (0, 0)
    assert all(0 <= p - n < scale for p, n in zip(padded.shape, grid.shape))
    assert padded.subgrid(slice(0, rows), slice(0, columns)).equals(grid)
    assert whole_blocks(padded, scale) == tuple(slice(0, n) for n in padded.shape)
    if not pixels and padded.shape != grid.shape:
        np.testing.assert_allclose(np.diff(padded.latitudes), np.diff(grid.latitudes)[0])
        np.testing.assert_allclose(np.diff(padded.longitudes), 0.25)


@pytest.mark.parametrize(
    "grid, expected",
    [
        (Grid.regional(80 + 0.5 * np.arange(19), np.arange(29)), (1, 1)),
        (Grid.regional(82 + 0.5 * np.arange(17), np.arange(29)), (0, 1)),  # the next is a pole's
        (Grid.pole_to_pole(721, 1443), (0, 0)),
        (Grid.regional(40 + np.arange(7), np.arange(360)), (3, 0)),
        (Grid.regional(40 + np.arange(7), 0.9 * np.arange(400)), (3, 0)),  # closes the circle
    ],
)
def test_poles_and_the_circle_are_not_passed(grid, expected):
    assert padding(grid, 5) == expected


def test_the_note_names_sides_and_counts():
    grid = Grid.regional(44.25 - 0.5 * np.arange(19), np.arange(27))
    assert padding_note(grid, 5, (1, 3)) == (
        "Note: 19 × 27 is not a multiple of 5: 1 row at the south and 3 columns at the east are "
        "added, without targets."
    )
    assert padding_note(grid, 5, (1, 0)).endswith("1 row at the south is added, without targets.")
    assert padding_note(grid, 5, (0, 0)) is None
