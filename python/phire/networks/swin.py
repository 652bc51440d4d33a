"""Swin2SR: a transformer with shifted attention windows (Conde et al. 2022, arXiv:2209.11345)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from phire.errors import OptionError
from phire.networks.blocks.fine_output import Fine
from phire.networks.blocks.multiples import PadToMultiple
from phire.networks.blocks.sample_inputs import (
    CroppedToCoarse,
    EdgePadding,
    added_to_interpolated,
    fine_maps,
    interpolated_low,
    named_inputs,
    prime_factors,
    refuse_window,
    scaled_and_shifted_by_time,
    with_fine_maps_coarsened,
    without_margin,
)
from phire.networks.blocks.window_attention import (
    WindowAttention,
    trunc_normal,
)
from phire.networks.option_checks import check_choice, check_counts, check_share
from phire.networks.pixel_shuffle import PixelShuffle
from phire.networks.registry import network
from phire.networks.shapes import Shapes

UPSAMPLINGS = ("pixelshuffle", "pixelshuffledirect", "nearest+conv", "pixelshuffle-aux", "none")
"""Kinds of upsampling; see :func:`swin2sr`."""
RESIDUALS = ("1conv", "3conv")
"""Convolutions that end a stage; see :func:`swin2sr`."""
EPSILON = 1e-5
"""Added to variances in layer normalization, as in PyTorch."""


@network("swin2sr")
def swin2sr(
    shapes: Shapes,
    *,
    filters: int = 180,
    depths: Sequence[int] = (6, 6, 6, 6, 6, 6),
    heads: int | Sequence[int] = 6,
    window_size: int = 8,
    mlp_ratio: float = 2.0,
    residual: str = "1conv",
    drop_path: float = 0.1,
    upsampling: str = "pixelshuffle",
    upsampling_filters: int = 64,
    add: str = "none",
) -> keras.Model:
    """Builds Swin2SR for any whole scale and any field size.

    Its layers are a 3×3 convolution; a 1×1 convolution and layer normalization; stages of attention
    layers, each with a convolution and a skip; layer normalization, a 3×3 convolution and a long
    skip; the upsampling. Fields are padded by reflection to whole windows.

    Block means of static and auxiliary maps are concatenated to the coarse input; the maps
    themselves are concatenated to the upsampled features before the last two convolutions. Time
    covariates scale and shift the features before each stage.

    Args:
        shapes: Shapes of a sample, without a time window.
        filters: Width of the transformer.
        depths: Number of attention layers of each stage; every second layer has shifted windows.
        heads: Attention heads of each stage, or one number for all; they must divide ``filters``.
        window_size: Side of the attention windows in coarse points.
        mlp_ratio: Hidden width of the MLPs, relative to ``filters``.
        residual: Convolutions that end a stage: ``1conv``, or ``3conv`` with fewer weights.
        drop_path: Fraction of samples that skip the last layer in training (stochastic depth); the
            fraction grows linearly with depth from 0.
        upsampling: ``pixelshuffle``, a convolution and pixel shuffle for each prime factor of the
            scale; ``pixelshuffledirect``, one for the whole scale; ``nearest+conv``, nearest
            neighbours and a convolution for each factor; ``pixelshuffle-aux``, through a coarse
            field of the targets, with features of the bicubic field added; ``none``, for scale 1.
        upsampling_filters: Width of the fine features.
        add: Interpolation of ``low`` to which the output is added: none, nearest, bilinear or
            bicubic.

    Raises:
        InputError: An option is out of range, or the records have a time window.
    """
    refuse_window(shapes, "swin2sr")
    heads = (heads,) * len(depths) if isinstance(heads, int) else tuple(heads)
    check_layers(filters, depths, heads, window_size, drop_path)
    check_counts(upsampling_filters=upsampling_filters)
    if mlp_ratio <= 0:
        raise OptionError(f"mlp_ratio {mlp_ratio:g} must be positive.")
    _check(shapes, residual, upsampling)
    inputs = named_inputs(shapes)
    x = with_fine_maps_coarsened(inputs, shapes)
    x = PadToMultiple(window_size, "reflect")(x)
    x = swin_features(
        x, inputs, filters=filters, depths=depths, heads=heads, window=window_size,
        mlp_ratio=mlp_ratio, residual=residual, drop_path=drop_path,
    )  # fmt: skip
    x = _upsampled(x, inputs, shapes, upsampling, upsampling_filters)
    x = added_to_interpolated(x, inputs, shapes, add)
    # Windows are placed from the field's corner, so tiles would have other windows: no halo.
    return keras.Model(inputs, Fine(None)(x), name="swin2sr")


def _check(shapes: Shapes, residual: str, upsampling: str) -> None:
    """Raises an OptionError for unknown choices, or no upsampling at a scale above 1."""
    check_choice("residual", residual, RESIDUALS)
    check_choice("upsampling", upsampling, UPSAMPLINGS)
    if upsampling == "none" and shapes.scale > 1:
        raise OptionError(
            f"upsampling none needs the scale 1, but the scale is {shapes.scale}: choose one of "
            f"{', '.join(UPSAMPLINGS[:-1])}."
        )


def check_layers(
    filters: int, depths: Sequence[int], heads: Sequence[int], window: int, drop_path: float
) -> None:
    """Raises an OptionError for numbers of the transformer that are out of range."""
    check_counts(filters=filters, depths=depths, heads=heads)
    check_counts(2, window_size=window)
    check_share(drop_path=drop_path)
    if len(heads) != len(depths):
        raise OptionError(f"heads {list(heads)} must be one number, or one for each of depths.")
    # Every head has filters / heads channels.
    if any(filters % n for n in heads):
        raise OptionError(f"filters {filters} must be a multiple of the heads {list(heads)}.")


def swin_features(
    x: Any,
    inputs: dict[str, Any],
    *,
    filters: int,
    depths: Sequence[int],
    heads: Sequence[int],
    window: int,
    mlp_ratio: float = 2.0,
    residual: str = "1conv",
    drop_path: float = 0.1,
) -> Any:
    """Adds the transformer of Swin2SR, (B, h, w, C) → (B, h, w, filters).

    Args:
        x: Coarse features, whose sides h and w are multiples of the window.
        inputs: Inputs of the network, of which ``time`` is used.
        window: Side of the attention windows.
        filters, depths, heads, mlp_ratio, residual, drop_path: See :func:`swin2sr`.
    """
    stem = convolution(filters, 3, name="stem")(x)
    x = convolution(filters, 1, name="embedding")(stem)
    x = _layer_norm("embedding_norm")(x)
    rates = iter(np.linspace(0, drop_path, sum(depths)).tolist())
    for i, (depth, count) in enumerate(zip(depths, heads)):
        x = start = scaled_and_shifted_by_time(x, inputs, f"stage{i}_time")
        for j in range(depth):
            shift = 0 if j % 2 == 0 else window // 2
            x = swin_layer(
                x, heads=count, window=window, shift=shift, mlp_ratio=mlp_ratio,
                drop_path=next(rates), name=f"stage{i}_layer{j}",
            )  # fmt: skip
        x = _stage_end(x, filters, residual, f"stage{i}")
        x = keras.layers.Add(name=f"stage{i}_skip")([x, start])
    x = _layer_norm("body_norm")(x)
    return keras.layers.Add(name="body")([convolution(filters, 3, name="after_body")(x), stem])


def swin_layer(
    x: Any,
    *,
    heads: int,
    window: int,
    shift: int,
    mlp_ratio: float = 2.0,
    drop_path: float = 0.0,
    name: str,
) -> Any:
    """Adds one attention layer: attention and an MLP, each with post-normalization and a skip."""
    filters = x.shape[-1]
    y = WindowAttention(heads, window, shift, name=f"{name}_attention")(x)
    y = _layer_norm(f"{name}_attention_norm")(y)
    x = keras.layers.Add()([x, _dropped(y, drop_path)])
    y = _dense(round(mlp_ratio * filters), name=f"{name}_hidden")(x)
    y = keras.layers.Activation(_exact_gelu)(y)
    y = _layer_norm(f"{name}_output_norm")(_dense(filters, name=f"{name}_output")(y))
    return keras.layers.Add()([x, _dropped(y, drop_path)])


@keras.saving.register_keras_serializable(package="phire")
def _exact_gelu(x: Any) -> Any:
    """Computes GELU by the error function; Keras's activation ``"gelu"`` is an approximation."""
    return keras.activations.gelu(x, approximate=False)


def convolution(filters: int, size: int, **more: Any) -> keras.layers.Conv2D:
    """Returns a convolution with "same" padding, initialized as in Swin2SR."""
    return keras.layers.Conv2D(
        filters, size, padding="same", kernel_initializer=trunc_normal(), **more
    )


def _dense(units: int, name: str) -> keras.layers.Dense:
    return keras.layers.Dense(units, kernel_initializer=trunc_normal(), name=name)


def _layer_norm(name: str) -> keras.layers.LayerNormalization:
    return keras.layers.LayerNormalization(epsilon=EPSILON, name=name)


def _leaky(slope: float) -> keras.layers.Layer:
    return keras.layers.LeakyReLU(negative_slope=slope)


def _dropped(x: Any, rate: float) -> Any:
    """Drops a branch for whole samples in training (stochastic depth, arXiv:1603.09382)."""
    return keras.layers.Dropout(rate, noise_shape=(None, 1, 1, 1))(x) if rate else x


def _stage_end(x: Any, filters: int, residual: str, name: str) -> Any:
    """Adds the convolutions that end a stage."""
    if residual == "3conv":
        x = _leaky(0.2)(convolution(filters // 4, 3, name=f"{name}_narrow")(x))
        x = _leaky(0.2)(convolution(filters // 4, 1, name=f"{name}_middle")(x))
    x = convolution(filters, 3, name=f"{name}_conv")(x)
    return convolution(filters, 1, name=f"{name}_embedding")(x)


def _upsampled(
    x: Any, inputs: dict[str, Any], shapes: Shapes, upsampling: str, filters: int
) -> Any:
    """Upsamples coarse features, which have padding and the margin, to the targets."""
    targets = shapes.high[2]
    if upsampling == "pixelshuffledirect":
        x = convolution(targets * shapes.scale**2, 3, name="before_upsampling")(x)
        x = PixelShuffle(shapes.scale)(x)
    elif upsampling != "none":
        x = _leaky(0.01)(convolution(filters, 3, name="before_upsampling")(x))
        if upsampling == "pixelshuffle-aux":
            x = convolution(targets, 3, name="auxiliary_field")(x)
            x = _leaky(0.01)(convolution(filters, 3, name="after_auxiliary_field")(x))
        x = pixels_by_factors(x, shapes.scale, filters, nearest=upsampling == "nearest+conv")
        if upsampling == "pixelshuffle-aux":
            x = CroppedToCoarse(shapes.scale, shapes.margin)(x, inputs["low"])
            start = interpolated_low(inputs, shapes, "bicubic")
            x = keras.layers.Add()([x, convolution(filters, 3, name="bicubic")(start)])
            return last_convolutions(x, inputs, shapes, filters)
        if upsampling == "nearest+conv":
            x = _leaky(0.2)(convolution(filters, 3, name="fine_features")(x))
    if upsampling == "pixelshuffledirect" and not fine_maps(inputs):
        return CroppedToCoarse(shapes.scale, shapes.margin)(x, inputs["low"])
    # One coarse point of the margin remains as context of the last convolutions.
    remaining = min(shapes.margin, 1)
    x = CroppedToCoarse(shapes.scale, shapes.margin - remaining)(x, inputs["low"])
    return last_convolutions(x, inputs, shapes, filters, remaining * shapes.scale)


def pixels_by_factors(x: Any, scale: int, filters: int, nearest: bool = False) -> Any:
    """Upsamples features by each prime factor of the scale in turn.

    Each factor has a convolution and a pixel shuffle or, with ``nearest``, nearest neighbours, a
    convolution and a leaky ReLU of slope 0.2.
    """
    for i, factor in enumerate(prime_factors(scale)):
        if nearest:
            x = keras.layers.UpSampling2D(factor, interpolation="nearest")(x)
            x = _leaky(0.2)(convolution(filters, 3, name=f"upsampling{i}")(x))
        else:
            x = convolution(filters * factor**2, 3, name=f"upsampling{i}")(x)
            x = PixelShuffle(factor)(x)
    return x


def last_convolutions(
    x: Any, inputs: dict[str, Any], shapes: Shapes, filters: int, beyond: int = 0
) -> Any:
    """Adds the last convolutions, from fine features and fine maps to the targets.

    Args:
        x: Fine features, with ``beyond`` further points on every side.
        inputs: Inputs of the network.
        shapes: Shapes of a sample.
        filters: Width of the convolution over features and maps, which is left out without maps.
        beyond: Fine points around the targets, which are cropped at the end.
    """
    maps = fine_maps(inputs)
    if maps:
        maps = [EdgePadding(beyond)(one) if beyond else one for one in maps]
        x = keras.layers.Concatenate(name="features_and_maps")([x, *maps])
        x = _leaky(0.2)(convolution(filters, 3, name="joined")(x))
    x = convolution(shapes.high[2], 3, name="to_targets")(x)
    return without_margin(x, beyond)
