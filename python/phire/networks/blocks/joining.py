"""Joining a sample's inputs: fine maps on the coarse grid, time covariates, the margin."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from phire.errors import InputError
from phire.networks.shapes import Shapes


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
        """(B, H + 2·size, W + 2·size, C)."""
        batch, height, width, channels = input_shape
        height, width = (None if n is None else n + 2 * self.size for n in (height, width))
        return batch, height, width, channels

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "size": self.size}


def named_inputs(shapes: Shapes) -> dict[str, Any]:
    """Returns the Keras inputs of single fields that shapes state, by their names in a sample."""
    fine = shapes.high[:2]
    given = {"low": shapes.low}
    if shapes.static:
        given["static"] = (*fine, shapes.static)
    if shapes.auxiliary:
        given["auxiliary"] = (*fine, shapes.auxiliary)
    if shapes.time:
        given["time"] = (shapes.time,)
    return {name: keras.Input(shape, name=name) for name, shape in given.items()}


def refuse_window(shapes: Shapes, name: str) -> None:
    """Raises an InputError where the records have time windows, for a network of single fields."""
    if shapes.window is not None:
        raise InputError(
            f"network {name} reads single fields, but the records have a window of "
            f"{shapes.window} steps: choose a network with recurrent blocks, or records without."
        )


def fine_maps(inputs: dict[str, Any]) -> list[Any]:
    """Returns the inputs on the fine grid, in the order static, auxiliary."""
    return [inputs[name] for name in ("static", "auxiliary") if name in inputs]


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
