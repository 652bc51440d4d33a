"""DeepR's end-to-end networks: context from a larger coarse field, added to the interpolated one.

Source: DeepR (Predictia, Apache-2.0), ERA5 to CERRA, ×5; its networks reduce the surplus of the
coarse field by one convolution whose kernel is as large, to a grid that 2ⁿ enlarges to the target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from phire.errors import InputError, OptionError
from phire.networks.blocks.fine_output import Fine
from phire.networks.blocks.interpolation_layer import Interpolation
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
from phire.networks.blocks.window_attention import ReflectedToMultiple
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
"""Parameter of PyTorch's bicubic interpolation."""


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
    """Swin2SR that adds to the interpolated field, with context from the margin.

    Args:
        shapes: Shapes of a sample; no window of time steps.
        preset: ``none``: :func:`phire.networks.swin.swin2sr` on the coarse field with its margin,
            enlarged by the scale at once. ``deepr``: as in DeepR, a convolution as large as the
            surplus takes the coarse field to 1/2ⁿ of the target's size, 2ⁿ the next power above the
            scale, which blurs it first; fine maps join by 1×1 convolutions of the fields only.
        filters, depths, heads, window_size, drop_path, add: See swin2sr. DeepR's published model
            has the defaults, the one of its configuration file 128, (4, 4, 4, 4) and 4.

    Raises:
        InputError: An option or, for ``deepr``, a size is impossible.
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
    """Small convolutional network that adds to the interpolated field (DeepR's baseline).

    Convolution to 4 channels → for each factor of the scale 5×5 and 3×3 convolutions, a 1×1 to r²
    times the block's outputs, each with ReLU, and a transposed convolution of stride r. The last
    block's outputs are the targets, those before it four times as many each.

    Args:
        shapes: Shapes of a sample; no window of time steps.
        preset: ``none``: a 3×3 convolution on the field with its margin, blocks of the scale's
            prime factors; ``deepr``: see :func:`conv_swin2sr`, blocks of ×2.
        filters: Widths of the 5×5 and the 3×3 convolutions.
        add: Interpolation of ``low`` that the network adds to: none, nearest, bilinear, bicubic.

    Raises:
        InputError: An option or, for ``deepr``, a size is impossible.
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
    """Returns the coarse points that convolutions of 2 + 1 points at each level reach in all."""
    for factor in reversed(factors):
        reach = math.ceil(reach / factor) + 3
    return max(reach + 1, 2 if add != "none" else 0)


def _enlarged(x: Any, factors: Sequence[int], targets: int, filters: Sequence[int]) -> Any:
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
    if preset not in PRESETS:
        raise OptionError(f"preset {preset!r} must be one of {', '.join(PRESETS)}.")
    return preset == "deepr"


def _deepr_swin2sr(
    shapes: Shapes, *, window_size: int, heads: int | Sequence[int], add: str, **options: Any
) -> keras.Model:
    filters, depths = options["filters"], options["depths"]
    heads = (heads,) * len(depths) if isinstance(heads, int) else tuple(heads)
    check_layers(filters, depths, heads, window_size, options["drop_path"])
    inputs = named_inputs(shapes)
    coarse = _surplus_convolved(inputs, shapes, shapes.low[2])
    x = ReflectedToMultiple(window_size)(coarse)
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
    """Returns as many twos as reach the scale; a one at scale 1."""
    return (2,) * math.ceil(math.log2(shapes.scale)) or (1,)


def _surplus_convolved(inputs: dict[str, Any], shapes: Shapes, filters: int) -> Any:
    """Takes ``low`` to 1/2ⁿ of the target's size by a convolution without padding.

    Raises:
        InputError: Sizes are not fixed, or the target is no multiple of 2ⁿ.
    """
    factor = math.prod(_powers(shapes))
    sizes = shapes.low[:2] + shapes.high[:2]
    if None in sizes:
        raise FixedSizeError(
            "preset deepr needs records of one size: its first kernel depends on it."
        )
    if any(n % factor for n in shapes.high[:2]):
        raise InputError(
            f"preset deepr needs targets whose sides are multiples of {factor}, not "
            f"{shapes.high[:2]}: choose another patch, or preset none."
        )
    kernel = [low - high // factor + 1 for low, high in zip(shapes.low, shapes.high[:2])]
    return keras.layers.Conv2D(filters, kernel, name="context")(inputs["low"])


def _merged_with_maps(x: Any, inputs: dict[str, Any], shapes: Shapes, name: str) -> Any:
    """Takes a fine field and the fine maps to the targets by a 1×1 convolution."""
    maps = fine_maps(inputs)
    if not maps and x.shape[-1] == shapes.high[2]:
        return x
    if maps:
        x = keras.layers.Concatenate()([x, *maps])
    return keras.layers.Conv2D(shapes.high[2], 1, name=f"merged_{name}")(x)


def _added_with_maps(x: Any, inputs: dict[str, Any], shapes: Shapes, add: str) -> Any:
    if add == "none":
        return x
    # DeepR crops before it interpolates, so that the edge's values go on instead of the margin's.
    start = without_margin(inputs["low"], shapes.margin)
    start = Interpolation(shapes.scale, add, PYTORCH, dtype="float32")(start)
    start = _merged_with_maps(start, inputs, shapes, "interpolated")
    return keras.layers.Add(name="added", dtype="float32")([x, start])
