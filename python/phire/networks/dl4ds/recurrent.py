"""Recurrent backbones of time windows: blocks of convolutional LSTMs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from phire.networks.dl4ds.block_options import Style
from phire.networks.dl4ds.convolution_blocks import activated, dropped, normalised
from phire.networks.dl4ds.convolutional_lstm import ConvolutionalLSTM, keras2_hard_sigmoid

RECURRENT_BACKBONES = ("convnet", "resnet", "densenet")


def recurrent_backbone(x: Any, kind: str, style: Style, condition: Callable[[Any], Any]) -> Any:
    """Returns features (B, T, H, W, width) of a window; a frame's are of it and those before it.

    ``style.blocks`` + 1 recurrent blocks, dropout, and the join of the first with the last: convnet
    none, resnet sum, densenet concatenation.

    Args:
        x: Inputs (B, T, H, W, C).
        kind: One of :data:`RECURRENT_BACKBONES`.
        style: Options of the blocks.
        condition: Scales and shifts features (B, T, H, W, C) by the time covariates.
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
    """Twice [dropout] – convolutional LSTM (5×5, then 3×3) – [normalization] – activation.

    DL4DS's RecurrentConvBlock (Shi et al. 2015, arXiv:1506.04214). The gates' activation is the
    sigmoid, in DL4DS's preset the hard sigmoid of Keras 2.
    """
    for kernel in (5, 3):
        gates = keras2_hard_sigmoid if style.reference else "sigmoid"
        given = [dropped(x, style)] if style.valid is None else [dropped(x, style), style.valid]
        x = ConvolutionalLSTM(filters, kernel, gates)(*given)
        x = activated(normalised(x, style), style.activation)
        style = style.but(valid=None)
    return x
