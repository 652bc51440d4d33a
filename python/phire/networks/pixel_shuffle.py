"""Pixel shuffle, and an initializer that avoids its checkerboard artefacts.

Keras has no pixel shuffle for all backends. ``tests/networks/test_srgan_generator.py`` checks it
value by value.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="phire")
class PixelShuffle(keras.layers.Layer):
    """Pixel shuffle, (B, H, W, C·r²) → (B, H·r, W·r, C) (Shi et al. 2016, arXiv:1609.05158).

    Args:
        factor: Upsampling factor r.
    """

    def __init__(self, factor: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        """Transforms (B, H, W, C·r²) → (B, H·r, W·r, C)."""
        r = self.factor
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return tf.nn.depth_to_space(inputs, r)
        batch, height, width, channels = ops.shape(inputs)
        x = ops.reshape(inputs, (batch, height, width, r, r, channels // r**2))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (batch, height * r, width * r, channels // r**2))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, H·r, W·r, C)."""
        batch, height, width, channels = input_shape
        height, width = (None if n is None else n * self.factor for n in (height, width))
        return batch, height, width, channels // self.factor**2

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(package="phire")
class CheckerboardFree(keras.initializers.Initializer):
    """Initializer of a convolution before a pixel shuffle, which then starts without checkerboards.

    The r² filters of a pixel block start equal, so the layer starts as nearest-neighbour upsampling
    (ICNR, Aitken et al. 2017, arXiv:1707.02937).

    Args:
        factor: Upsampling factor r of the pixel shuffle.
        initializer: Initializer of the filters that are repeated.
    """

    def __init__(self, factor: int, initializer: Any = "glorot_uniform") -> None:
        self.factor = factor
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Returns a kernel of the given shape, (h, w, C_in, C_out·r²)."""
        *lead, outputs = shape
        kernel = self.initializer((*lead, outputs // self.factor**2), dtype=dtype)
        # In the last axis of the kernel, channels vary faster than pixels of a block.
        return ops.tile(kernel, (1,) * len(lead) + (self.factor**2,))

    def get_config(self) -> dict[str, Any]:
        """Returns the initializer's arguments, for saving."""
        initializer = keras.initializers.serialize(self.initializer)
        return {"factor": self.factor, "initializer": initializer}
