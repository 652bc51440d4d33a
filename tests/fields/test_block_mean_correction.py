"""Corrected fields have the given block means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.fields.block_mean_correction import with_block_means
from phire.fields.coarsening import block_mean, whole_blocks
from phire.fields.grid import Grid


@pytest.mark.parametrize("grid", [Grid.pole_to_pole(73, 144), Grid.gaussian(32), Grid.pixels(9, 8)])
def test_block_means_are_restored_to_the_last_bits(grid):
    random = np.random.default_rng(0)
    rows, columns = whole_blocks(grid, 4)
    fine_grid = grid.subgrid(rows, columns)
    fine = (101325 + 1000 * random.normal(size=(2, *fine_grid.shape, 1))).astype(np.float32)
    height, width = fine_grid.shape
    coarse = 101325 + 1000 * random.normal(size=(2, height // 4, width // 4, 1))
    coarse = coarse.astype(np.float32)
    made = with_block_means(fine, coarse, fine_grid, 4)
    assert made.dtype == np.float32
    np.testing.assert_allclose(block_mean(made, fine_grid, 4), coarse, rtol=1.2e-7)
    # Within a block all points are shifted alike.
    shift = (made - fine).reshape(2, height // 4, 4, width // 4, 4)
    assert np.ptp(shift, axis=(2, 4)).max() < 0.05


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), minimum=st.sampled_from([-2.0, 0.0, 3.0]))
def test_rain_of_given_block_means_is_not_negative(seed, minimum):
    random = np.random.default_rng(seed)
    grid = Grid.cell_centred(12)
    fine = random.normal(minimum, 1, (2, 12, 24, 2)).astype(np.float32)
    fine[:, :4, :4] = minimum - 1  # a dry block, which may have to get some rain
    coarse = random.normal(minimum, 1, (2, 3, 6, 2)).astype(np.float32)
    made = with_block_means(fine, coarse, grid, 4, minimum)
    assert made.min() >= minimum
    np.testing.assert_allclose(
        block_mean(made, grid, 4), np.maximum(coarse, minimum), rtol=1e-6, atol=1e-6
    )
    # Dry points stay dry where the block has rain.
    dry = np.repeat(np.repeat((fine > minimum).reshape(2, 3, 4, 6, 4, 2).any((2, 4)), 4, 1), 4, 2)
    assert (made[dry & (fine <= minimum)] == minimum).all()
