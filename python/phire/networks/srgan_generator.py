"""SRGAN's generator without batch normalization, as in PhIRE.

Sources: Ledig et al. 2017, arXiv:1609.04802; Stengel et al. 2020, doi:10.1073/pnas.1918964117.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from phire.errors import OptionError
from phire.networks.blocks.dropout import dropout as drop
from phire.networks.blocks.dropout import dropout_inputs
from phire.networks.blocks.fine_output import Fine
from phire.networks.blocks.sample_inputs import (
    EdgePadding,
    fine_maps,
    named_inputs,
    prime_factors,
    refuse_window,
    scaled_and_shifted_by_time,
    with_fine_maps_coarsened,
    without_margin,
)
from phire.networks.fast_cpu import FewFilterConvolution, LeakyReLU
from phire.networks.periodic_padding import PeriodicPadding
from phire.networks.pixel_shuffle import CheckerboardFree, PixelShuffle
from phire.networks.registry import network
from phire.networks.shapes import Shapes

SLOPE = 0.2
"""Slope of the leaky ReLUs below zero."""

UPSAMPLINGS = ("subpixel", "resize")
"""Kinds of upsampling; see :func:`srgan`."""


@network("srgan-small", filters=32, blocks=4, kernel=5)
@network("srgan")
def srgan(
    shapes: Shapes,
    *,
    filters: int = 64,
    blocks: int = 16,
    kernel: int = 9,
    upsampling: str = "subpixel",
    factors: Sequence[int] | None = None,
    periodic: bool = False,
    noise: int = 0,
    dropout: float = 0.0,
    dropout_kind: str = "mcdrop",
) -> keras.Model:
    """Builds the SRGAN generator.

    Its layers are a k×k convolution with leaky ReLU, residual blocks, a 3×3 convolution and a long
    skip; then an upsampling with leaky ReLU for each factor; then a k×k convolution to the targets.

    Fine maps (``static``, ``auxiliary``, ``noise``) enter twice: as block means concatenated to
    ``low``, and at full resolution before the last convolution, through a 3×3 convolution. The
    covariates ``time`` scale and shift the features at the same two places.

    Args:
        shapes: Shapes of a sample; the network takes fields of any size.
        filters: Width of the network.
        blocks: Number of residual blocks.
        kernel: Size k of the first and the last convolution.
        upsampling: ``subpixel``, a 3×3 convolution to filters·r² channels and a pixel shuffle,
            initialized without checkerboards; or ``resize``, nearest neighbours and a 3×3
            convolution.
        factors: Upsampling factors in order, such as [2, 5] for ×10; None for the prime factors of
            the scale, the smallest first.
        periodic: Pad periodically in longitude, in place of zeros; for whole global fields.
        noise: Channels of the input ``noise`` of standard normal numbers; 0 for no such input.
        dropout: Rate of dropout in the residual blocks.
        dropout_kind: ``vanilla``, ``gaussian`` or ``spatial`` for training only; ``mcdrop``,
            ``mcgaussiandrop`` or ``mcspatialdrop`` also for prediction, by the input ``seed``.

    Returns:
        A model whose output ``fine`` is (B, h·scale, w·scale, C).

    Raises:
        InputError: An option is out of range, or does not fit the shapes.
    """
    refuse_window(shapes, "srgan")
    factors = _checked_factors(shapes, factors, upsampling, filters, blocks, kernel)
    if periodic and shapes.margin:
        raise OptionError("periodic needs records without a margin: make whole global fields.")
    inputs = named_inputs(shapes.of_any_size(), noise) | dropout_inputs(dropout, dropout_kind)

    def conv(x: Any, width: int, size: int, kind: type = keras.layers.Conv2D, **more: Any) -> Any:
        if periodic:
            x = PeriodicPadding(size // 2)(x)
        return kind(width, size, padding="valid" if periodic else "same", **more)(x)

    def activate(x: Any) -> Any:
        return LeakyReLU(negative_slope=SLOPE)(x)

    x = activate(conv(with_fine_maps_coarsened(inputs, shapes), filters, kernel))
    x = start = scaled_and_shifted_by_time(x, inputs, "time_coarse")
    for block in range(blocks):
        y = activate(conv(x, filters, 3))
        y = drop(
            y, dropout, dropout_kind, inputs,
            step=shapes.scale, margin=shapes.margin, name=f"dropout_{block}",
        )  # fmt: skip
        x = keras.layers.Add()([x, conv(y, filters, 3)])
    x = keras.layers.Add()([start, conv(x, filters, 3)])
    for r in factors:
        if upsampling == "subpixel":
            # The order of activation and shuffle does not matter; with the shuffle last, the last
            # convolution can skip it (see phire.networks.fast_cpu).
            wide = conv(x, filters * r**2, 3, kernel_initializer=CheckerboardFree(r))
            x = PixelShuffle(r)(activate(wide))
        else:
            x = keras.layers.UpSampling2D(r, interpolation="nearest")(x)
            x = activate(conv(x, filters, 3))
    maps = fine_maps(inputs)
    if maps:
        border = shapes.margin * shapes.scale
        maps = [EdgePadding(border)(one) if border else one for one in maps]
        x = activate(conv(keras.layers.Concatenate()([x, *maps]), filters, 3))
    x = scaled_and_shifted_by_time(x, inputs, "time_fine")
    x = conv(x, shapes.high[2], kernel, FewFilterConvolution, dtype="float32", name="pixels")
    halo = _halo(kernel, blocks, factors, upsampling, joined=bool(maps))
    fine = Fine(halo)(without_margin(x, shapes.margin * shapes.scale))
    return keras.Model(inputs, fine, name="generator")


def _checked_factors(
    shapes: Shapes, factors: Sequence[int] | None, upsampling: str, filters: int, blocks: int,
    kernel: int,
) -> tuple[int, ...]:  # fmt: skip
    """Returns the upsampling factors above 1; raises an OptionError for options out of range."""
    if upsampling not in UPSAMPLINGS:
        raise OptionError(f"upsampling {upsampling!r} must be one of {', '.join(UPSAMPLINGS)}.")
    if filters < 1 or blocks < 0 or kernel < 1 or kernel % 2 == 0:
        raise OptionError(
            f"filters={filters} must be at least 1, blocks={blocks} must not be negative, and "
            f"kernel={kernel} must be an odd number."
        )
    if factors is None:
        return prime_factors(shapes.scale)
    factors = tuple(factors) if isinstance(factors, Sequence) else (factors,)
    if not factors or min(factors) < 1 or math.prod(factors) != shapes.scale:
        raise OptionError(
            f"factors {list(factors)} must be whole numbers whose product is the scale "
            f"{shapes.scale}."
        )
    return tuple(r for r in factors if r > 1)


def _halo(
    kernel: int, blocks: int, factors: Sequence[int], upsampling: str, *, joined: bool
) -> int:
    """Returns the halo: coarse points beyond its own on which a fine point depends."""
    reach = kernel // 2 + joined
    for r in reversed(factors):
        # The convolution of "resize" works on the finer grid, that of "subpixel" on the coarser.
        reach = math.ceil((reach + 1) / r) if upsampling == "resize" else math.ceil(reach / r) + 1
    return reach + 1 + 2 * blocks + kernel // 2
