"""Padding to multiples equals numpy's in both modes; cropping takes it away again."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError
from phire.networks.blocks.multiples import CropLike, PadToMultiple


@pytest.mark.parametrize("mode", ["edge", "reflect"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [(3, 9), (8, 16), (1, 5)])
def test_fields_are_padded_as_numpy_pads_them(size, known, mode):
    field = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("f4")
    pad = PadToMultiple(8, mode)
    signature = [tf.TensorSpec((None, *(size if known else (None, None)), 3))]
    padded = tf.function(pad, input_signature=signature)(field)
    more = [(0, -n % 8) for n in size]
    np.testing.assert_array_equal(padded, np.pad(field, [(0, 0), *more, (0, 0)], mode))
    np.testing.assert_array_equal(CropLike()(padded, field[..., :1]), field)
    assert pad.compute_output_shape((None, *size, 3)) == (None, *padded.shape[1:])


@pytest.mark.parametrize(
    ("name", "module", "mode"),
    [
        ("PadToMultiple", "phire.networks.blocks.multiples", "edge"),
        ("ReflectedToMultiple", "phire.networks.blocks.window_attention", "reflect"),
    ],
)
def test_layers_of_earlier_networks_are_loaded(name, module, mode):
    saved = {
        "class_name": name, "module": module, "registered_name": f"phire>{name}",
        "config": {"name": "padded", "trainable": True, "dtype": "float32", "multiple": 4},
    }  # fmt: skip
    layer = keras.saving.deserialize_keras_object(saved)
    assert isinstance(layer, PadToMultiple)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (again.name, again.multiple, again.mode) == ("padded", 4, mode)


def test_an_unknown_mode_is_refused():
    with pytest.raises(InputError, match="mode 'wrap' must be one of edge, reflect"):
        PadToMultiple(4, "wrap")
