"""The output layer keeps what it states through saving and gives float32."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.fields import Normalization
from phire.networks import build
from phire.networks.blocks.conservation import conserving
from phire.networks.blocks.fine_output import Fine, fine_layer_of
from phire.networks.custom_layers import custom_layers


@pytest.mark.parametrize(("halo", "first_step"), [(None, False), (7, True)])
def test_what_is_stated_survives_saving(tmp_path, halo, first_step):
    inputs = keras.Input((4, 4, 1), name="low")
    model = keras.Model(
        inputs, Fine(halo, first_step)(keras.layers.Conv2D(1, 3, dtype="bfloat16")(inputs))
    )
    model.save(tmp_path / "one.keras")
    loaded = keras.saving.load_model(tmp_path / "one.keras", custom_layers())
    assert fine_layer_of(loaded).halo == halo and fine_layer_of(loaded).first_step == first_step
    assert loaded.get_layer("fine").output.dtype == "float32"
    fields = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype("float32")
    np.testing.assert_array_equal(loaded(fields), model(fields))


def test_a_network_without_one_is_told():
    inputs = keras.Input((3,))
    with pytest.raises(ValueError, match="declares no halo"):
        fine_layer_of(keras.Model(inputs, keras.layers.Dense(1)(inputs)))


@pytest.mark.parametrize(("preset", "first_step"), [("none", False), ("dl4ds", True)])
def test_networks_of_dl4ds_predict_the_first_step_also_when_they_conserve(preset, first_step):
    shapes = (None, None, 1), (None, None, 1)
    options = {"scale": 2, "filters": 2, "blocks": 1, "preset": preset}
    assert fine_layer_of(build("resnet", *shapes, window=2, **options)).first_step == first_step
    one = Normalization.identity(["a"])
    conserved = conserving(build("resnet", *shapes, **options), 2, one, one)
    assert fine_layer_of(conserved).first_step == first_step
