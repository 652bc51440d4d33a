"""DeepESD: weights by point, invalid points left out, patches refused."""

from __future__ import annotations

import numpy as np
import pytest

from phire.errors import InputError
from phire.networks import build


def test_parameters_are_three_convolutions_and_a_dense_layer_to_all_points():
    model = build("deepesd", (7, 9, 5), (14, 18, 1))
    convolutions = 9 * (5 * 50 + 50 * 25 + 25 * 10) + 85
    assert model.count_params() == convolutions + (7 * 9 * 10 + 1) * 14 * 18
    assert model.output_shape == (None, 14, 18, 1)


def test_only_valid_points_have_weights_and_the_others_are_zero():
    points = [0, 5, 17, 30]
    model = build("deepesd", (4, 5, 2), (8, 10, 3), filters=(4, 3), points=points)
    low = np.random.default_rng(0).normal(size=(2, 4, 5, 2)).astype("f4")
    fine = np.asarray(model({"low": low})).reshape(2, 80, 3)
    dense = model.get_layer("points")
    assert dense.kernel.shape == (4 * 5 * 3, len(points) * 3)
    assert (fine[:, points] != 0).all()
    assert (np.delete(fine, points, axis=1) == 0).all()
    dense.kernel.assign(np.zeros(dense.kernel.shape))
    dense.bias.assign(np.arange(12.0))
    fine = np.asarray(model({"low": low})).reshape(2, 80, 3)
    np.testing.assert_array_equal(fine[1, points], np.arange(12.0).reshape(4, 3))


@pytest.mark.parametrize(
    ("low", "high", "options", "message"),
    [
        ((None, None, 1), (None, None, 1), {"scale": 2}, "needs records of whole fields"),
        ((4, 4, 1), (8, 8, 1), {"domain": (16, 16)}, "make them with --whole-fields"),
        ((4, 4, 1), (8, 8, 1), {"padding": "reflect"}, "must be same or valid"),
        ((4, 4, 1), (8, 8, 1), {"padding": "valid"}, r"need a coarse field larger than \(4, 4\)"),
        ((4, 4, 1), (8, 8, 1), {"points": [64]}, "indices from 0 to 63"),
        ((4, 4, 1), (8, 8, 1), {"window": 2}, "reads single fields"),
    ],
)
def test_what_it_cannot_do_is_named(low, high, options, message):
    with pytest.raises(InputError, match=message):
        build("deepesd", low, high, **options)
