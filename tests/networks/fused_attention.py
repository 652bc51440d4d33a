"""Formula weights for networks whose attention has one projection where the reference has three."""

from __future__ import annotations

import numpy as np

from networks.truth_weights import assign_formula_weights
from phire.networks.blocks.global_attention import FieldAttention


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


def assign_by_layers(names, layer_of, layers):
    """Sets all trainable weights of layers by the formula.

    Args:
        names: Parameters and shapes of the reference, as in the JSON.
        layer_of: Returns the layer for a module of the reference, None where it is never used.
        layers: All layers.
    """
    fused = [layer for layer in layers if isinstance(layer, FieldAttention)]
    whole = {id(v) for layer in fused for v in layer.query_key_value.variables}
    thirds = {(id(layer), k): Parts(layer.query_key_value, k) for layer in fused for k in range(3)}
    unused = {}

    def find(module):
        layer = layer_of(module)
        if layer is None:
            return unused[module]
        part = module.rpartition(".")[2]
        if part in ("to_q", "to_k", "to_v"):
            return thirds[id(layer), ("to_q", "to_k", "to_v").index(part)]
        if isinstance(layer, FieldAttention):
            return layer.query_key_value if part == "projection" else layer.output_projection
        return layer

    for name, shape in names:
        module, _, kind = name.rpartition(".")
        if layer_of(module) is None:
            one = unused.setdefault(module, type("Unused", (), {})())
            setattr(one, {"weight": "gamma", "bias": "beta"}[kind], Part(tuple(shape)))
    separate = any(".to_q." in name for name, _ in names)
    variables = [v for layer in layers for v in layer.trainable_variables]
    variables = [v for v in variables if not (separate and id(v) in whole)]
    if separate:
        variables += [part for third in thirds.values() for part in (third.kernel, third.bias)]
    variables += [part for one in unused.values() for part in vars(one).values()]
    assign_formula_weights(names, find, variables)


PARTS = {
    "norm1": "norm_1", "norm2": "norm_2", "conv1": "convolution_1", "conv2": "convolution_2",
    "time_emb_proj": "embedding", "time_emb": "embedding", "conv_shortcut": "shortcut",
    "shortcut": "shortcut", "group_norm": "attention_norm",
}  # fmt: skip
"""Ends of phire's names for parts of a block in diffusers and in DeepR."""


def name_in_diffusers_block(module, levels):
    """Returns phire's name of a layer for ``down_blocks.…``, ``up_blocks.…``, ``mid_block.…``."""
    side, *pieces = module.split(".")
    if side == "mid_block":
        kind, index, *rest = pieces
        beginning = "middle" if kind == "attentions" else f"middle_{index}"
    else:
        level, kind, index, *rest = pieces
        level = int(level) if side == "down_blocks" else levels - 1 - int(level)
        beginning = f"{side.split('_')[0]}_{level}_block_{index}"
        if kind in ("downsamplers", "upsamplers"):
            return f"{side.split('_')[0]}_{level}_sampling"
    return f"{beginning}_{PARTS.get(rest[0], 'attention')}"
