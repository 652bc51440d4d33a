"""Every combination of backbone, upsampling and window: output, gradients, halo, saving."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.networks import build
from phire.networks.blocks.fine_output import fine_layer_of
from phire.networks.custom_layers import custom_layers

SPATIAL = [
    (name, upsampling, None)
    for name in ("convnet", "resnet", "densenet", "convnext")
    for upsampling in ("pre", "subpixel", "resize", "transposed")
] + [("unet-dl4ds", "pre", None)]
TEMPORAL = [(name, upsampling, 2) for name, upsampling, _ in SPATIAL[:12]]
RICH = {
    "activation": "gelu", "normalization": "batch", "localized": True, "dropout": 0.1,
    "dropout_kind": "spatial", "separable": True, "add": "bicubic", "add_channels": [2, 0],
    "output_activation": "softplus",
}  # fmt: skip
SIZES = {"scale": 2, "static": 2, "auxiliary": 1, "time": 3, "margin": 1, "domain": (80, 90)}


def rich(name, upsampling, window, **more):
    """Network of fields of any size with every input."""
    options = {**RICH, "filters": 4, "blocks": 1, "upsampling": upsampling, **more}
    return build(name, (None, None, 3), (None, None, 2), window=window, **SIZES, **options)


def sample(window, side=6, batch=2):
    """Inputs of :func:`rich`, side × (side + 1) coarse points without the margin."""
    random = np.random.default_rng(1)
    steps = () if window is None else (window,)
    fine = (2 * side, 2 * side + 2)
    inputs = {
        "low": random.normal(size=(batch, *steps, side + 2, side + 3, 3)),
        "static": random.normal(size=(batch, *fine, 2)),
        "auxiliary": random.normal(size=(batch, *steps, *fine, 1)),
        "time": random.normal(size=(batch, 3)),
    }
    inputs = {name: value.astype("f4") for name, value in inputs.items()}
    inputs["position"] = np.array([[0, 0], [3, 5]][:batch], "i4")
    return inputs


def away_from_start(model):
    """Adds noise to all weights: zeros and ones at the start would hide dependences."""
    random = np.random.default_rng(2)
    for variable in model.weights:
        if "seed" not in variable.path:
            noise = random.normal(scale=0.1, size=variable.shape)
            variable.assign_add(np.abs(noise) if "variance" in variable.path else noise)
    return model


def measured_halo(model, window, side):
    """Coarse points that the middle coarse point's outputs depend on, by their gradient."""
    inputs = {name: tf.constant(value) for name, value in sample(window, side, 1).items()}
    middle = side // 2
    block = slice(2 * middle, 2 * middle + 2)
    with tf.GradientTape() as tape:
        tape.watch([inputs["low"], inputs["static"]])
        total = tf.reduce_sum(model(inputs)[..., block, block, :])
    low, static = (
        np.abs(g.numpy()) for g in tape.gradient(total, [inputs["low"], inputs["static"]])
    )
    low = low.reshape(-1, *low.shape[-3:]).sum((0, 3))
    rows, columns = np.nonzero(low)
    reach = max(abs(rows - 1 - middle).max(), abs(columns - 1 - middle).max())
    rows, columns = (index // 2 for index in np.nonzero(static.sum((0, 3))))
    return max(reach, abs(rows - middle).max(), abs(columns - middle).max())


@pytest.mark.parametrize(("name", "upsampling", "window"), [*SPATIAL, *TEMPORAL])
def test_a_combination_with_every_input(tmp_path, name, upsampling, window):
    model = away_from_start(rich(name, upsampling, window))
    inputs = sample(window)
    assert {tensor.name for tensor in model.inputs} == set(inputs)
    with tf.GradientTape() as tape:
        fine = model(inputs, training=True)
        loss = tf.reduce_mean(tf.square(fine - 1))
    steps = () if window is None else (window,)
    assert fine.shape == (2, *steps, 12, 14, 2)
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, [v.value for v in model.trainable_variables])
    ):
        values = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(values).all(), variable.path
        assert np.any(values) or "unused" in variable.path, variable.path
    model.save(tmp_path / "one.keras")
    loaded = keras.saving.load_model(tmp_path / "one.keras", custom_layers())
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
    halo = fine_layer_of(loaded).halo
    if name == "unet-dl4ds":
        assert halo is None
    else:
        assert halo == measured_halo(model, window, 2 * halo + 3)
