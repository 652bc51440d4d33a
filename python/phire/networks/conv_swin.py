"""DeepR's end-to-end networks, which add details to the interpolated coarse field.

Source: DeepR (Predictia, Apache-2.0), for ERA5 to CERRA, ×5. Its coarse fields extend beyond the
target. One large convolution without padding reduces them to 1/2ⁿ of the target's size, from which
the networks upsample by 2ⁿ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from phire.errors import InputError, OptionError
from phire.networks.blocks.fine_output import Fine
from phire.networks.blocks.interpolation_layer import Interpolation
from phire.networks.blocks.multiples import PadToMultiple
from phire.networks.blocks.sample_inputs import (
    added_to_interpolated,
    fine_maps,
    named_inputs,
    prime_factors,
    refuse_window,
    scaled_and_shifted_by_time,
    with_fine_maps_coarsened,
    without_margin,
)
from phire.networks.option_checks import check_counts
from phire.networks.registry import network
from phire.networks.shapes import FixedSizeError, Shapes
from phire.networks.swin import (
    check_layers,
    last_convolutions,
    pixels_by_factors,
    swin2sr,
    swin_features,
)

PRESETS = ("none", "deepr")
PYTORCH = -0.75
"""Parameter a of cubic convolution in PyTorch's bicubic interpolation."""


@network("conv-swin2sr")
def conv_swin2sr(
    shapes: Shapes,
    *,
    preset: str = "none",
    filters: int = 180,
    depths: Sequence[int] = (6, 6, 6, 6, 6, 6),
    heads: int | Sequence[int] = 6,
    window_size: int = 5,
    drop_path: float = 0.1,
    add: str = "bicubic",
) -> keras.Model:
    """Builds a Swin2SR whose output is added to the interpolated field, with a margin as context.

    Args:
        shapes: Shapes of a sample, without a time window.
        preset: ``none``: :func:`phire.networks.swin.swin2sr` on the coarse field with its margin,
            upsampled by the scale. ``deepr``: as in DeepR, a large convolution without padding
            first takes the coarse field to 1/2ⁿ of the target's size, where 2ⁿ is the smallest
            power of two not below the scale; fine maps enter only through 1×1 convolutions.
        filters, depths, heads, window_size, drop_path, add: See swin2sr. DeepR's published model
            has the defaults; its configuration file has filters=128, depths=(4, 4, 4, 4), heads=4.

    Raises:
        InputError: An option is out of range, or the sizes do not fit ``deepr``.
    """
    refuse_window(shapes, "conv-swin2sr")
    options = {"filters": filters, "depths": depths, "heads": heads, "drop_path": drop_path}
    if _is_deepr(preset):
        return _deepr_swin2sr(shapes, window_size=window_size, add=add, **options)
    return swin2sr(shapes, window_size=window_size, add=add, **options)


@network("conv-baseline")
def conv_baseline(
    shapes: Shapes,
    *,
    preset: str = "none",
    filters: Sequence[int] = (64, 32),
    add: str = "bicubic",
) -> keras.Model:
    """Builds a small convolutional network that is added to the interpolated field.

    This is DeepR's baseline. A first convolution gives 4 channels. Then each factor r of the scale
    has a block: a 5×5 and a 3×3 convolution, a 1×1 convolution to r² times the block's output
    channels, each with ReLU, and a transposed convolution of stride r. The last block outputs the
    targets; each earlier block has four times the output channels of the next.

    Args:
        shapes: Shapes of a sample, without a time window.
        preset: ``none``: first convolution of 3×3 on the field with its margin, and a block for
            each prime factor of the scale; ``deepr``: first convolution as in :func:`conv_swin2sr`,
            and blocks of factor 2.
        filters: Widths of the 5×5 and the 3×3 convolutions.
        add: Interpolation of ``low`` to which the output is added: none, nearest, bilinear or
            bicubic.

    Raises:
        InputError: An option is out of range, or the sizes do not fit ``deepr``.
    """
    refuse_window(shapes, "conv-baseline")
    if len(filters) != 2:
        raise OptionError(f"filters {list(filters)} must be two numbers.")
    check_counts(filters=filters)
    inputs = named_inputs(shapes)
    if _is_deepr(preset):
        x, factors = _surplus_convolved(inputs, shapes, 4), _powers(shapes)
        x = scaled_and_shifted_by_time(x, inputs)
        x = _enlarged(x, factors, shapes.high[2], filters)
        x = _merged_with_maps(x, inputs, shapes, "network")
        x = _added_with_maps(x, inputs, shapes, add)
        return keras.Model(inputs, Fine(None)(x), name="conv_baseline")
    x = keras.layers.Conv2D(4, 3, padding="same", name="context")(
        with_fine_maps_coarsened(inputs, shapes)
    )
    x = scaled_and_shifted_by_time(x, inputs)
    factors = prime_factors(shapes.scale) or (1,)
    x = without_margin(_enlarged(x, factors, shapes.high[2], filters), shapes.margin * shapes.scale)
    reach = 0
    if fine_maps(inputs):
        x = last_convolutions(x, inputs, shapes, filters[1])
        reach = 2
    x = added_to_interpolated(x, inputs, shapes, add)
    return keras.Model(inputs, Fine(_halo(factors, reach, add))(x), name="conv_baseline")


def _halo(factors: Sequence[int], reach: int, add: str) -> int:
    """Returns the halo in coarse points; the convolutions of each level reach 2 + 1 points."""
    for factor in reversed(factors):
        reach = math.ceil(reach / factor) + 3
    return max(reach + 1, 2 if add != "none" else 0)


def _enlarged(x: Any, factors: Sequence[int], targets: int, filters: Sequence[int]) -> Any:
    """Applies the upsampling blocks of :func:`conv_baseline`, one for each factor."""
    for i, factor in enumerate(factors):
        outputs = targets * 4 ** (len(factors) - 1 - i)
        widths = ((filters[0], 5), (filters[1], 3), (outputs * factor**2, 1))
        for j, (width, size) in enumerate(widths, start=1):
            x = keras.layers.Conv2D(
                width, size, padding="same", activation="relu", name=f"block{i}_conv{j}"
            )(x)
        x = keras.layers.Conv2DTranspose(outputs, factor, factor, name=f"block{i}_conv4")(x)
    return x


def _is_deepr(preset: str) -> bool:
    """Returns True for the preset ``deepr``; raises an OptionError for unknown presets."""
    if preset not in PRESETS:
        raise OptionError(f"preset {preset!r} must be one of {', '.join(PRESETS)}.")
    return preset == "deepr"


def _deepr_swin2sr(
    shapes: Shapes, *, window_size: int, heads: int | Sequence[int], add: str, **options: Any
) -> keras.Model:
    """Builds the Swin2SR of DeepR; see :func:`conv_swin2sr`."""
    filters, depths = options["filters"], options["depths"]
    heads = (heads,) * len(depths) if isinstance(heads, int) else tuple(heads)
    check_layers(filters, depths, heads, window_size, options["drop_path"])
    inputs = named_inputs(shapes)
    coarse = _surplus_convolved(inputs, shapes, shapes.low[2])
    x = PadToMultiple(window_size, "reflect")(coarse)
    x = swin_features(x, inputs, heads=heads, window=window_size, **options)
    x = keras.layers.Conv2D(64, 3, padding="same", name="before_upsampling")(x)
    x = keras.layers.LeakyReLU(negative_slope=0.01)(x)
    x = pixels_by_factors(x, math.prod(_powers(shapes)), 64)
    x = keras.layers.Conv2D(shapes.high[2], 3, padding="same", name="to_targets")(x)
    height, width, _ = shapes.high
    x = x[:, :height, :width]
    x = _merged_with_maps(x, inputs, shapes, "network")
    x = _added_with_maps(x, inputs, shapes, add)
    return keras.Model(inputs, Fine(None)(x), name="conv_swin2sr")


def _powers(shapes: Shapes) -> tuple[int, ...]:
    """Returns factors of 2 whose product is the scale or the next power of two; (1,) at scale 1."""
    return (2,) * math.ceil(math.log2(shapes.scale)) or (1,)


def _surplus_convolved(inputs: dict[str, Any], shapes: Shapes, filters: int) -> Any:
    """Reduces ``low`` to 1/2ⁿ of the target's size by a convolution without padding.

    Raises:
        InputError: Sizes are not fixed, or the target's sides are no multiples of 2ⁿ.
    """
    factor = math.prod(_powers(shapes))
    sizes = shapes.low[:2] + shapes.high[:2]
    if None in sizes:
        raise FixedSizeError(
            "preset deepr needs records of fixed size, on which its first kernel depends."
        )
    if any(n % factor for n in shapes.high[:2]):
        raise InputError(
            f"preset deepr needs targets whose sides are multiples of {factor}, not "
            f"{shapes.high[:2]}: choose another patch, or preset none."
        )
    kernel = [low - high // factor + 1 for low, high in zip(shapes.low, shapes.high[:2])]
    return keras.layers.Conv2D(filters, kernel, name="context")(inputs["low"])


def _merged_with_maps(x: Any, inputs: dict[str, Any], shapes: Shapes, name: str) -> Any:
    """Combines a fine field and the fine maps to the targets' channels by a 1×1 convolution."""
    maps = fine_maps(inputs)
    if not maps and x.shape[-1] == shapes.high[2]:
        return x
    if maps:
        x = keras.layers.Concatenate()([x, *maps])
    return keras.layers.Conv2D(shapes.high[2], 1, name=f"merged_{name}")(x)


def _added_with_maps(x: Any, inputs: dict[str, Any], shapes: Shapes, add: str) -> Any:
    """Adds x to the interpolated coarse field, combined with the fine maps."""
    if add == "none":
        return x
    # DeepR crops the margin before interpolating. Points near the edge are therefore interpolated
    # with repeated edge values, not with values of the margin.
    start = without_margin(inputs["low"], shapes.margin)
    start = Interpolation(shapes.scale, add, PYTORCH, dtype="float32")(start)
    start = _merged_with_maps(start, inputs, shapes, "interpolated")
    return keras.layers.Add(name="added", dtype="float32")([x, start])
