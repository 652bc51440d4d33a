"""Joining a sample's inputs: fine maps on the coarse grid, time covariates, the margin."""

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
"""Summands of a network's output: nothing, or an interpolation of ``low``."""


@keras.saving.register_keras_serializable(package="phire")
class EdgePadding(keras.layers.Layer):
    """Continues (B, H, W, C) on every side by the values at its edge.

    Args:
        size: Rows and columns to add on every side.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs: Any) -> Any:
        """Pads a batch."""
        n = self.size
        x = ops.concatenate([inputs[:, :1]] * n + [inputs] + [inputs[:, -1:]] * n, axis=1)
        return ops.concatenate([x[:, :, :1]] * n + [x] + [x[:, :, -1:]] * n, axis=2)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, H + 2·size, W + 2·size, C)."""
        batch, height, width, channels = input_shape
        height, width = (None if n is None else n + 2 * self.size for n in (height, width))
        return batch, height, width, channels

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "size": self.size}


def named_inputs(
    shapes: Shapes, noise: int = 0, *, position: bool = False, low_valid: bool = False
) -> dict[str, Any]:
    """Returns the Keras inputs that shapes state, by their names in a sample.

    Args:
        shapes: Shapes of the sample; with a window, ``low`` and ``auxiliary`` have a time axis.
        noise: Channels of the input ``noise``, standard normal numbers on the fine grid, which the
            objective or the prediction draws; 0 for none.
        position: Add the input ``position``, the place of the patch in the domain.
        low_valid: Add the input ``low_valid``, the mask of present values of ``low``.
    """
    if noise < 0:
        raise OptionError(f"noise {noise} must be a number of channels, 0 for none.")
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
    """Raises an InputError where the records have time windows, for a network of single fields."""
    if shapes.window is not None:
        raise InputError(
            f"network {name} reads single fields, but the records have a window of "
            f"{shapes.window} steps: choose a network with recurrent blocks, or records without."
        )


def fine_maps(inputs: dict[str, Any]) -> list[Any]:
    """Returns the inputs on the fine grid, in the order static, auxiliary, noise."""
    return [inputs[name] for name in ("static", "auxiliary", "noise") if name in inputs]


def with_fine_maps_coarsened(inputs: dict[str, Any], shapes: Shapes) -> Any:
    """Joins ``low`` and the block means of the fine maps, continued over the margin, to one."""
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

    Both begin as the identity; without ``time`` among the inputs, x is returned as it is.
    Source: Perez et al. 2018, arXiv:1709.07871.
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
    """Crops a number of points from every side."""
    return keras.layers.Cropping2D(points)(x) if points else x


@keras.saving.register_keras_serializable(package="phire")
class CroppedToCoarse(keras.layers.Layer):
    """Cuts a padded fine field (B, H, W, C) down to what a coarse one (B, h, w, ·) covers.

    Args:
        scale: Fine points to a coarse one.
        margin: Coarse points to leave off on every side of the coarse field.
    """

    def __init__(self, scale: int, margin: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.margin = margin

    def call(self, fine: Any, coarse: Any) -> Any:
        """Cuts a batch of fields that share their first point."""
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
        """Returns the arguments."""
        return {**super().get_config(), "scale": self.scale, "margin": self.margin}


def interpolated_low(inputs: dict[str, Any], shapes: Shapes, method: str, a: float = -0.5) -> Any:
    """Interpolates ``low`` to the fine grid and crops its margin, (B, H, W, C of ``low``).

    With ``low_valid`` among the inputs missing values do not enter, see
    :class:`phire.networks.blocks.partial_convolution.PartialInterpolation`.
    """
    if "low_valid" in inputs:
        layer = PartialInterpolation(shapes.scale, method, a, dtype="float32")
        x = layer(inputs["low"], inputs["low_valid"])
    else:
        x = Interpolation(shapes.scale, method, a, dtype="float32")(inputs["low"])
    return without_margin(x, shapes.margin * shapes.scale)


def check_addition(shapes: Shapes, method: str, channels: Sequence[int] | None) -> None:
    """Refuses options of :func:`added_to_interpolated` that do not fit.

    Raises:
        InputError: The method is unknown, or the channels are not one of ``low`` for each target.
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
            f"targets, not channels {list(channels)}: give add_channels, numbers from 0, or leave "
            "it out."
        )


def added_to_interpolated(
    x: Any,
    inputs: dict[str, Any],
    shapes: Shapes,
    method: str,
    channels: Sequence[int] | None = None,
) -> Any:
    """Adds ``low``, interpolated, to a network's output; with ``method="none"`` returns that.

    Where ``low`` has as many channels as the targets, or ``channels`` are given, these are added.
    Otherwise a 1×1 convolution takes ``low`` to the targets; it begins as the selection of the
    first channels, and learns which of them the targets start from.

    Args:
        x: (B, H, W, Ct), of which the margin is cropped.
        inputs: The Keras inputs by name; ``low`` (B, h, w, Cl).
        shapes: Shapes of a sample.
        method: One of :data:`ADDITIONS`.
        channels: Numbers of the targets' channels in ``low``, from 0.

    Raises:
        InputError: See :func:`check_addition`.
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
    """Initialises a 1×1 convolution so that its outputs are the first inputs, further ones 0."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Returns a kernel (1, 1, C_in, C_out)."""
        return ops.reshape(ops.eye(*shape[-2:], dtype=dtype), shape)


def prime_factors(scale: int) -> tuple[int, ...]:
    """Returns the factors of a scale in ascending order: 12 → 2, 2, 3; 1 → none."""
    factors, divisor = [], 2
    while scale > 1:
        while scale % divisor == 0:
            factors.append(divisor)
            scale //= divisor
        divisor += 1
    return tuple(factors)
