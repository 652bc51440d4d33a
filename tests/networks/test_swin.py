"""Swin2SR: numeric forward passes of the reference, its parameter counts, any scale and size."""

from __future__ import annotations

import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from networks.truth_weights import assert_output, assign_formula_weights, formula_input, truth
from phire.errors import InputError
from phire.networks import build
from phire.networks.blocks.window_attention import (
    MASKED,
    WindowAttention,
    offset_index,
    offset_table,
    parts_differ,
)
from phire.networks.swin import swin_layer

TINY = {"filters": 8, "depths": (2,), "heads": 2, "window_size": 4}
LIGHT = {"filters": 60, "depths": (6, 6, 6, 6), "heads": 6}


def attention_part(layer, name):
    """The weights of an attention by their names in the reference."""
    if name == "logit_scale":
        return layer.logit_scale
    if name.startswith("continuous"):
        first = name.endswith("0")
        kernel = layer.position_hidden_kernel if first else layer.position_kernel
        return SimpleNamespace(kernel=kernel, bias=layer.position_hidden_bias)
    return SimpleNamespace(
        kernel=getattr(layer, f"{name}_kernel"), bias=getattr(layer, f"{name}_bias", None)
    )


def layer_part(model, prefix, name):
    """The weights of an attention layer by their names in the reference."""
    if name.startswith("attention."):
        kind, _, rest = name.removeprefix("attention.").partition(".")
        rest = "output" if kind == "output" else rest
        return attention_part(model.get_layer(f"{prefix}_attention"), rest)
    names = {
        "layernorm_before": "attention_norm", "layernorm_after": "output_norm",
        "intermediate.dense": "hidden", "output.dense": "output",
    }  # fmt: skip
    return model.get_layer(f"{prefix}_{names[name]}")


def swin_part(model, name):
    """The weights of Swin2SR by their names in the reference."""
    stages = re.fullmatch(r"swin2sr\.encoder\.stages\.(\d)\.(?:layers\.(\d)\.)?(.*)", name)
    if stages:
        stage, layer, rest = stages.groups()
        if layer is not None:
            return layer_part(model, f"stage{stage}_layer{layer}", rest)
        last = {"conv": "conv", "patch_embed.projection": "embedding"}[rest]
        return model.get_layer(f"stage{stage}_{last}")
    names = {
        "swin2sr.first_convolution": "stem",
        "swin2sr.embeddings.patch_embeddings.projection": "embedding",
        "swin2sr.embeddings.patch_embeddings.layernorm": "embedding_norm",
        "swin2sr.layernorm": "body_norm",
        "swin2sr.conv_after_body": "after_body",
        "upsample.conv_before_upsample": "before_upsampling",
        "upsample.conv": "before_upsampling",
        "upsample.upsample.convolution_0": "upsampling0",
        "upsample.upsample.convolution_1": "upsampling1",
        "upsample.upsample.convolution_2": "upsampling2",
        "upsample.conv_up1": "upsampling0",
        "upsample.conv_up2": "upsampling1",
        "upsample.conv_hr": "fine_features",
        "upsample.final_convolution": "to_targets",
    }
    return model.get_layer(names[name])


SHUFFLED = {f"upsample.upsample.convolution_{i}": 2 for i in range(3)}


def test_attention_is_the_references():
    stated = truth("deepr")["swin2sr"]["tiny attention (dim 8, 2 heads, w4; x 3x16x8)"]
    layer = WindowAttention(2, 4)
    tokens = formula_input(3, 16, 8)
    layer.build((None, 4, 4, 8))
    own = [v for v in layer.weights if not v.name.startswith("output")]
    assign_formula_weights(stated["names"], lambda name: attention_part(layer, name), own)
    layer.output_kernel.assign(np.eye(8))  # the reference's module ends before that layer
    assert_output(np.asarray(layer(tokens.reshape(3, 4, 4, 8))).reshape(3, 16, 8), stated["out"])


def test_a_shifted_layer_is_the_references():
    stated = truth("deepr")["swin2sr"]["tiny layer (shift 2; x 1x64x8 on 8x8)"]
    x = keras.Input((8, 8, 8))
    model = keras.Model(x, swin_layer(x, heads=2, window=4, shift=2, name="one"))
    find = lambda name: layer_part(model, "one", name)  # noqa: E731
    assign_formula_weights(stated["names"], find, model.weights)
    tokens = np.asarray(model(formula_input(1, 64, 8).reshape(1, 8, 8, 8)))
    assert_output(tokens.reshape(1, 64, 8), stated["out"])


@pytest.mark.parametrize("upsampling", ["pixelshuffle", "pixelshuffledirect", "nearest+conv"])
@pytest.mark.parametrize("size", [8, None])
def test_the_network_is_the_references(upsampling, size):
    name = f"tiny Swin2SR x4 {upsampling} (8, [2], [2], w4; x 1x1x8x8)"
    stated = truth("deepr")["swin2sr"][name]
    model = build(
        "swin2sr", (size, size, 1), (size and 32, size and 32, 1), scale=4, upsampling=upsampling,
        **TINY,
    )  # fmt: skip
    assert model.count_params() == stated["params"]
    shuffled = SHUFFLED if upsampling != "pixelshuffledirect" else {"upsample.conv": 4}
    find = lambda name: swin_part(model, name)  # noqa: E731
    assign_formula_weights(stated["names"], find, model.weights, shuffled)
    output = model.predict({"low": formula_input(1, 1, 8, 8)}, verbose=0)
    assert output.shape == (1, 32, 32, 1)
    assert_output(output, stated["out"])


def test_offsets_and_masks_are_the_references():
    steps = offset_table(5).reshape(9, 9, 2)
    np.testing.assert_allclose(steps[0, :5, 1], [-1.0566417, -0.9357850, -0.7739760, -0.5283208, 0])
    np.testing.assert_allclose(steps[:, 3, 0], steps[3, :, 1])
    assert offset_index(5)[0].tolist()[:6] == [40, 39, 38, 37, 36, 31]
    assert (offset_index(5).sum(), offset_index(8).sum()) == (25000, 458752)
    layer = WindowAttention(1, 5, 2)
    layer.build((None, 10, 15, 4))
    bias = np.asarray(layer.attention_bias(2, 3, True))
    masked = (bias < MASKED / 2).sum(axis=(1, 2, 3))
    assert masked.tolist() == [0, 0, 300, 300, 300, 456]
    assert [part.sum() for part in parts_differ(5, 2)] == [300, 300]


@pytest.mark.parametrize(
    ("count", "channels", "scale", "options"),
    [
        (12_091_571, 3, 2, {}),
        (12_234_889, 1, 4, {}),
        (1_006_432, 1, 4, {**LIGHT, "upsampling": "pixelshuffledirect"}),
        (1_328_401, 1, 4, LIGHT),
        (1_143_761, 1, 4, {**LIGHT, "upsampling": "nearest+conv"}),
        (1_335_950, 3, 4, {**LIGHT, "upsampling": "pixelshuffle-aux"}),
        (998_317, 1, 1, {**LIGHT, "upsampling": "none"}),
        (1_365_329, 1, 3, LIGHT),
        (1_264_621, 1, 4, {**LIGHT, "residual": "3conv"}),
    ],
)
def test_parameters_are_as_many_as_the_references(count, channels, scale, options):
    low, high = (16, 16, channels), (16 * scale, 16 * scale, channels)
    assert build("swin2sr", low, high, **options).count_params() == count


@pytest.mark.parametrize("size", [(7, 9), (3, 12)])
def test_static_and_dynamic_sizes_give_the_same(size):
    fixed = build("swin2sr", (*size, 1), (5 * size[0], 5 * size[1], 1), **TINY)
    free = build("swin2sr", (None, None, 1), (None, None, 1), scale=5, **TINY)
    free.set_weights(fixed.get_weights())
    low = {"low": np.random.default_rng(0).normal(size=(2, *size, 1)).astype("f4")}
    output = fixed.predict(low, verbose=0)
    assert output.shape == (2, 5 * size[0], 5 * size[1], 1)
    np.testing.assert_allclose(free.predict(low, verbose=0), output, atol=1e-5)


def test_samples_skip_layers_more_often_the_deeper_they_are():
    model = build("swin2sr", (8, 8, 1), (16, 16, 1), **{**TINY, "depths": (2, 3)}, drop_path=0.2)
    rates = [one.rate for one in model.layers if isinstance(one, keras.layers.Dropout)]
    np.testing.assert_allclose(rates, np.repeat([0.05, 0.1, 0.15, 0.2], 2))
    low = {"low": np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("f4")}
    kept = model(low, training=False)
    assert np.abs(model(low, training=True) - kept).max() > 0
    np.testing.assert_array_equal(model(low, training=False), kept)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"upsampling": "deconvolution"}, "choose one of pixelshuffle"),
        ({"upsampling": "none"}, "needs the scale 1, but the scale is 2"),
        ({"filters": 9}, "must be a multiple of the heads"),
        ({"heads": (2, 2)}, "one for each of depths"),
        ({"window_size": 1}, "window_size=1 must be 2 or more"),
        ({"residual": "2conv"}, "choose one of 1conv, 3conv"),
        ({"add": "spline"}, "choose one of none, nearest"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        build("swin2sr", (8, 8, 1), (16, 16, 1), **{**TINY, **options})
