"""FSRCNN has the published number of weights."""

from __future__ import annotations

import pytest

from phire.networks import build

pytestmark = pytest.mark.versions


@pytest.mark.parametrize(("filters", "narrow", "blocks"), [(56, 12, 4), (32, 5, 1)])
def test_parameters_are_as_published(filters, narrow, blocks):
    model = build("fsrcnn", (8, 9, 1), (24, 27, 1), filters=filters, narrow=narrow, blocks=blocks)
    # Dong et al. 2016, section 3.2, without biases and PReLU slopes.
    kernels = 25 * filters + 2 * filters * narrow + 9 * blocks * narrow**2 + 81 * filters
    biases = 2 * filters + (1 + blocks) * narrow + 1
    slopes = 2 * filters + (1 + blocks) * narrow
    assert model.count_params() == kernels + biases + slopes
    if (filters, narrow) == (56, 12):
        assert kernels == 12_464
    assert model.output_shape == (None, 24, 27, 1)
