"""Missing input: filled for the network, marked again in the output."""

from __future__ import annotations

import numpy as np
import pytest

from phire.downscaling.missing_input import Filler, mark_missing
from phire.errors import InputError
from phire.fields import Grid


def brute_nearest(field, wraps):
    """Each missing point by the valid one at the least distance in grid points."""
    filled = field.copy()
    rows, columns = np.nonzero(np.isfinite(field))
    width = field.shape[1]
    for i, j in zip(*np.nonzero(np.isnan(field))):
        across = np.abs(columns - j)
        if wraps:
            across = np.minimum(across, width - across)
        distance = (rows - i) ** 2 + across**2
        # Equally near points may be taken either way: all of them are given.
        filled[i, j] = distance.min()
    return filled


@pytest.mark.parametrize(
    "grid", [Grid.regional(50 - np.arange(9.0), np.arange(12.0)), Grid.cell_centred(9, 12)]
)
def test_the_nearest_valid_point_fills(grid):
    random = np.random.default_rng(0)
    # Values tell where they come from: row · 100 + column.
    places = 100.0 * np.arange(9)[:, None] + np.arange(12)
    fields = np.repeat(places[None, ..., None], 3, axis=0)
    fields[random.random(fields.shape) < 0.7] = np.nan
    fields[2, :, :4] = np.nan
    filled, missing = Filler("nearest")(fields, grid)
    np.testing.assert_array_equal(missing, np.isnan(fields)[..., 0])
    np.testing.assert_array_equal(filled[~np.isnan(fields)], fields[~np.isnan(fields)])
    for field, made in zip(fields[..., 0], filled[..., 0]):
        expected = brute_nearest(field, grid.wraps)
        row, column = np.divmod(made, 100)
        down = row - np.arange(9)[:, None]
        across = np.abs(column - np.arange(12))
        if grid.wraps:
            across = np.minimum(across, 12 - across)
        gone = np.isnan(field)
        np.testing.assert_array_equal((down**2 + across**2)[gone], expected[gone])


def test_channels_are_filled_each_by_itself():
    grid = Grid.pixels(4, 4)
    fields = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("f4")
    holed = fields.copy()
    holed[0, 1, 1, 0] = np.nan
    filled, missing = Filler("nearest")(holed, grid)
    np.testing.assert_array_equal(filled[..., 1], fields[..., 1])
    assert missing.sum() == 1 and missing[0, 1, 1]


def test_the_mean_fills_and_is_all_there_is_where_a_field_is_missing_wholly():
    grid = Grid.pixels(3, 4)
    fields = np.ones((2, 3, 4, 2), "f4")
    fields[0, 0, 0, 1] = np.nan
    fields[1, :, :, 0] = np.nan
    filled, missing = Filler("mean", (7.0, 8.0))(fields, grid)
    assert filled[0, 0, 0].tolist() == [1, 8]
    assert (filled[1, ..., 0] == 7).all() and missing[1].all()
    filled, _ = Filler("nearest", (7.0, 8.0))(fields, grid)
    assert filled[0, 0, 0].tolist() == [1, 1]
    assert (filled[1, ..., 0] == 7).all()


def test_what_cannot_be_filled_is_named():
    with pytest.raises(InputError, match="--fill spline must be one of nearest, mean"):
        Filler("spline")
    with pytest.raises(InputError, match=r"--fill mean .*--fill nearest"):
        Filler("mean")


def test_the_blocks_of_missing_points_are_marked():
    missing = np.zeros((1, 2, 3), bool)
    missing[0, 1, 2] = True
    fine = mark_missing(np.ones((1, 4, 6, 2), "f4"), missing)
    expected = np.zeros((4, 6), bool)
    expected[2:, 4:] = True
    np.testing.assert_array_equal(np.isnan(fine[0]).all(-1), expected)
    np.testing.assert_array_equal(np.isnan(fine[0]).any(-1), expected)
