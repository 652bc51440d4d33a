"""Padding of fields to sizes that a network's downsampling divides, and cropping back."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="phire")
class PadToMultiple(keras.layers.Layer):
    """Padding by edge values, after the last row and column, to multiples of a number.

    Args:
        multiple: Number that divides the output's rows and columns.
    """

    def __init__(self, multiple: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.multiple = multiple

    def call(self, inputs: Any) -> Any:
        """Pads fields (B, H, W, C)."""
        x = inputs
        for axis in (1, 2):
            size = ops.shape(inputs)[axis]
            padded = -(-size // self.multiple) * self.multiple
            if isinstance(size, int) and padded == size:
                continue
            rows = ops.minimum(ops.arange(padded), size - 1)
            x = ops.take(x, rows, axis=axis)
        return x

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, H and W rounded up, C)."""
        batch, height, width, channels = input_shape
        height, width = (
            None if n is None else -(-n // self.multiple) * self.multiple for n in (height, width)
        )
        return batch, height, width, channels

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable(package="phire")
class CropLike(keras.layers.Layer):
    """Cropping of a field to the number of rows and columns of another, from the first point on."""

    def call(self, inputs: Any, like: Any) -> Any:
        """Transforms (B, H, W, C) to the rows and columns of ``like``, (B, H', W', ·)."""
        _, height, width, _ = ops.shape(like)
        return inputs[:, :height, :width]

    def compute_output_shape(self, inputs_shape: tuple, like_shape: tuple) -> tuple:
        """Returns (B, rows and columns of ``like``, C)."""
        return inputs_shape[0], like_shape[1], like_shape[2], inputs_shape[3]
