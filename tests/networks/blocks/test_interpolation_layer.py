"""Interpolation within a network against PyTorch's numbers and phire's own interpolation."""

from __future__ import annotations

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.interpolation import upsample
from phire.networks.blocks.interpolation_layer import Interpolation

ROW = np.array([0.0, 1.0, 4.0, 2.0], "f4")
BICUBIC = [-0.108, -0.096, 0, 0.104, 0.172, 0.288, 0.536, 1, 1.672, 2.416]
"""PyTorch's bicubic ×5 of the row, its first ten values."""


def test_bicubic_is_pytorchs_with_its_parameter():
    rows = np.broadcast_to(ROW[None, None, :, None], (2, 3, 4, 1))
    fine = np.asarray(Interpolation(5, a=-0.75)(rows))
    assert fine.shape == (2, 15, 20, 1)
    np.testing.assert_allclose(fine[1, 7, :10, 0], BICUBIC, atol=1e-6)
    np.testing.assert_allclose(fine[1, 0, :10, 0], BICUBIC, atol=1e-6)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("scale", [1, 3, 4])
def test_the_rule_is_that_of_the_baseline(method, scale):
    coarse = np.random.default_rng(0).normal(size=(2, 6, 7, 3)).astype("f4")
    grids = Grid.pixels(6, 7), Grid.pixels(6 * scale, 7 * scale)
    expected = upsample(coarse, *grids, method=method)
    edge = (slice(None), *[slice(2 * scale, -2 * scale)] * 2)  # which continues otherwise there
    np.testing.assert_allclose(
        np.asarray(Interpolation(scale, method)(coarse))[edge], expected[edge], atol=1e-5
    )


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match="must be one of nearest, bilinear, bicubic"):
        Interpolation(2, "lanczos")
