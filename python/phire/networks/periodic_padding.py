"""Padding of global fields, periodic in longitude and zero beyond the first and last row.

Keras's padding has no periodic mode. ``tests/networks/test_srgan_generator.py`` checks that a
network with it commutes with rotations of the globe.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="phire")
class PeriodicPadding(keras.layers.Layer):
    """Padding that is periodic along columns (longitude) and zero along rows.

    Args:
        size: Rows and columns p to add on every side.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs: Any) -> Any:
        """Transforms (B, H, W, C) → (B, H+2p, W+2p, C)."""
        p = self.size
        if not p:
            return inputs
        # The slices need at least p columns; all inputs of networks have more.
        x = ops.concatenate([inputs[:, :, -p:], inputs, inputs[:, :, :p]], axis=2)
        return ops.pad(x, [[0, 0], [p, p], [0, 0], [0, 0]])

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, H+2p, W+2p, C)."""
        batch, height, width, channels = input_shape
        height, width = (None if n is None else n + 2 * self.size for n in (height, width))
        return batch, height, width, channels

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "size": self.size}
