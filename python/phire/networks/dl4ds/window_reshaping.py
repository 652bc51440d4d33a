"""Layers that convert the time steps of a window to samples and back."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="phire")
class TimeToBatch(keras.layers.Layer):
    """Reshaping of windows to frames, (B, T, H, W, C) → (B·T, H, W, C)."""

    def call(self, inputs: Any) -> Any:
        """Transforms (B, T, H, W, C) → (B·T, H, W, C)."""
        return ops.reshape(inputs, (-1, *ops.shape(inputs)[2:]))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, window, *rest = input_shape
        return None if batch is None else batch * window, *rest


class WindowLayer(keras.layers.Layer):
    """Layer that knows the number of time steps of a window.

    Args:
        window: Number of time steps T.
    """

    def __init__(self, window: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "window": self.window}


@keras.saving.register_keras_serializable(package="phire")
class BatchToTime(WindowLayer):
    """Reshaping of frames to windows, (B·T, H, W, C) → (B, T, H, W, C).

    Args:
        window: Number of time steps T.
    """

    def call(self, inputs: Any) -> Any:
        """Transforms (B·T, H, W, C) → (B, T, H, W, C)."""
        return ops.reshape(inputs, (-1, self.window, *ops.shape(inputs)[1:]))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, *rest = input_shape
        return None if batch is None else batch // self.window, self.window, *rest


@keras.saving.register_keras_serializable(package="phire")
class RepeatOverTime(WindowLayer):
    """Repetition of each sample for the T time steps of a window, (B, …) → (B·T, …).

    The time step varies fastest.

    Args:
        window: Number of time steps T.
    """

    def call(self, inputs: Any) -> Any:
        """Transforms (B, …) → (B·T, …)."""
        return ops.repeat(inputs, self.window, axis=0)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, *rest = input_shape
        return None if batch is None else batch * self.window, *rest
