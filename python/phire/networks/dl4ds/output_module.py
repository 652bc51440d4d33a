"""Last part of the networks: locally connected block, fine maps, convolutions to the targets."""

from __future__ import annotations

from typing import Any

import keras

from phire.networks.dl4ds.block_options import Style
from phire.networks.dl4ds.convolution_blocks import (
    convnext_block,
    convolution_block,
    transition,
)
from phire.networks.dl4ds.locally_connected import LocallyConnected

LOCAL_CHANNELS = 2
"""Channels of the locally connected block, as in DL4DS."""


def with_local_features(
    x: Any, position: Any, domain: tuple[int, int], margin: int, style: Style
) -> Any:
    """Joins features to those of the locally connected block: 1×1 to 2 – relu – by grid point."""
    y = transition(x, LOCAL_CHANNELS)
    y = LocallyConnected(
        domain, LOCAL_CHANNELS, margin, glorot_over_domain=style.reference, name="localized"
    )(y, position)
    return keras.layers.Concatenate()([x, y])


def features_of_maps(x: Any, kind: str, filters: int, style: Style) -> Any:
    """Returns features (B, H, W, filters) of the fine maps by a block without dropout."""
    style = style.but(dropout=0.0)
    block = convnext_block if kind == "convnext" else convolution_block
    return block(x, filters, style)


def targets_of_features(x: Any, channels: int, style: Style) -> Any:
    """Returns the targets (B, H, W, channels) of features on the fine grid.

    Transition – convolution block – 3×3 convolution to the targets, which nothing normalizes.
    """
    x = transition(x, style.filters, style.activation)
    x = convolution_block(x, style.filters, style)
    return keras.layers.Conv2D(channels, 3, padding="same", dtype="float32")(x)


def targets_as_dl4ds(
    x: Any, channels: int, filters: int, style: Style, output_activation: str
) -> Any:
    """Returns the targets (B, H, W, channels) of features on the fine grid, as DL4DS does.

    Transition to ``filters`` – linear convolution block with attention – convolution block through
    as many channels as there are targets, normalized like the others.
    """
    x = transition(x, filters)
    last = style.but(attention=True, dropout_kind="vanilla", separable=False)
    x = convolution_block(x, style.filters, last, style.kernel, "linear")
    last = last.but(attention=False, dropout=0.0)
    return convolution_block(x, channels, last, style.kernel, output_activation)
