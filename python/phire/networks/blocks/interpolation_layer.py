"""Interpolation layer, from coarse fields to a grid that is finer by a whole factor.

Keras's resizing fixes the parameter of cubic convolution and gives other values at the edges.
``tests/networks/blocks/test_interpolation_layer.py`` checks the layer against numbers of PyTorch
and against :mod:`phire.fields.interpolation`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from phire.errors import OptionError

METHODS = ("nearest", "bilinear", "bicubic")
"""Methods of interpolation."""
REACH = 2
"""Largest number of coarse points beyond its own on which an interpolated point depends."""


@keras.saving.register_keras_serializable(package="phire")
class Interpolation(keras.layers.Layer):
    """Interpolation (B, h, w, C) → (B, h·scale, w·scale, C), with edge values beyond the edges.

    Fine points are the centres of equal parts of the coarse cells (half-pixel centres), as in
    ``torch.nn.functional.interpolate(align_corners=False)``.

    Args:
        scale: Refinement factor.
        method: ``nearest``, ``bilinear`` or ``bicubic`` (Keys' cubic convolution,
            doi:10.1109/TASSP.1981.1163711).
        a: Parameter of cubic convolution: −0.5 as elsewhere in phire, or PyTorch's −0.75.

    Raises:
        InputError: ``method`` is unknown.
    """

    def __init__(self, scale: int, method: str = "bicubic", a: float = -0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if method not in METHODS:
            raise OptionError(f"interpolation {method!r} must be one of {', '.join(METHODS)}.")
        self.scale = scale
        self.method = method
        self.a = a

    def call(self, inputs: Any) -> Any:
        """Transforms (B, h, w, C) → (B, h·scale, w·scale, C)."""
        s = self.scale
        x = inputs
        for axis in (1, 2):
            x = _continued(x, axis)
        channels = inputs.shape[-1]
        taps = phase_weights(s, self.method, self.a)
        # One filter for each of the s² fine points of a cell: (5, 5, C, s²).
        kernel = np.einsum("ik,jl->klij", taps, taps).reshape(*2 * (taps.shape[1],), 1, s * s)
        kernel = ops.convert_to_tensor(np.repeat(kernel, channels, axis=2), x.dtype)
        x = ops.depthwise_conv(x, kernel, data_format="channels_last")
        _, height, width, _ = ops.shape(inputs)
        x = ops.reshape(x, (-1, height, width, channels, s, s))
        x = ops.transpose(x, (0, 1, 4, 2, 5, 3))
        return ops.reshape(x, (-1, height * s, width * s, channels))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns (B, h·s, w·s, C)."""
        batch, height, width, channels = input_shape
        height, width = (None if n is None else n * self.scale for n in (height, width))
        return batch, height, width, channels

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {
            **super().get_config(), "scale": self.scale, "method": self.method, "a": self.a
        }  # fmt: skip


def phase_weights(scale: int, method: str, a: float = -0.5) -> np.ndarray:
    """Returns the weights of the coarse points −2 … 2 for each fine point of a cell, (scale, 5).

    Args:
        scale, method, a: See :class:`Interpolation`.
    """
    positions = (np.arange(scale) + 0.5) / scale - 0.5
    distance = np.abs(positions[:, None] - np.arange(-REACH, REACH + 1))
    if method == "nearest":
        return (np.arange(-REACH, REACH + 1) == 0) * np.ones((scale, 1))
    if method == "bilinear":
        return np.maximum(1 - distance, 0)
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def _continued(x: Any, axis: int) -> Any:
    """Pads an axis of (B, h, w, C) at both ends by :data:`REACH` copies of the edge values."""
    before = [slice(None)] * 4
    after = [slice(None)] * 4
    before[axis], after[axis] = slice(0, 1), slice(-1, None)
    return ops.concatenate([x[tuple(before)]] * REACH + [x] + [x[tuple(after)]] * REACH, axis=axis)
