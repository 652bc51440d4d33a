"""Forward passes of diffusers' and DeepR's U-Nets with weights by a formula."""

from __future__ import annotations

import numpy as np
import pytest

import phire.networks
from networks.truth_weights import assert_output, assign_formula_weights, formula_input, truth
from phire.networks.blocks.global_attention import FieldAttention

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
PARTS = {
    "norm1": "norm_1", "norm2": "norm_2", "conv1": "convolution_1", "conv2": "convolution_2",
    "time_emb_proj": "embedding", "time_emb": "embedding", "conv_shortcut": "shortcut",
    "shortcut": "shortcut", "group_norm": "attention_norm",
}  # fmt: skip


class Part:
    """Columns of a fused projection's variable, or a parameter that the reference never uses."""

    def __init__(self, shape, whole=None, index=0):
        self.shape, self.whole, self.index = shape, whole, index
        self.path = f"{whole.path if whole is not None else 'unused'}[{index}]"

    def assign(self, value):
        if self.whole is not None:
            values = np.array(self.whole)
            size = values.shape[-1] // 3
            values[..., self.index * size : (self.index + 1) * size] = value
            self.whole.assign(values)


class Parts:
    """A third of a fused projection, as a layer with ``kernel`` and ``bias``."""

    def __init__(self, layer, index):
        for name in ("kernel", "bias"):
            whole = getattr(layer, name)
            setattr(self, name, Part((*whole.shape[:-1], whole.shape[-1] // 3), whole, index))


def with_formula_weights(model, names, layer_name):
    """Sets all weights by the names of PyTorch's modules, which ``layer_name`` translates."""
    thirds, unused = {}, {}
    fused = [layer for layer in model.layers if isinstance(layer, FieldAttention)]
    whole = {id(v) for layer in fused for v in layer.query_key_value.variables}
    for layer in fused:
        thirds |= {(layer.name, k): Parts(layer.query_key_value, k) for k in range(3)}

    def find(module):
        name = layer_name(module)
        part = module.rpartition(".")[2].replace("0", "") or module.split(".")[-2]
        projection = {"to_q": 0, "to_k": 1, "to_v": 2}.get(part)
        if projection is not None:
            return thirds[name, projection]
        if name is None:
            return unused[module]
        layer = model.get_layer(name)
        if isinstance(layer, FieldAttention):
            return layer.query_key_value if part == "projection" else layer.output_projection
        return layer

    for name, shape in names:
        module, _, kind = name.rpartition(".")
        if layer_name(module) is None:
            one = unused.setdefault(module, type("Unused", (), {})())
            setattr(one, {"weight": "gamma", "bias": "beta"}[kind], Part(tuple(shape)))
    separate = any(".to_q." in name for name, _ in names)
    variables = [v for v in model.trainable_variables if not (separate and id(v) in whole)]
    if separate:
        variables += [part for third in thirds.values() for part in (third.kernel, third.bias)]
    variables += [part for one in unused.values() for part in vars(one).values()]
    assign_formula_weights(names, find, variables)


def unet2d_layer(module):
    if module in UNET2D:
        return UNET2D[module]
    side, *pieces = module.split(".")
    if side == "mid_block":
        kind, index, *rest = pieces
        beginning = "middle" if kind == "attentions" else f"middle_{index}"
    else:
        level, kind, index, *rest = pieces
        level = int(level) if side == "down_blocks" else LEVELS - 1 - int(level)
        beginning = f"{side.split('_')[0]}_{level}_block_{index}"
        if kind in ("downsamplers", "upsamplers"):
            return f"{side.split('_')[0]}_{level}_sampling"
    return f"{beginning}_{PARTS.get(rest[0], 'attention')}"


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
        "unet2d", (8, 8, 1), (8, 8, 1), time=int(kind is not None), widths=[8, 16], blocks=1,
        groups=4, attention=[1], time_embedding=kind,
    )  # fmt: skip
    assert model.count_params() == stated["params"]
    with_formula_weights(model, stated["names"], unet2d_layer)
    hours = {} if kind is None else {"time": np.array([[0.0], [23.0]], "float32")}
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
