"""The output layer keeps the halo through saving and gives float32."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.networks.blocks.fine_output import Fine, halo_of
from phire.networks.custom_layers import custom_layers


@pytest.mark.parametrize("halo", [None, 7])
def test_the_halo_survives_saving(tmp_path, halo):
    inputs = keras.Input((4, 4, 1), name="low")
    model = keras.Model(inputs, Fine(halo)(keras.layers.Conv2D(1, 3, dtype="bfloat16")(inputs)))
    model.save(tmp_path / "one.keras")
    loaded = keras.saving.load_model(tmp_path / "one.keras", custom_layers())
    assert halo_of(loaded) == halo
    assert loaded.get_layer("fine").output.dtype == "float32"
    fields = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype("float32")
    np.testing.assert_array_equal(loaded(fields), model(fields))


def test_a_network_without_one_is_told():
    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match="declares no halo"):
        halo_of(keras.Model(inputs, keras.layers.Dense(1)(inputs)))
