"""Padding to multiples continues the edge; cropping takes it away again."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from phire.networks.blocks.multiples import CropLike, PadToMultiple


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [(3, 9), (8, 16), (1, 5)])
def test_the_edge_goes_on(size, known):
    field = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("f4")
    pad = PadToMultiple(8)
    signature = [tf.TensorSpec((None, *(size if known else (None, None)), 3))]
    padded = tf.function(pad, input_signature=signature)(field)
    more = [(0, -n % 8) for n in size]
    np.testing.assert_array_equal(padded, np.pad(field, [(0, 0), *more, (0, 0)], "edge"))
    np.testing.assert_array_equal(CropLike()(padded, field[..., :1]), field)
    assert pad.compute_output_shape((None, *size, 3)) == (None, *padded.shape[1:])
