"""Backbones for single fields: a first convolution, blocks and a long skip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from phire.networks.dl4ds.block_options import Style
from phire.networks.dl4ds.convolution_blocks import (
    activated,
    convnext_block,
    convolution,
    convolution_block,
    dense_block,
    dropped,
    residual_block,
    transition,
)

BACKBONES = ("convnet", "resnet", "densenet", "convnext")
"""Kinds of backbones."""


def convolutional_backbone(x: Any, kind: str, style: Style, condition: Callable[[Any], Any]) -> Any:
    """Adds a backbone, (B, H, W, C) → (B, H, W, width).

    It has a first convolution, blocks, a 3×3 convolution with dropout (except for convnext) and a
    long skip: none for convnet, a sum for resnet and convnext, a concatenation for densenet. All
    blocks have the width ``style.filters``; in DL4DS's preset, block i has the width i·filters.

    Args:
        x: Inputs, (B, H, W, C).
        kind: One of :data:`BACKBONES`.
        style: Options of the blocks.
        condition: Function that scales and shifts the first features by the time covariates.
    """
    first = style.but(separable=False)
    x = condition(convolution(x, style.filters, style.kernel, first))
    style = style.but(valid=None)
    y = x
    for number in range(1, style.blocks + 1):
        width = style.filters * number if style.reference else style.filters
        y = _block(y, kind, width, style)
    if kind != "convnext":
        y = activated(keras.layers.Conv2D(width, 3, padding="same")(y), style.activation)
        y = dropped(y, style)
    return _joined(x, y, kind, width, style)


def _block(x: Any, kind: str, width: int, style: Style) -> Any:
    """Adds a block of the backbone's kind."""
    if kind == "convnet":
        return convolution_block(x, width, style)
    if kind == "resnet":
        return residual_block(x, width, style)
    if kind == "densenet":
        x = dense_block(x, width, style)
        return transition(x, x.shape[-1] // 2)
    return convnext_block(x, width, style)


def _joined(x: Any, y: Any, kind: str, width: int, style: Style) -> Any:
    """Adds the long skip from the first features x to the last features y."""
    if kind == "convnet":
        return y
    if kind == "densenet":
        return transition(keras.layers.Concatenate()([x, y]), width, style.activation)
    if style.reference or x.shape[-1] != width:
        x = transition(x, width, style.activation)
    return keras.layers.Add()([x, y])
