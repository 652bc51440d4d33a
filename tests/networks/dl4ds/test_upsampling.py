"""Upsampling: steps by any factors, and a start without checkerboard."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.errors import InputError
from phire.networks.dl4ds.block_options import Style
from phire.networks.dl4ds.upsampling import enlarged, step_factors

LINEAR = Style(4, 1, activation="linear", checkerboard_free=True)


@pytest.mark.parametrize(
    ("scale", "upsampling", "factors", "expected"),
    [
        (12, "subpixel", None, [2, 2, 3]),
        (7, "transposed", None, [7]),
        (12, "resize", None, [12]),
        (12, "resize", [3, 4], [3, 4]),
        (10, "subpixel", 10, [10]),
        (1, "subpixel", None, []),
    ],
)
def test_steps(scale, upsampling, factors, expected):
    assert step_factors(scale, upsampling, factors) == expected


@pytest.mark.parametrize(("upsampling", "factors"), [("subpixel", [2, 3]), ("pre", [2, 2])])
def test_steps_that_do_not_fit_are_refused(upsampling, factors):
    with pytest.raises(InputError, match="factors"):
        step_factors(4, upsampling, factors)


def inner_blocks(upsampling, factors, style):
    """Outputs (h, w, s, s) of the inner coarse points of a random field."""
    keras.utils.set_random_seed(0)
    field = np.random.default_rng(0).normal(size=(1, 12, 12, 2)).astype("f4")
    scale = int(np.prod(factors))
    fine = np.asarray(enlarged(field, upsampling, factors, "bilinear", style))[0, ..., 0]
    assert fine.shape == (12 * scale, 12 * scale)
    blocks = fine.reshape(12, scale, 12, scale).swapaxes(1, 2)
    return blocks[5:-5, 5:-5]


@pytest.mark.parametrize("upsampling", ["subpixel", "transposed"])
@pytest.mark.parametrize("factor", [2, 3, 5, 11])
def test_fine_points_of_a_coarse_one_begin_equal(upsampling, factor):
    blocks = inner_blocks(upsampling, [factor], LINEAR)
    np.testing.assert_allclose(blocks, blocks[..., :1, :1] + 0 * blocks, atol=1e-5)
    assert blocks.std() > 0.05
    other = inner_blocks(upsampling, [factor], LINEAR.but(checkerboard_free=False))
    assert other.std(axis=(2, 3)).mean() > 0.05


@pytest.mark.parametrize("upsampling", ["subpixel", "transposed", "resize"])
def test_two_steps(upsampling):
    assert np.isfinite(inner_blocks(upsampling, [2, 3], LINEAR)).all()
