"""Upsampling of features by sub-pixel convolution, resizing or transposed convolution."""

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
"""Kinds of upsampling; see :func:`phire.networks.dl4ds.network_builders.dl4ds_network`."""
KERNEL = 9
"""Size of DL4DS's transposed convolutions."""


def step_factors(scale: int, upsampling: str, factors: Sequence[int] | None) -> list[int]:
    """Returns the factors of the upsampling steps.

    Args:
        scale: Refinement factor.
        upsampling: One of :data:`UPSAMPLINGS`.
        factors: Factors in order; None for the prime factors of the scale in ascending order or,
            with ``resize``, for one step.

    Raises:
        InputError: The product of the factors is not the scale, or ``upsampling`` is ``pre``.
    """
    if factors is None:
        return [scale] if upsampling == "resize" else list(prime_factors(scale))
    if upsampling == "pre":
        raise InputError("factors need upsampling subpixel, resize or transposed: choose one.")
    factors = [factors] if isinstance(factors, int) else list(factors)
    if math.prod(factors) != scale or any(r < 1 for r in factors):
        raise OptionError(f"factors {factors} must have the product {scale}, the scale.")
    return factors


def enlarged(
    x: Any, upsampling: str, factors: Sequence[int], interpolation: str, style: Style
) -> Any:
    """Upsamples features step by step, with an activation after each step.

    Args:
        x: Features, (B, h, w, C).
        upsampling: ``subpixel``, a 3×3 convolution to C·r² channels and a pixel shuffle (Shi et al.
            2016, arXiv:1609.05158); ``resize``, interpolation and a 3×3 convolution; or
            ``transposed``, a 9×9 transposed convolution.
        factors: Factor r of each step.
        interpolation: Interpolation of ``resize``; see
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
            size = max(KERNEL, 2 * r + 1)  # every fine point then has inputs from both sides
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
    """Upsamples features as DL4DS does, (B, h, w, C) → (B, h·scale, w·scale, channels).

    ``subpixel`` has steps of 2 and 5 for the scales 4, 8, 10 and 20, and one step for others, all
    without activation; steps of equal factor share one convolution. ``resize`` has one step.
    ``transposed`` has steps of 2 for the scales 2, 4 and 8: the first has no activation, the others
    share their weights and ``activation``. Other scales have one step with ``activation``. DL4DS
    itself fails at scale 4, which it upsamples by 16.
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
    """Returns the convolution before a pixel shuffle."""
    initializer = CheckerboardFree(factor) if style.checkerboard_free else "glorot_uniform"
    return keras.layers.Conv2D(
        channels * factor**2, 3, padding="same", kernel_initializer=initializer
    )


def _transposed(
    channels: int, size: int, stride: int, activation: str, style: Style
) -> keras.layers.Layer:
    """Returns a transposed convolution without bias."""
    initializer = EqualSubPixels(stride) if style.checkerboard_free else "glorot_uniform"
    return keras.layers.Conv2DTranspose(
        channels, size, stride, padding="same", use_bias=False, activation=activation,
        kernel_initializer=initializer,
    )  # fmt: skip


@keras.saving.register_keras_serializable(package="phire")
class EqualSubPixels(keras.initializers.Initializer):
    """Initializer of a transposed convolution that starts without checkerboards.

    Weights are drawn for coarse offsets and repeated for all fine points of a coarse point, which
    then start equal. Weights of offsets that reach only some of these fine points are 0. It is the
    counterpart of :class:`phire.networks.pixel_shuffle.CheckerboardFree`.

    Args:
        stride: Fine points per coarse point, along each axis.
        initializer: Initializer of the weights of coarse offsets.
    """

    def __init__(self, stride: int, initializer: Any = "glorot_uniform") -> None:
        self.stride = stride
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Returns a kernel of the given shape, (k, k, C_out, C_in)."""
        first = (shape[0] - self.stride) // 2  # rows that padding "same" crops
        offsets = (np.arange(shape[0]) - first) // self.stride
        whole = np.bincount(offsets - offsets[0])[offsets - offsets[0]] == self.stride
        if not whole.any():  # a kernel narrower than the stride, such as DL4DS's from scale 10 on
            return self.initializer(shape, dtype=dtype)
        index = np.where(whole, offsets - offsets[whole][0], 0)
        number = index.max() + 1
        kernel = self.initializer((number, number, *shape[2:]), dtype=dtype)
        kernel = ops.take(ops.take(kernel, index, axis=0), index, axis=1)
        mask = (whole[:, None] & whole)[..., None, None]
        return kernel * ops.convert_to_tensor(mask, kernel.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the initializer's arguments, for saving."""
        initializer = keras.initializers.serialize(self.initializer)
        return {"stride": self.stride, "initializer": initializer}
