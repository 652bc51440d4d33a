"""Residual discriminator: parameter counts of DL4DS's, what it reads, fields of any size."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.errors import InputError
from phire.networks import Shapes, discriminator

# Of DL4DS's constructor with 4 blocks; with attention and batch normalization, which are as many
# weights as layer normalization's, in the third column.
COUNTS = [
    (None, 2, "fine", 15889, 16533, 243649),
    (None, 4, "coarse", 16473, 17117, 252897),
    (None, 8, "coarse", 15305, None, None),
    (3, 2, "fine", 27713, 28357, 428865),
    (3, 4, "coarse", 28297, 28941, 438113),
]


@pytest.mark.parametrize(("window", "scale", "grid", "plain", "normalised", "wide"), COUNTS)
def test_weights_are_as_many_as_dl4ds(window, scale, grid, plain, normalised, wide):
    def count(channels, **options):
        size = 4 * scale
        shapes = Shapes((4, 4, channels), (size, size, 1), scale, window=window)
        model = discriminator.build(
            "residual", shapes, options={"grid": grid, "preset": "dl4ds", **options}
        )
        return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)

    assert count(1, filters=8) == plain
    if normalised is not None:
        assert count(1, filters=8, attention=True, normalization="layer") == normalised
        assert count(3) == wide


@pytest.mark.parametrize("grid", ["coarse", "fine"])
@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("preset", ["none", "dl4ds"])
def test_the_logit_depends_on_every_input(grid, window, preset):
    keras.utils.set_random_seed(1)
    shapes = Shapes(
        (5, 6, 2), (9, 12, 1), 3, static=2, auxiliary=1, time=2, margin=1, window=window
    )
    model = discriminator.build(
        "residual,filters=4,blocks=1", shapes, True, options={"grid": grid, "preset": preset}
    )
    assert set(model.input) == {"low", "static", "auxiliary", "fine", "valid"}
    random = np.random.default_rng(0)
    batch = {
        name: random.normal(size=(2, *tensor.shape[1:])).astype("f4")
        for name, tensor in model.input.items()
    }
    logits = np.asarray(model(batch))
    assert logits.shape == (2, 1) and logits.dtype == np.float32
    for name in batch:
        changed = np.array(batch[name])
        changed[0] += 1
        other = np.asarray(model({**batch, name: changed}))
        assert other[0] != logits[0]
        # Each sample is judged by itself.
        np.testing.assert_allclose(other[1], logits[1], rtol=1e-5)


@pytest.mark.parametrize("option", ["grid", "preset", "normalization"])
def test_unknown_options_are_told(option):
    with pytest.raises(InputError, match=f"{option} 'x' is unknown"):
        discriminator.build("residual", Shapes((4, 4, 1), (8, 8, 1), 2), options={option: "x"})
