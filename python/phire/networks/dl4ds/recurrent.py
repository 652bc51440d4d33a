"""Recurrent backbones for time windows, with blocks of convolutional LSTMs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from phire.networks.dl4ds.block_options import Style
from phire.networks.dl4ds.convolution_blocks import activated, dropped, normalised
from phire.networks.dl4ds.convolutional_lstm import ConvolutionalLSTM, keras2_hard_sigmoid

RECURRENT_BACKBONES = ("convnet", "resnet", "densenet")
"""Backbones with a recurrent counterpart."""


def recurrent_backbone(x: Any, kind: str, style: Style, condition: Callable[[Any], Any]) -> Any:
    """Adds a recurrent backbone, (B, T, H, W, C) → (B, T, H, W, width).

    The features of a frame depend on it and on the frames before. The backbone has
    ``style.blocks`` + 1 recurrent blocks, dropout, and a long skip from the first block: none for
    convnet, a sum for resnet, a concatenation for densenet.

    Args:
        x: Inputs, (B, T, H, W, C).
        kind: One of :data:`RECURRENT_BACKBONES`.
        style: Options of the blocks.
        condition: Function that scales and shifts the first features by the time covariates.
    """
    y = x = condition(recurrent_block(x, style.filters, style.but(dropout=0.0)))
    style = style.but(valid=None)
    for _ in range(style.blocks):
        y = recurrent_block(y, style.filters, style)
    y = dropped(y, style)
    if kind == "convnet":
        return y
    join = keras.layers.Add if kind == "resnet" else keras.layers.Concatenate
    return join()([x, y])


def recurrent_block(x: Any, filters: int, style: Style) -> Any:
    """Adds DL4DS's RecurrentConvBlock: two convolutional LSTMs, of 5×5 and of 3×3.

    Each has optional dropout before it, and optional normalization and an activation after it. The
    gates use the sigmoid or, in DL4DS's preset, the hard sigmoid of Keras 2.
    """
    for kernel in (5, 3):
        gates = keras2_hard_sigmoid if style.reference else "sigmoid"
        given = [dropped(x, style)] if style.valid is None else [dropped(x, style), style.valid]
        x = ConvolutionalLSTM(filters, kernel, gates)(*given)
        x = activated(normalised(x, style), style.activation)
        style = style.but(valid=None)
    return x
