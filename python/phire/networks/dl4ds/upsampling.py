"""Upsampling of features within a network: sub-pixel, resize or transposed convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from phire.errors import InputError, OptionError
from phire.networks.blocks.interpolation_layer import Interpolation
from phire.networks.blocks.sample_inputs import prime_factors
from phire.networks.dl4ds.block_options import Style
from phire.networks.dl4ds.convolution_blocks import activated
from phire.networks.pixel_shuffle import CheckerboardFree, PixelShuffle

UPSAMPLINGS = ("pre", "subpixel", "resize", "transposed")
KERNEL = 9
"""Size of DL4DS's transposed convolutions."""


def step_factors(scale: int, upsampling: str, factors: Sequence[int] | None) -> list[int]:
    """Returns the factors of the upsampling steps: as given, else a default.

    The default is the prime factors of the scale, ascending, and for ``resize`` one step.

    Raises:
        InputError: The factors' product is not the scale, or nothing is upsampled in the network.
    """
    if factors is None:
        return [scale] if upsampling == "resize" else list(prime_factors(scale))
    if upsampling == "pre":
        raise InputError("factors need an upsampling other than pre: subpixel, resize, transposed.")
    factors = [factors] if isinstance(factors, int) else list(factors)
    if math.prod(factors) != scale or any(r < 1 for r in factors):
        raise OptionError(f"factors {factors} must have the product {scale}, the scale.")
    return factors


def enlarged(
    x: Any, upsampling: str, factors: Sequence[int], interpolation: str, style: Style
) -> Any:
    """Enlarges features (B, h, w, C) step by step, with an activation after each step.

    Args:
        x: Features.
        upsampling: ``subpixel`` (3×3 convolution to C·r², pixel shuffle; Shi et al. 2016,
            arXiv:1609.05158), ``resize`` (interpolation, then 3×3 convolution) or ``transposed``
            (9×9 transposed convolution).
        factors: r of every step.
        interpolation: Method of ``resize``; see
            :class:`phire.networks.blocks.interpolation_layer.Interpolation`.
        style: Options of the network.
    """
    channels = x.shape[-1]
    for r in (r for r in factors if r > 1):
        if upsampling == "subpixel":
            x = PixelShuffle(r)(_before_shuffle(channels, r, style)(x))
        elif upsampling == "resize":
            x = Interpolation(r, interpolation)(x)
            x = keras.layers.Conv2D(channels, 3, padding="same")(x)
        else:
            size = max(KERNEL, 2 * r + 1)  # so that every fine point has inputs from both sides
            x = _transposed(channels, size, r, "linear", style)(x)
        x = activated(x, style.activation)
    return x


def enlarged_as_dl4ds(
    x: Any,
    upsampling: str,
    scale: int,
    interpolation: str,
    style: Style,
    channels: int,
    activation: str = "linear",
) -> Any:
    """Enlarges features (B, h, w, C) to (B, h·s, w·s, channels) as DL4DS does.

    ``subpixel``: scales 2, 4, 8, 10, 20 by steps of 2 and 5 and any other in one, without
    activation; steps of equal factor share one convolution. ``resize``: one step. ``transposed``:
    2, 4 and 8 by steps of 2, the second and third of which share their weights, any other in one;
    ``activation`` follows every step but the first of 2. DL4DS fails at scale 4, where it enlarges
    16 times; here scale 4 has its two steps of 2.
    """
    if scale == 1:
        return x
    if upsampling == "resize":
        x = Interpolation(scale, interpolation)(x)
        return keras.layers.Conv2D(channels, 3, padding="same")(x)
    if upsampling == "subpixel":
        steps = {4: [2, 2], 8: [2, 2, 2], 10: [2, 5], 20: [2, 2, 5]}.get(scale, [scale])
        layers = {r: _before_shuffle(channels, r, style) for r in set(steps)}
        for r in steps:
            x = PixelShuffle(r)(layers[r](x))
        return x
    if scale not in (2, 4, 8):
        return _transposed(channels, KERNEL, scale, activation, style)(x)
    x = _transposed(channels, KERNEL, 2, "linear", style)(x)
    if scale > 2:
        step = _transposed(channels, KERNEL, 2, activation, style)
        for _ in range(int(math.log2(scale)) - 1):
            x = step(x)
    return x


def _before_shuffle(channels: int, factor: int, style: Style) -> keras.layers.Layer:
    initializer = CheckerboardFree(factor) if style.checkerboard_free else "glorot_uniform"
    return keras.layers.Conv2D(
        channels * factor**2, 3, padding="same", kernel_initializer=initializer
    )


def _transposed(
    channels: int, size: int, stride: int, activation: str, style: Style
) -> keras.layers.Layer:
    initializer = EqualSubPixels(stride) if style.checkerboard_free else "glorot_uniform"
    return keras.layers.Conv2DTranspose(
        channels, size, stride, padding="same", use_bias=False, activation=activation,
        kernel_initializer=initializer,
    )  # fmt: skip


@keras.saving.register_keras_serializable(package="phire")
class EqualSubPixels(keras.initializers.Initializer):
    """Initialises a transposed convolution so that all fine points of a coarse one are equal.

    The counterpart of :class:`phire.networks.pixel_shuffle.CheckerboardFree`: weights are drawn for
    coarse offsets and repeated for the fine points; offsets that reach only some of these are 0.

    Args:
        stride: Fine points of a coarse one along each axis.
        initializer: Initializer of the weights of coarse offsets.
    """

    def __init__(self, stride: int, initializer: Any = "glorot_uniform") -> None:
        self.stride = stride
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Returns a kernel (k, k, C_out, C_in)."""
        first = (shape[0] - self.stride) // 2  # rows that padding "same" cuts off
        offsets = (np.arange(shape[0]) - first) // self.stride
        whole = np.bincount(offsets - offsets[0])[offsets - offsets[0]] == self.stride
        if not whole.any():  # a kernel narrower than the stride, as DL4DS's from scale 10 on
            return self.initializer(shape, dtype=dtype)
        place = np.where(whole, offsets - offsets[whole][0], 0)
        number = place.max() + 1
        kernel = self.initializer((number, number, *shape[2:]), dtype=dtype)
        kernel = ops.take(ops.take(kernel, place, axis=0), place, axis=1)
        mask = (whole[:, None] & whole)[..., None, None]
        return kernel * ops.convert_to_tensor(mask, kernel.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        initializer = keras.initializers.serialize(self.initializer)
        return {"stride": self.stride, "initializer": initializer}
