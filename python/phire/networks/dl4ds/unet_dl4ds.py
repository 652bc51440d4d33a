"""U-Net of DL4DS on interpolated fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from phire.errors import InputError
from phire.networks.blocks.multiples import CropLike, PadToMultiple
from phire.networks.blocks.sample_inputs import (
    check_addition,
    refuse_window,
    scaled_and_shifted_by_time,
)
from phire.networks.dl4ds.block_options import Style, check_activation
from phire.networks.dl4ds.convolution_blocks import convolution_block, dropped
from phire.networks.dl4ds.frames import (
    fine_network,
    inputs_of,
    joined_input,
    maps_of,
    validity_of,
)
from phire.networks.dl4ds.output_module import (
    features_of_maps,
    targets_as_dl4ds,
    with_local_features,
)
from phire.networks.dl4ds.upsampling import UPSAMPLINGS, enlarged_as_dl4ds
from phire.networks.option_checks import check_choice, check_counts
from phire.networks.registry import network
from phire.networks.shapes import Shapes


@network("unet-dl4ds")
def unet_dl4ds(
    shapes: Shapes,
    *,
    upsampling: str = "pre",
    filters: int = 32,
    blocks: int = 4,
    width_cap: int = 256,
    decoder_upsampling: str = "resize",
    normalization: str = "none",
    attention: bool = False,
    localized: bool = False,
    dropout: float = 0.0,
    dropout_kind: str = "vanilla",
    activation: str = "relu",
    output_activation: str = "linear",
    add: str = "none",
    add_channels: Sequence[int] | None = None,
    interpolation: str = "bilinear",
    separable: bool = False,
    masked: bool = False,
    checkerboard_free: bool = True,
) -> keras.Model:
    """Builds the U-Net of DL4DS, with its blocks and parameter counts.

    ``low`` is interpolated to the fine grid and concatenated with the fine maps. The encoder has
    ``blocks`` convolution blocks with 2×2 max pooling; a bottleneck and a decoder with skips
    follow. Fields that 2^blocks does not divide are padded by their edge values at the south and
    east, and cropped at the end. The covariates ``time`` scale and shift the features of the
    bottleneck. The halo is the whole field.

    Args:
        shapes: Shapes of a sample, without a time window.
        upsampling: ``pre``, the only choice.
        filters: Width of the first block; the width doubles from block to block.
        blocks: Number of blocks of the encoder; fewer if less than 2×2 points would remain.
        width_cap: Largest width.
        decoder_upsampling: Upsampling by 2 in the decoder: ``resize``, ``subpixel`` or
            ``transposed``.
        normalization, attention, localized, dropout, dropout_kind, activation, add, add_channels,
            interpolation, separable, masked: As in the network ``resnet``.
        output_activation: Activation of both last convolutions, before ``add``.
        checkerboard_free: Initialize upsamplings of the decoder so that they start without
            checkerboards.

    Raises:
        InputError: An option is unknown or does not fit the shapes.
    """
    refuse_window(shapes, "unet-dl4ds")
    if upsampling != "pre":
        raise InputError(
            f"network unet-dl4ds has only upsampling=pre, not {upsampling!r}: leave it out."
        )
    check_choice("decoder_upsampling", decoder_upsampling, UPSAMPLINGS[1:])
    check_activation("output_activation", output_activation)
    inputs = inputs_of(shapes, localized, dropout, dropout_kind, masked)
    margin = shapes.margin * shapes.scale
    style = Style(
        filters, blocks, activation, normalization, attention, dropout, dropout_kind, separable,
        checkerboard_free, reference=True, inputs=inputs, margin=margin,
    )  # fmt: skip
    check_addition(shapes, add, add_channels)
    fine = joined_input(inputs, shapes, "pre", interpolation, with_maps=True)
    depth = _depth([size and size + 2 * margin for size in shapes.high[:2]], blocks)
    check_counts(width_cap=width_cap)
    widths = [min(filters * 2**number, width_cap) for number in range(depth + 1)]
    valid = validity_of(inputs, shapes, "pre")
    if valid is not None:
        valid = PadToMultiple(2**depth)(valid)
    x = _encoded_and_decoded(
        PadToMultiple(2**depth)(fine), valid, widths, decoder_upsampling, interpolation, style,
        lambda features: scaled_and_shifted_by_time(features, inputs),
    )  # fmt: skip
    x = dropped(CropLike()(x, fine), style)
    if localized:
        x = with_local_features(x, inputs["position"], shapes.domain, margin, style)
    maps = maps_of(inputs, shapes)
    if maps is not None:
        maps = features_of_maps(maps, "unet", filters, style.but(attention=False))
        x = keras.layers.Concatenate()([x, maps])
    x = targets_as_dl4ds(x, shapes.high[2], filters, style, output_activation)
    return fine_network(x, inputs, shapes, "unet-dl4ds", add=add, channels=add_channels)


def _depth(size: Sequence[int | None], blocks: int) -> int:
    """Returns the number of blocks after which at least 2×2 points remain, at most ``blocks``."""
    smallest = min((n for n in size if n is not None), default=None)
    if smallest is None:
        return blocks
    return max(1, min(blocks, smallest.bit_length() - 2))


def _encoded_and_decoded(
    x: Any,
    valid: Any,
    widths: list[int],
    upsampling: str,
    interpolation: str,
    style: Style,
    condition: Any,
) -> Any:
    """Adds encoder, bottleneck and decoder.

    Args:
        x: Inputs on the fine grid, (B, H, W, C).
        valid: Mask of present values for the first convolution; None if no value is missing.
        widths: Widths of the encoder's blocks and of the bottleneck.
        upsampling, interpolation: Upsampling of the decoder, and interpolation of ``resize``.
        style: Options of the network.
        condition: Function that scales and shifts the bottleneck's features.
    """
    *encoder, bottleneck = widths
    styles = [style.but(step=2**n, margin=style.margin // 2**n) for n in range(len(widths))]
    skips = []
    for width, level in zip(encoder, styles):
        skips.append(convolution_block(x, width, level.but(valid=valid)))
        valid = None
        x = keras.layers.MaxPooling2D(2)(skips[-1])
    x = convolution_block(x, bottleneck, styles[-1].but(normalization="none", attention=False))
    x = condition(x)
    for width, skip, level in zip(encoder[::-1], skips[::-1], styles[-2::-1]):
        x = enlarged_as_dl4ds(x, upsampling, 2, interpolation, style, width)
        x = keras.layers.Concatenate()([skip, x])
        x = convolution_block(x, width, level)
    return x
