"""Forward passes of diffusers' and DeepR's U-Nets with weights by a formula."""

from __future__ import annotations

import numpy as np
import pytest

import phire.networks
from networks.fused_attention import PARTS, assign_by_layers, name_in_diffusers_block
from networks.truth_weights import assert_output, formula_input, truth

LEVELS = 2
UNET2D = {
    "conv_in": "first_convolution", "conv_norm_out": "last_norm", "conv_out": "last_convolution",
    "time_embedding.linear_1": "noise_embedding_1", "class_embedding": "time_0_embedding",
    "time_embedding.linear_2": "noise_embedding_2",
    "class_embedding.linear_1": "time_0_embedding_1",
    "class_embedding.linear_2": "time_0_embedding_2",
}  # fmt: skip
TAILORED = {
    "image_proj": "first_convolution", "norm": "last_norm", "final": "last_convolution",
    "time_emb.lin1": "noise_embedding_1", "time_emb.lin2": "noise_embedding_2",
    "down.0": "down_0_block_0", "down.1": "down_0_sampling", "down.2": "down_1_block_0",
    "up.0": "up_1_block_0", "up.1": "up_1_block_1", "up.2": "up_1_sampling",
    "up.3": "up_0_block_0", "up.4": "up_0_block_1", "middle.attn": "middle",
    "middle.res1": "middle_0", "middle.res2": "middle_1",
}  # fmt: skip


def unet2d_layer(module):
    return UNET2D.get(module) or name_in_diffusers_block(module, LEVELS)


def tailored_layer(module):
    if module in TAILORED:
        return TAILORED[module]
    pieces = module.split(".")
    beginning = TAILORED.get(".".join(pieces[:2]))
    if pieces[-1] == "conv":
        return beginning
    if pieces[-2] == "attn":
        return None if pieces[-1] == "norm" else f"{beginning}_attention"
    return f"{beginning}_{PARTS[pieces[-1]]}"


def with_formula_weights(model, names, layer_name):
    """Sets all weights by the names of PyTorch's modules, which ``layer_name`` translates."""

    def layer_of(module):
        name = layer_name(module)
        return None if name is None else model.get_layer(name)

    assign_by_layers(names, layer_of, model.layers)


def denoised(model, **more):
    """Output for the reference's inputs: x_t and condition are its two channels, t = 0 and 500."""
    x = formula_input(2, 2, 8, 8)
    level = np.array([0.0, 500.0], "float32")
    inputs = {"noisy": x[..., :1], "low": x[..., 1:], "noise_level": level, **more}
    return model(inputs, training=False)


@pytest.mark.parametrize("kind, key", [(None, "no class"), ("class", "24 classes"),
                                       ("timestep", "timestep class")])  # fmt: skip
def test_unet2d_is_that_of_diffusers(kind, key):
    found = truth("deepr")["unet2d"]
    stated = next(v for k, v in found.items() if k.startswith("tiny") and f" {key} " in k)
    model = phire.networks.build(
        "unet2d", (8, 8, 1), (8, 8, 1), time=2 * (kind is not None), widths=[8, 16], blocks=1,
        groups=4, attention=[1], time_embedding=kind,
    )  # fmt: skip
    assert model.count_params() == stated["params"]
    with_formula_weights(model, stated["names"], unet2d_layer)
    angles = 2 * np.pi * np.array([0.0, 23.0]) / 24
    hours = np.stack([np.sin(angles), np.cos(angles)], axis=-1).astype("f4")
    hours = {} if kind is None else {"time": hours}
    assert_output(denoised(model, **hours), stated["out"])


def test_unet_deepr_without_norms_in_attention_is_deepr_s():
    found = truth("deepr")["tailored_unet"]
    stated = next(v for k, v in found.items() if k.startswith("tiny original"))
    model = phire.networks.build(
        "unet-deepr", (8, 8, 1), (8, 8, 1), widths=[32, 64], blocks=1, attention=[1],
        attention_norm="none",
    )  # fmt: skip
    with_formula_weights(model, stated["names"], tailored_layer)
    assert_output(denoised(model), stated["out"])
