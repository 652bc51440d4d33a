"""Inputs of a sample: fine maps on the coarse grid, time covariates, margin, interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from phire.errors import InputError, OptionError
from phire.networks.blocks.interpolation_layer import METHODS, Interpolation
from phire.networks.blocks.partial_convolution import PartialInterpolation
from phire.networks.shapes import Shapes

ADDITIONS = ("none", *METHODS)
"""Fields that can be added to a network's output: none, or an interpolation of ``low``."""


@keras.saving.register_keras_serializable(package="phire")
class EdgePadding(keras.layers.Layer):
    """Padding of fields by their edge values on every side.

    Args:
        size: Rows and columns to add on every side.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs: Any) -> Any:
        """Transforms (B, H, W, C) → (B, H + 2·size, W + 2·size, C)."""
        n = self.size
        x = ops.concatenate([inputs[:, :1]] * n + [inputs] + [inputs[:, -1:]] * n, axis=1)
        return ops.concatenate([x[:, :, :1]] * n + [x] + [x[:, :, -1:]] * n, axis=2)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, H + 2·size, W + 2·size, C)."""
        batch, height, width, channels = input_shape
        height, width = (None if n is None else n + 2 * self.size for n in (height, width))
        return batch, height, width, channels

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "size": self.size}


def named_inputs(
    shapes: Shapes, noise: int = 0, *, position: bool = False, low_valid: bool = False
) -> dict[str, Any]:
    """Returns the Keras inputs of a sample's arrays, by name.

    Args:
        shapes: Shapes of a sample; with a time window, ``low`` and ``auxiliary`` have a time axis.
        noise: Channels of the input ``noise`` on the fine grid, standard normal numbers that the
            objective or the prediction draws; 0 for no such input.
        position: Add the input ``position``, row and column of the patch in the domain.
        low_valid: Add the input ``low_valid``, the mask of present values of ``low``.
    """
    if noise < 0:
        raise OptionError(f"noise {noise} must be a number of channels, or 0 for none.")
    fine = shapes.high[:2]
    steps = () if shapes.window is None else (shapes.window,)
    given = {"low": (*steps, *shapes.low)}
    if low_valid:
        given["low_valid"] = given["low"]
    if shapes.static:
        given["static"] = (*fine, shapes.static)
    if shapes.auxiliary:
        given["auxiliary"] = (*steps, *fine, shapes.auxiliary)
    if shapes.time:
        given["time"] = (shapes.time,)
    if noise:
        given["noise"] = (*fine, noise)
    inputs = {name: keras.Input(shape, name=name) for name, shape in given.items()}
    if position:
        inputs["position"] = keras.Input((2,), dtype="int32", name="position")
    return inputs


def refuse_window(shapes: Shapes, name: str) -> None:
    """Raises an InputError if the records have time windows, for a network of single fields."""
    if shapes.window is not None:
        raise InputError(
            f"network {name} reads single fields, but the records have a window of "
            f"{shapes.window} steps: choose a network with recurrent blocks, or make records "
            "without --window."
        )


def fine_maps(inputs: dict[str, Any]) -> list[Any]:
    """Returns the inputs on the fine grid in the order ``static``, ``auxiliary``, ``noise``."""
    return [inputs[name] for name in ("static", "auxiliary", "noise") if name in inputs]


def with_fine_maps_coarsened(inputs: dict[str, Any], shapes: Shapes) -> Any:
    """Concatenates ``low`` and the block means of the fine maps, padded over the margin."""
    maps = fine_maps(inputs)
    if not maps:
        return inputs["low"]
    x = maps[0] if len(maps) == 1 else keras.layers.Concatenate()(maps)
    if shapes.scale > 1:
        x = keras.layers.AveragePooling2D(shapes.scale, name="block_means")(x)
    if shapes.margin:
        x = EdgePadding(shapes.margin)(x)
    return keras.layers.Concatenate(name="low_and_maps")([inputs["low"], x])


def scaled_and_shifted_by_time(x: Any, inputs: dict[str, Any], name: str = "time") -> Any:
    """Scales and shifts every channel by linear functions of the time covariates (FiLM).

    The layer starts as the identity. Without the input ``time``, x is returned unchanged. Source:
    Perez et al. 2018, arXiv:1709.07871.

    Args:
        x: Features, (B, H, W, C).
        inputs: Inputs of the network by name.
        name: Prefix of the layer's name.
    """
    if "time" not in inputs:
        return x
    channels = x.shape[-1]
    factors = keras.layers.Dense(
        2 * channels, kernel_initializer="zeros", name=f"{name}_scale_shift"
    )(inputs["time"])
    factors = keras.layers.Reshape((1, 1, 2 * channels))(factors)
    return x * (1 + factors[..., :channels]) + factors[..., channels:]


def without_margin(x: Any, points: int) -> Any:
    """Crops ``points`` rows and columns from every side."""
    return keras.layers.Cropping2D(points)(x) if points else x


@keras.saving.register_keras_serializable(package="phire")
class CroppedToCoarse(keras.layers.Layer):
    """Cropping of a padded fine field to the area of a coarse field without its margin.

    Args:
        scale: Fine points per coarse point, along each axis.
        margin: Coarse points of the margin on every side of the coarse field.
    """

    def __init__(self, scale: int, margin: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.margin = margin

    def call(self, fine: Any, coarse: Any) -> Any:
        """Crops fine fields (B, H, W, C) that share their first point with coarse (B, h, w, ·)."""
        height, width = ops.shape(coarse)[1:3]
        s, m = self.scale, self.margin
        return fine[:, m * s : (height - m) * s, m * s : (width - m) * s]

    def compute_output_shape(self, fine_shape: tuple, coarse_shape: tuple) -> tuple:
        """Returns (B, (h − 2·margin)·scale, (w − 2·margin)·scale, C)."""
        sizes = (
            None if n is None else (n - 2 * self.margin) * self.scale for n in coarse_shape[1:3]
        )
        return fine_shape[0], *sizes, fine_shape[-1]

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "scale": self.scale, "margin": self.margin}


def interpolated_low(inputs: dict[str, Any], shapes: Shapes, method: str, a: float = -0.5) -> Any:
    """Interpolates ``low`` to the fine grid and crops its margin, (B, H, W, Cl).

    With the input ``low_valid`` missing values are excluded; see
    :class:`phire.networks.blocks.partial_convolution.PartialInterpolation`.

    Args:
        inputs: Inputs of the network by name.
        shapes: Shapes of a sample.
        method, a: See :class:`phire.networks.blocks.interpolation_layer.Interpolation`.
    """
    if "low_valid" in inputs:
        layer = PartialInterpolation(shapes.scale, method, a, dtype="float32")
        x = layer(inputs["low"], inputs["low_valid"])
    else:
        x = Interpolation(shapes.scale, method, a, dtype="float32")(inputs["low"])
    return without_margin(x, shapes.margin * shapes.scale)


def check_addition(shapes: Shapes, method: str, channels: Sequence[int] | None) -> None:
    """Checks the arguments of :func:`added_to_interpolated`.

    Raises:
        InputError: ``method`` is unknown, or ``channels`` are not one channel of ``low`` for each
            target.
    """
    if method not in ADDITIONS:
        raise OptionError(f"add {method!r} is unknown: choose one of {', '.join(ADDITIONS)}.")
    if channels is None:
        return
    if method == "none":
        raise InputError("add_channels needs add, such as add=bilinear.")
    inputs, targets = shapes.low[2], shapes.high[2]
    if len(channels) != targets or any(number not in range(inputs) for number in channels):
        raise OptionError(
            f"add={method} needs one of the {inputs} channels of low for each of the {targets} "
            f"targets, not the channels {list(channels)}: give their numbers from 0 as "
            "add_channels, or leave it out."
        )


def added_to_interpolated(
    x: Any,
    inputs: dict[str, Any],
    shapes: Shapes,
    method: str,
    channels: Sequence[int] | None = None,
) -> Any:
    """Adds the interpolation of ``low`` to a network's output.

    The channels of ``low`` are added to the targets in order if their numbers are equal, or as
    selected by ``channels``. Otherwise a 1×1 convolution maps ``low`` to the targets. It starts as
    the selection of the first channels.

    Args:
        x: Output of the network without margin, (B, H, W, Ct).
        inputs: Inputs of the network by name; ``low`` is (B, h, w, Cl).
        shapes: Shapes of a sample.
        method: Interpolation, one of :data:`ADDITIONS`; ``none`` returns x unchanged.
        channels: Index of the channel of ``low`` for each target; None for the rule above.

    Raises:
        InputError: As for :func:`check_addition`.
    """
    check_addition(shapes, method, channels)
    if method == "none":
        return x
    low = {name: inputs[name] for name in ("low", "low_valid") if name in inputs}
    if channels is not None and list(channels) != list(range(shapes.low[2])):
        low = {name: ops.take(x, list(channels), axis=-1) for name, x in low.items()}
    start = interpolated_low(low, shapes, method)
    if channels is None and shapes.low[2] != shapes.high[2]:
        start = keras.layers.Conv2D(
            shapes.high[2], 1, kernel_initializer=FirstChannels(), name="interpolated_to_targets"
        )(start)
    return keras.layers.Add(name="added", dtype="float32")([x, start])


@keras.saving.register_keras_serializable(package="phire")
class FirstChannels(keras.initializers.Initializer):
    """Initializer of a 1×1 convolution that outputs its first input channels, then zeros."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Returns a kernel of the given shape, (1, 1, C_in, C_out)."""
        return ops.reshape(ops.eye(*shape[-2:], dtype=dtype), shape)


def prime_factors(scale: int) -> tuple[int, ...]:
    """Returns the prime factors of a scale in ascending order, such as (2, 2, 3) for 12."""
    factors, divisor = [], 2
    while scale > 1:
        while scale % divisor == 0:
            factors.append(divisor)
            scale //= divisor
        divisor += 1
    return tuple(factors)
