"""Area means of whole fields over cells, against points split into the parts inside each cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phire.fields.area_mean import AreaMean
from phire.fields.coarsening import block_mean
from phire.fields.grid import Grid

SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7))


def by_parts(fields, areas, cells):
    """Splits each point into parts that divide the cells, and averages the parts of each cell."""
    values, weights = fields, np.broadcast_to(areas, fields.shape[-3:-1])
    for axis, count in zip((0, 1), cells):
        values = values.repeat(count, axis=axis)
        weights = weights.repeat(count, axis=axis)
    rows, columns = (size // count for size, count in zip(weights.shape, cells))
    result = np.zeros((*cells, fields.shape[-1]))
    for i in range(cells[0]):
        for j in range(cells[1]):
            part = slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns)
            for c in range(fields.shape[-1]):
                present = np.isfinite(values[part][..., c])
                if present.any():
                    result[i, j, c] = np.average(
                        values[part][..., c][present], weights=weights[part][present]
                    )
    return result


@given(SIZES, SIZES, st.integers(0, 99))
def test_points_count_by_their_part_in_a_cell(shape, cells, seed):
    random = np.random.default_rng(seed)
    fields = random.normal(size=(*shape, 2))
    fields[random.random(fields.shape) < 0.3] = np.nan
    grid = Grid.regional(60 - 9 * np.arange(shape[0]), 5 * np.arange(shape[1]))
    found = AreaMean.of(grid, cells)(fields)
    np.testing.assert_allclose(found, by_parts(fields, grid.area_weights(), cells), atol=1e-6)


def test_whole_blocks_have_their_area_weighted_mean():
    grid = Grid.cell_centred(16)
    fields = np.random.default_rng(0).normal(size=(3, 16, 32, 2))
    found = AreaMean.of(grid, (4, 8))(fields)
    assert found.shape == (3, 4, 8, 2) and found.dtype == np.float32
    # Both are area-weighted; a sphere's quadrature weights differ from its cells' areas by 1 %.
    np.testing.assert_allclose(found, block_mean(fields, grid, 4), atol=0.02)


@pytest.mark.parametrize("cells", [(1, 1), (5, 3), (16, 32)])
def test_a_constant_stays_as_it_is(cells):
    found = AreaMean.of(Grid.cell_centred(16), cells)(np.full((16, 32, 1), 2.5))
    np.testing.assert_allclose(found, 2.5, rtol=1e-6)
