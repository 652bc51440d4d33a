"""The CWGAN's critic: its parameters, its two heads, the penalty's second derivatives, mistakes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError
from phire.networks import Shapes, discriminator
from phire.networks.custom_layers import custom_layers
from phire.networks.cwgan import CutIntoTiles, MeanOfTiles

SHAPES = Shapes((14, 14, 2), (24, 24, 1), 2, static=1, margin=1)


def built(**options):
    keras.utils.set_random_seed(1)
    return discriminator.build("cwgan-small,filters=4,dense=[6],tiles=2", SHAPES, options=options)


def sample(count=2):
    random = np.random.default_rng(0)
    sizes = {"fine": (24, 24, 1), "low": (14, 14, 2), "static": (24, 24, 1)}
    return {
        name: tf.constant(random.normal(size=(count, *size)).astype("f4"))
        for name, size in sizes.items()
    }


def test_parameters_and_outputs_are_those_of_the_reference():
    made = discriminator.build("cwgan", Shapes((16, 16, 14), (128, 128, 1), 8))
    assert made.count_params() == 1_891_587
    counts = {"global": 0, "patch": 0}
    for weight in made.weights:
        head = "patch" if "patch" in weight.path else "global"
        if "patch" in weight.path or "global" in weight.path or "dense" in weight.path:
            counts[head] += int(np.prod(weight.shape))
    assert counts == {"global": 690_306, "patch": 592_513}
    assert made.get_layer("patch_values").output.shape[1:] == (6, 6, 1)
    assert made.output.shape == (None, 1)


def test_the_value_is_the_sum_of_both_heads():
    both = built()
    parts = [built(heads=[head]) for head in ("global", "patch")]
    for part in parts:
        for layer in filter(lambda layer: layer.weights, part.layers):
            layer.set_weights(both.get_layer(layer.name).get_weights())
    arrays = sample()
    np.testing.assert_allclose(
        both(arrays), sum(part(arrays) for part in parts), rtol=1e-4, atol=1e-5
    )


def test_tiles_are_parts_of_their_own_sample():
    field = np.arange(2 * 6 * 4, dtype="f4").reshape(2, 6, 4, 1)
    tiles = np.asarray(CutIntoTiles(2)(field))
    assert tiles.shape == (8, 3, 2, 1)
    np.testing.assert_array_equal(tiles[5], field[1, :3, 2:])
    np.testing.assert_allclose(MeanOfTiles(2)(tiles), field.mean((1, 2)))


def test_values_depend_on_the_condition_and_the_penalty_trains_every_weight():
    made, arrays = built(), sample()
    other = {**arrays, "low": arrays["low"][::-1]}
    assert np.abs(made(other) - made(arrays)).min() > 1e-6
    with tf.GradientTape() as tape:
        with tf.GradientTape() as inner:
            inner.watch(arrays["fine"])
            value = tf.reduce_sum(made(arrays, training=True))
        gradient = inner.gradient(value, arrays["fine"])
        penalty = tf.reduce_mean(tf.square(tf.norm(tf.reshape(gradient, (2, -1)), axis=1) - 1))
    kernels = [weight for weight in made.trainable_weights if "kernel" in weight.path]
    found = tape.gradient(penalty, [kernel.value for kernel in kernels])
    assert all(np.isfinite(one).all() and np.abs(one).max() > 0 for one in found)


def test_saving_keeps_it(tmp_path):
    made, arrays = built(), sample()
    made.save(tmp_path / "critic.keras")
    loaded = keras.saving.load_model(tmp_path / "critic.keras", custom_layers(), compile=False)
    np.testing.assert_allclose(loaded(arrays), made(arrays), rtol=1e-5)


@pytest.mark.parametrize(
    ("specification", "shapes", "message"),
    [
        ("cwgan", Shapes((8, 8, 1), (16, 16, 1), 2), "tiles of at least 12 points"),
        ("cwgan,heads=[local]", SHAPES, "must be some of global, patch"),
        ("cwgan", SHAPES.of_any_size(), "needs patches of fixed size"),
        ("cwgan,heads=[global]", Shapes((2, 2, 1), (4, 4, 1), 2), "at least 8 points"),
    ],
)
def test_mistakes_are_told(specification, shapes, message):
    with pytest.raises(InputError, match=message):
        discriminator.build(specification, shapes)
