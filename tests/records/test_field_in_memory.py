"""Patches of a field against plain slices of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.fields.coarsening import block_mean, block_weights
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import Grid
from phire.records.field_in_memory import BlockMeans, Planes


@st.composite
def cuts(draw):
    """A grid of 12 × 16 blocks, their scale, and places to cut in units of blocks."""
    patch = draw(st.tuples(st.integers(1, 12), st.integers(1, 16)))
    place = st.tuples(st.integers(0, 12 - patch[0]), st.integers(0, 15))
    return draw(st.integers(1, 4)), patch, np.array(draw(st.lists(place, min_size=1, max_size=5)))


@settings(max_examples=40, deadline=None)
@given(cut=cuts(), seed=st.integers(0, 9))
def test_patches_equal_slices_also_across_the_last_column(cut, seed):
    scale, (height, width), places = cut
    grid = Grid.regional(
        np.linspace(80, -60, 12 * scale), np.arange(16 * scale) * 360 / (16 * scale)
    )
    values = np.random.default_rng(seed).normal(size=(2, *grid.shape)).astype(np.float32)
    means = block_mean(np.moveaxis(values, 0, -1)[None], grid, scale)[0]
    fine = Planes(values)
    coarse = BlockMeans(fine, block_weights(grid, scale))
    np.testing.assert_array_equal(coarse.whole(), np.moveaxis(means, -1, 0))
    assert coarse.shape == coarse.whole().shape
    for field, step in ((coarse, 1), (fine, scale)):
        found = field.patches((height * step, width * step), places * step)
        twice = np.concatenate([field.whole()] * 2, axis=2)
        expected = [
            twice[:, r * step : (r + height) * step, c * step : (c + width) * step]
            for r, c in places
        ]
        np.testing.assert_array_equal(found, np.concatenate(expected, axis=1))


def test_patches_of_a_projected_grid_are_slices_of_its_block_means():
    axis = 2e5 * np.arange(24)
    grid = CurvilinearGrid.projected(axis[::-1], axis, "+proj=stere +lat_0=90 +lat_ts=60 +R=6371e3")
    values = np.random.default_rng(0).normal(size=(2, *grid.shape)).astype(np.float32)
    coarse = BlockMeans(Planes(values), block_weights(grid, 4))
    means = block_mean(np.moveaxis(values, 0, -1)[None], grid, 4)[0]
    np.testing.assert_array_equal(coarse.whole(), np.moveaxis(means, -1, 0))
    places = np.array([[1, 2], [0, 1], [4, 3]])
    patches = np.split(coarse.patches((2, 3), places), 3, axis=1)
    for (row, column), patch in zip(places, patches):
        np.testing.assert_array_equal(patch, coarse.whole()[:, row : row + 2, column : column + 3])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_noticed(value):
    planes = np.full((2, 8, 8), 3e38, np.float32)  # their sum is infinite
    assert Planes(planes).finite
    planes[1, 2, 3] = value
    coarse = BlockMeans(Planes(planes), np.full((4, 2, 1, 1), 0.5))
    assert not Planes(planes).finite
    assert not coarse.finite
    assert np.argwhere(~np.isfinite(coarse.whole())).tolist() == [[1, 1, 1]]
