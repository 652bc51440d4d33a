"""Last layers of the networks: locally connected block, fine maps, convolutions to the targets."""

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
    """Concatenates the features of the locally connected block.

    The block is a 1×1 convolution to 2 channels with ReLU, and a locally connected layer.

    Args:
        x: Features on the fine grid, (B, H, W, C).
        position: Row and column of each patch's first point in the domain, (B, 2).
        domain: Rows and columns of the fine domain.
        margin: Fine points of the features before the patch's first point.
        style: Options of the network.
    """
    y = transition(x, LOCAL_CHANNELS)
    y = LocallyConnected(
        domain, LOCAL_CHANNELS, margin, glorot_over_domain=style.reference, name="localized"
    )(y, position)
    return keras.layers.Concatenate()([x, y])


def features_of_maps(x: Any, kind: str, filters: int, style: Style) -> Any:
    """Returns features of the fine maps, (B, H, W, filters), by one block without dropout."""
    style = style.but(dropout=0.0)
    block = convnext_block if kind == "convnext" else convolution_block
    return block(x, filters, style)


def targets_of_features(x: Any, channels: int, style: Style) -> Any:
    """Returns the targets from features on the fine grid, (B, H, W, channels).

    The layers are a transition, a convolution block and a 3×3 convolution without normalization.
    """
    x = transition(x, style.filters, style.activation)
    x = convolution_block(x, style.filters, style)
    return keras.layers.Conv2D(channels, 3, padding="same", dtype="float32")(x)


def targets_as_dl4ds(
    x: Any, channels: int, filters: int, style: Style, output_activation: str
) -> Any:
    """Returns the targets from features on the fine grid as DL4DS does, (B, H, W, channels).

    The layers are a transition to ``filters`` channels, a linear convolution block with attention,
    and a convolution block to the targets, which is normalized like the others.
    """
    x = transition(x, filters)
    last = style.but(attention=True, dropout_kind="vanilla", separable=False)
    x = convolution_block(x, style.filters, last, style.kernel, "linear")
    last = last.but(attention=False, dropout=0.0)
    return convolution_block(x, channels, last, style.kernel, output_activation)
