"""Options of the DL4DS families: what each does, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from phire.errors import InputError
from phire.networks import build
from phire.networks.blocks.fine_output import fine_layer_of
from phire.networks.blocks.interpolation_layer import Interpolation

RANDOM = np.random.default_rng(0)
SMALL = {"filters": 8, "blocks": 1}


def small(name="resnet", low=(6, 7, 2), high=(12, 14, 1), **more):
    keras.utils.set_random_seed(3)
    return build(name, low, high, **{**SMALL, **more})


@pytest.fixture(autouse=True)
def seed_of_each_test():
    """Seeds the fields of each test, so that they do not depend on the tests before it."""
    global RANDOM
    RANDOM = np.random.default_rng(0)


def field(*shape):
    return RANDOM.normal(size=shape).astype("f4")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet", {"upsampling": "magic"}, "upsampling 'magic' is unknown"),
        ("resnet", {"preset": "other"}, "preset 'other' is unknown"),
        ("resnet", {"normalization": "bn"}, "normalization 'bn' is unknown"),
        ("resnet", {"activation": "crelu"}, "activation 'crelu' is unknown"),
        ("resnet", {"output_activation": "no"}, "output_activation 'no' is unknown"),
        ("resnet", {"dropout": 0.1, "dropout_kind": "block"}, "dropout_kind 'block' is unknown"),
        ("resnet", {"dropout": 1.0}, "dropout 1.0"),
        ("resnet", {"filters": 0}, "filters=0 must be"),
        ("resnet", {"blocks": 1.5}, "blocks=1.5 must be"),
        ("resnet", {"localized": True}, "localized needs the domain"),
        ("resnet", {"add": "cubic"}, "add 'cubic' is unknown"),
        ("resnet", {"add": "bilinear", "add_channels": [2]}, r"not the channels \[2\]"),
        ("resnet", {"add_channels": [0]}, "add_channels needs add"),
        ("resnet", {"preset": "dl4ds", "factors": [2]}, "leave out factors"),
        ("resnet", {"upsampling": "pre", "factors": [2]}, "factors need upsampling"),
        ("resnet", {"upsampling": "pre", "interpolation": "spline"}, "interpolation 'spline'"),
        ("convnext", {"window": 3, "low": (6, 7, 2)}, "convnext reads single fields"),
        ("unet-dl4ds", {"window": 3}, "unet-dl4ds reads single fields"),
        ("unet-dl4ds", {"upsampling": "subpixel"}, "has only upsampling=pre"),
        ("unet-dl4ds", {"decoder_upsampling": "pre"}, "decoder_upsampling 'pre' is unknown"),
    ],
)
def test_what_does_not_fit_is_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        small(name, **options)


def test_localized_weights_of_a_patch_are_those_of_its_place():
    model = small(localized=True, domain=(24, 28), upsampling="pre")
    layer = model.get_layer("localized")
    layer.set_weights([field(*weight.shape) for weight in layer.get_weights()])
    low = field(1, 12, 14, 2)
    whole = model({"low": low, "position": np.zeros((1, 2), "i4")})
    halo = fine_layer_of(model).halo
    assert halo <= 5  # so that a point of the patch is free of its edges
    patch = model({"low": low[:, :12, 2:14], "position": np.array([[0, 4]], "i4")})
    inner = slice(2 * halo, 24 - 2 * halo)
    np.testing.assert_allclose(
        np.asarray(patch)[:, inner, inner], np.asarray(whole)[:, inner, 4:][:, :, inner], atol=1e-5
    )
    elsewhere = model({"low": low[:, :12, 2:14], "position": np.array([[0, 2]], "i4")})
    assert np.abs(np.asarray(patch - elsewhere)).max() > 0.01


def test_a_margin_shifts_the_localized_weights():
    options = {"localized": True, "domain": (12, 14), "upsampling": "pre"}
    model = small(**options)
    with_margin = small(low=(8, 9, 2), margin=1, **options)
    # Positive weights and inputs, so that no ReLU hides the changed point.
    weights = [np.abs(field(*weight.shape)) for weight in model.get_weights()]
    model.set_weights(weights)
    with_margin.set_weights(weights)
    kernel, _ = model.get_layer("localized").get_weights()
    changed = np.zeros_like(kernel)
    changed[5, 6] = 1
    differences = []
    for network, shape in ((model, (1, 6, 7, 2)), (with_margin, (1, 8, 9, 2))):
        inputs = {"low": np.abs(field(*shape)), "position": np.zeros((1, 2), "i4")}
        before = np.asarray(network(inputs))
        layer = network.get_layer("localized")
        layer.set_weights([kernel + changed, layer.get_weights()[1]])
        difference = np.abs(np.asarray(network(inputs)) - before).max(axis=(0, 3))
        differences.append(np.argwhere(difference > 0).mean(axis=0))
    np.testing.assert_allclose(differences, [[5, 6], [5, 6]], atol=0.5)


@pytest.mark.parametrize("window", [None, 2])
def test_monte_carlo_dropout_acts_at_prediction(window):
    low = field(2, *(() if window is None else (window,)), 6, 7, 2)
    model = small(dropout=0.3, dropout_kind="mcdrop", window=window)
    inputs = {"low": low, "position": np.zeros((2, 2), "i4")}
    members = [
        np.asarray(model({**inputs, "seed": np.full((2, 2), seed, "i4")}, training=False))
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(members[0], members[1])
    assert np.abs(members[0] - members[2]).max() > 1e-3
    vanilla = small(dropout=0.3, window=window)
    assert {tensor.name for tensor in vanilla.inputs} == {"low"}
    np.testing.assert_array_equal(vanilla({"low": low}), vanilla({"low": low}))
    trained = [np.asarray(vanilla({"low": low}, training=True)) for _ in range(2)]
    assert np.abs(trained[0] - trained[1]).max() > 1e-3


def test_random_masks_are_the_same_in_every_build():
    inputs = {
        "low": field(1, 6, 7, 2), "position": np.zeros((1, 2), "i4"), "seed": np.ones((1, 2), "i4"),
    }  # fmt: skip
    first, second = (small(dropout=0.3, dropout_kind="mcdrop") for _ in range(2))
    np.testing.assert_array_equal(first(inputs), second(inputs))


@pytest.mark.parametrize("add", ["bilinear", "bicubic"])
def test_the_network_adds_to_the_interpolated_field(add):
    low = field(2, 8, 9, 2)
    model = small(low=(8, 9, 2), margin=1, add=add, add_channels=[1])
    plain = small(low=(8, 9, 2), margin=1)
    plain.set_weights(model.get_weights())
    interpolated = np.asarray(Interpolation(2, add)(low))[:, 2:-2, 2:-2, 1:]
    np.testing.assert_allclose(model(low) - plain(low), interpolated, atol=1e-5)


@pytest.mark.parametrize("size", [(3, 3), (5, 11), (8, 8)])
def test_a_unet_takes_fields_that_do_not_divide(size):
    model = small("unet-dl4ds", (None, None, 2), (None, None, 1), scale=3, blocks=3)
    fine = model(field(1, *size, 2))
    assert fine.shape == (1, 3 * size[0], 3 * size[1], 1)
    assert np.isfinite(fine).all()


def test_a_unet_of_a_small_field_is_less_deep():
    deep = small("unet-dl4ds", (8, 8, 2), (16, 16, 1), blocks=8)
    assert sum(isinstance(layer, keras.layers.MaxPooling2D) for layer in deep.layers) == 3


def test_layer_normalization_of_one_target_is_no_constant():
    model = small(preset="dl4ds", normalization="layer")
    assert np.std(model(field(2, 6, 7, 2))) > 1e-4


def test_attention_of_the_preset_is_over_time_and_latitude():
    options = {"window": 2, "upsampling": "pre", "filters": 8, "blocks": 1}
    low = field(1, 2, 12, 14, 2)
    moved = low.copy()
    moved[:, 1, :, 0] += 5  # the last frame's first column
    for preset, reached in (("none", False), ("dl4ds", True)):
        model = small(attention=True, preset=preset, **options)
        difference = np.abs(np.asarray(model(moved) - model(low)))[0, 0]
        assert (difference[:, :2].max() > 0) == reached  # by the first frame, which is before


def test_frames_depend_on_those_before_alone():
    model = small(window=3)
    low = field(1, 3, 6, 7, 2)
    moved = low.copy()
    moved[:, 1] += 1
    difference = np.abs(np.asarray(model(moved) - model(low))).max(axis=(0, 2, 3, 4))
    assert difference[0] == 0
    assert (difference[1:] > 0).all()


READER = textwrap.dedent(
    """
    import sys

    import jax
    import keras
    import numpy as np

    from phire.networks.custom_layers import custom_layers

    assert keras.backend.backend() == "jax" and "tensorflow" not in sys.modules
    folder = sys.argv[1]
    for number in range(int(sys.argv[2])):
        given = dict(np.load(f"{folder}/{number}.npz"))
        network = keras.saving.load_model(f"{folder}/{number}.keras", custom_layers())
        compute = jax.jit(lambda x, network=network: network(x, training=False))
        np.save(f"{folder}/{number}.npy", np.asarray(compute(given)))
    """
)


@pytest.mark.slow
def test_outputs_under_jax(tmp_path):
    place = {"position": np.array([[2, 4]], "i4"), "seed": np.array([[5, 6]], "i4")}
    networks = [
        (small(localized=True, domain=(30, 30), dropout=0.2, dropout_kind="mcdrop", attention=True,
               upsampling="transposed"), {"low": field(1, 6, 7, 2), **place}),
        (small(window=2, preset="dl4ds", static=1, normalization="batch", upsampling="resize"),
         {"low": field(1, 2, 6, 7, 2), "static": field(1, 12, 14, 1)}),
        (small("unet-dl4ds", time=2, add="bicubic"),
         {"low": field(1, 6, 7, 2), "time": field(1, 2)}),
        (small("densenet", normalization="group", upsampling="pre"), {"low": field(1, 6, 7, 2)}),
    ]  # fmt: skip
    for number, (network, inputs) in enumerate(networks):
        network.save(tmp_path / f"{number}.keras")
        np.savez(tmp_path / f"{number}.npz", **inputs)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path), str(len(networks))],
        env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    for number, (network, inputs) in enumerate(networks):
        expected = np.asarray(network(inputs, training=False))
        assert np.std(expected) > 1e-4
        np.testing.assert_allclose(np.load(tmp_path / f"{number}.npy"), expected, atol=2e-5)
