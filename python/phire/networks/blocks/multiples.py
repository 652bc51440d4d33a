"""Padding of fields to sizes that a network's downsampling or windows divide, and cropping back.

Keras's padding needs sizes that are known when the network is built, and reflects no more points
than the field has. ``tests/networks/blocks/test_multiples.py`` checks the layer against
``numpy.pad``.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from phire.errors import OptionError

MODES = ("edge", "reflect")
"""Modes of padding, as in ``numpy.pad``."""


@keras.saving.register_keras_serializable(package="phire")
class PadToMultiple(keras.layers.Layer):
    """Padding after the last row and column to multiples of a number.

    Args:
        multiple: Number that divides the output's rows and columns.
        mode: ``edge`` repeats the last row and column. ``reflect`` mirrors the field at them,
            without repeating them; a field smaller than the padding is reflected several times.

    Raises:
        InputError: ``mode`` is unknown.
    """

    def __init__(self, multiple: int, mode: str = "edge", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in MODES:
            raise OptionError(f"mode {mode!r} must be one of {', '.join(MODES)}.")
        self.multiple = multiple
        self.mode = mode

    def call(self, inputs: Any) -> Any:
        """Pads fields (B, H, W, C)."""
        x = inputs
        for axis in (1, 2):
            size = ops.shape(inputs)[axis]
            padded = -(-size // self.multiple) * self.multiple
            if isinstance(size, int) and padded == size:
                continue
            index = ops.arange(padded)
            if self.mode == "edge":
                index = ops.minimum(index, size - 1)
            else:
                period = ops.maximum(2 * (size - 1), 1)  # 1 for a single point
                index = index % period
                index = ops.minimum(index, period - index)
            x = ops.take(x, index, axis=axis)
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
        return {**super().get_config(), "multiple": self.multiple, "mode": self.mode}


@keras.saving.register_keras_serializable(package="phire")
class ReflectedToMultiple(PadToMultiple):
    """Padding by reflection, under the name that it has in networks saved by earlier versions."""

    def __init__(self, multiple: int, mode: str = "reflect", **kwargs: Any) -> None:
        super().__init__(multiple, mode, **kwargs)


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
