"""Generators: a coarse field in, a finer one out (SRGAN as in PhIRE, Stengel et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from phire.errors import InputError
from phire.networks.layers import (
    CheckerboardFree,
    Conservation,
    FewFilterConvolution,
    LeakyReLU,
    PeriodicPadding,
    PixelShuffle,
)

SLOPE = 0.2
"""Slope of the leaky ReLUs below zero."""

UPSAMPLINGS = ("subpixel", "resize")


def srgan_generator(
    channels: int,
    *,
    factors: Sequence[int] = (2, 2),
    filters: int = 64,
    blocks: int = 16,
    kernel: int = 9,
    upsampling: str = "subpixel",
    periodic: bool = False,
    conserve: bool = False,
    normalization: Any = None,
    input_shape: tuple[int | None, int | None] = (None, None),
) -> keras.Model:
    """The SRGAN generator without batch normalisation.

    9×9 convolution → leaky ReLU → residual blocks → 3×3 convolution and long skip → for each factor
    an upsampling and leaky ReLU → 9×9 convolution to the channels.

    Args:
        channels: Channels in and out.
        factors: Upsampling factors, one after another; [2, 2] for ×4, [2, 5] for ×10.
        filters: Width.
        blocks: Residual blocks.
        kernel: Size of the first and the last convolution.
        upsampling: ``subpixel`` (3×3 convolution to filters·r², pixel shuffle, initialised free of
            checkerboard) or ``resize`` (nearest neighbours, then 3×3 convolution).
        periodic: Pad around the circle of longitude instead of by zeros; for whole global fields.
        conserve: Shift each block so that its mean equals the coarse pixel; see
            :class:`phire.networks.layers.Conservation`.
        normalization: The fields' normalisation, for ``conserve``.
        input_shape: (H, W) of the coarse field, if fixed.

    Returns:
        A model named ``generator``: (B, h, w, C) → (B, h·s, w·s, C) float32, s the product of the
        factors.

    Raises:
        InputError: An argument is impossible.
    """
    if upsampling not in UPSAMPLINGS:
        raise InputError(f"upsampling {upsampling!r} must be one of {', '.join(UPSAMPLINGS)}.")
    if not factors or min(factors) < 1:
        raise InputError(f"factors {list(factors)} must be whole numbers from 1 on.")

    def conv(
        x: Any,
        width: int,
        size: int,
        initializer: Any = "glorot_uniform",
        kind: type[keras.layers.Conv2D] = keras.layers.Conv2D,
        **more: Any,
    ) -> Any:
        if periodic:
            x = PeriodicPadding(size // 2)(x)
        padding = "valid" if periodic else "same"
        layer = kind(width, size, padding=padding, kernel_initializer=initializer, **more)
        return layer(x)

    def activate(x: Any) -> Any:
        return LeakyReLU(negative_slope=SLOPE)(x)

    inputs = keras.Input((*input_shape, channels), name="coarse")
    x = start = activate(conv(inputs, filters, kernel))
    for _ in range(blocks):
        y = activate(conv(x, filters, 3))
        x = keras.layers.Add()([x, conv(y, filters, 3)])
    x = keras.layers.Add()([start, conv(x, filters, 3)])
    for r in factors:
        if r == 1:
            continue
        if upsampling == "subpixel":
            # Activated before the shuffle, which is the same, so that nothing lies between it and
            # the last convolution.
            x = PixelShuffle(r)(activate(conv(x, filters * r**2, 3, CheckerboardFree(r))))
        else:
            x = keras.layers.UpSampling2D(r, interpolation="nearest")(x)
            x = activate(conv(x, filters, 3))
    x = conv(x, channels, kernel, kind=FewFilterConvolution, dtype="float32", name="fine")
    if conserve:
        x = Conservation(math.prod(factors), normalization, dtype="float32")(x, inputs)
    return keras.Model(inputs, x, name="generator")


PRESETS: dict[str, dict[str, Any]] = {
    "srgan": {},
    "srgan-small": {"filters": 32, "blocks": 4, "kernel": 5},
}
GENERATORS = tuple(PRESETS)


def build_generator(name: str, channels: int, **overrides: Any) -> keras.Model:
    """A generator by name.

    Args:
        name: One of :data:`GENERATORS`.
        channels: Channels in and out.
        **overrides: Arguments of :func:`srgan_generator` that replace the preset's.

    Raises:
        InputError: The name is unknown.
    """
    if name not in PRESETS:
        raise InputError(f"network {name!r} is unknown: choose one of {', '.join(GENERATORS)}.")
    return srgan_generator(channels, **{**PRESETS[name], **overrides})


def receptive_radius(generator: keras.Model) -> int:
    """How many coarse pixels away an input can change an output pixel.

    Walks the network's convolutions from the coarse to the fine resolution; a prediction in tiles
    needs a halo of this width.
    """
    radius: dict[str, float] = {}
    resolution: dict[str, float] = {}
    for layer in generator.layers:
        incoming = [
            tensor._keras_history.operation.name
            for node in layer._inbound_nodes[:1]
            for tensor in node.input_tensors
        ]
        reach = max((radius[name] for name in incoming), default=0.0)
        scale = max((resolution[name] for name in incoming), default=1.0)
        if isinstance(layer, keras.layers.Conv2D):
            reach += (layer.kernel_size[0] // 2) / scale
        elif isinstance(layer, PixelShuffle):
            scale *= layer.factor
        elif isinstance(layer, keras.layers.UpSampling2D):
            scale *= layer.size[0]
        elif isinstance(layer, Conservation):
            reach += 1
        radius[layer.name], resolution[layer.name] = reach, scale
    # A fine pixel lies up to one coarse pixel off its coarse one.
    return math.ceil(max(radius.values())) + 1
