"""Attention in shifted windows, with cosine similarity and a continuous position bias.

Source: Swin Transformer V2 (Liu et al. 2022, arXiv:2111.09883), as used by Swin2SR (Conde et al.
2022, arXiv:2209.11345).

Keras has no such layer. ``tests/networks/test_swin.py`` checks attention, offsets and masks against
numbers of the reference implementation.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

BIAS_FEATURES = 512
"""Hidden width of the network that computes the position bias."""

MASKED = -1e4
"""Added to the logits of pairs of points that must not attend to each other. Logits lie within
±116, so their weights become 0."""


def trunc_normal() -> keras.initializers.Initializer:
    """Returns the initializer of all kernels of Swin2SR: N(0, 0.02²), truncated at 2σ."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


@keras.saving.register_keras_serializable(package="phire")
class WindowAttention(keras.layers.Layer):
    """Multi-head self-attention in the windows of a field, (B, H, W, C) → (B, H, W, C).

    H and W must be multiples of the window. To shift the windows, the field is rolled first; points
    from opposite edges in one window do not attend to each other. A field of a single window along
    either axis is not shifted.

    Args:
        heads: Number of heads, a divisor of C.
        window: Side of the windows in points.
        shift: Shift of the windows in points, along both axes.
    """

    def __init__(self, heads: int, window: int, shift: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.window = window
        self.shift = shift

    def build(self, input_shape: tuple) -> None:
        """Creates the weights of projections, logit scale and position bias."""
        channels = input_shape[-1]
        for name in ("query", "key", "value", "output"):
            kernel = self.add_weight(
                shape=(channels, channels), initializer=trunc_normal(), name=f"{name}_kernel"
            )
            setattr(self, f"{name}_kernel", kernel)
            if name != "key":  # as in Swin V2, whose keys have no bias
                bias = self.add_weight(shape=(channels,), initializer="zeros", name=f"{name}_bias")
                setattr(self, f"{name}_bias", bias)
        self.logit_scale = self.add_weight(
            shape=(self.heads,),
            initializer=keras.initializers.Constant(math.log(10)),
            name="logit_scale",
        )
        self.position_hidden_kernel = self.add_weight(
            shape=(2, BIAS_FEATURES), initializer=trunc_normal(), name="position_hidden_kernel"
        )
        self.position_hidden_bias = self.add_weight(
            shape=(BIAS_FEATURES,), initializer="zeros", name="position_hidden_bias"
        )
        self.position_kernel = self.add_weight(
            shape=(BIAS_FEATURES, self.heads), initializer=trunc_normal(), name="position_kernel"
        )

    def call(self, inputs: Any) -> Any:
        """Transforms (B, H, W, C) → (B, H, W, C)."""
        n = self.window
        height, width = ops.shape(inputs)[1:3]
        rows, columns = height // n, width // n
        shifted = self._is_shifted(rows, columns)
        x = self._rolled(inputs, shifted, -self.shift)
        x = ops.reshape(x, (-1, rows, n, columns, n, inputs.shape[-1]))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (-1, rows * columns, n * n, inputs.shape[-1]))
        x = self._attend(x, self.attention_bias(rows, columns, shifted))
        x = ops.reshape(x, (-1, rows, columns, n, n, inputs.shape[-1]))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (-1, height, width, inputs.shape[-1]))
        return self._rolled(x, shifted, self.shift)

    def _is_shifted(self, rows: Any, columns: Any) -> Any:
        """Returns True if windows are shifted; a bool tensor if the field's size is dynamic."""
        if isinstance(rows, int) and isinstance(columns, int):
            return self.shift > 0 and rows > 1 and columns > 1
        if not self.shift:
            return False
        return ops.logical_and(rows > 1, columns > 1)

    def _rolled(self, x: Any, shifted: Any, by: int) -> Any:
        """Rolls rows and columns by ``by`` points if windows are shifted."""
        if isinstance(shifted, bool):
            return ops.roll(x, (by, by), axis=(1, 2)) if shifted else x
        by = ops.cast(shifted, "int32") * by
        return ops.roll(x, ops.stack([by, by]), axis=(1, 2))

    def _attend(self, x: Any, bias: Any) -> Any:
        """Attends in windows.

        Args:
            x: Points of all windows, (B, windows, n², C).
            bias: Addend of the logits, (windows or 1, heads, n², n²).
        """
        channels = x.shape[-1]
        # One matrix product for query, key and value is faster than three.
        kernel = ops.concatenate([self.query_kernel, self.key_kernel, self.value_kernel], axis=1)
        offset = ops.concatenate(
            [self.query_bias, ops.zeros((channels,), x.dtype), self.value_bias], axis=0
        )
        qkv = ops.matmul(x, kernel) + offset
        windows, tokens = ops.shape(x)[1:3]
        shape = (-1, windows, tokens, self.heads, channels // self.heads)
        # ops.split in place of slices: its gradient is a single concatenation, whereas that of each
        # slice is a zero-padded copy of the whole array.
        query, key, value = (ops.reshape(part, shape) for part in ops.split(qkv, 3, axis=-1))
        scale = ops.exp(ops.minimum(ops.cast(self.logit_scale, "float32"), math.log(100)))
        query = _of_unit_length(query) * ops.cast(scale, query.dtype)[:, None]
        query = ops.transpose(query, (0, 1, 3, 2, 4))
        key = ops.transpose(_of_unit_length(key), (0, 1, 3, 4, 2))
        value = ops.transpose(value, (0, 1, 3, 2, 4))
        logits = ops.cast(ops.matmul(query, key), "float32") + bias
        weights = ops.cast(ops.softmax(logits), value.dtype)
        x = ops.transpose(ops.matmul(weights, value), (0, 1, 3, 2, 4))
        x = ops.reshape(x, (-1, windows, tokens, channels))
        return ops.matmul(x, self.output_kernel) + self.output_bias

    def attention_bias(self, rows: Any, columns: Any, shifted: Any) -> Any:
        """Returns what is added to the logits, (windows or 1, heads, n², n²) float32."""
        n = self.window
        table = ops.convert_to_tensor(offset_table(n), self.compute_dtype)
        hidden = ops.relu(
            ops.matmul(table, self.position_hidden_kernel) + self.position_hidden_bias
        )
        biases = ops.cast(ops.matmul(hidden, self.position_kernel), "float32")
        biases = 16 * ops.sigmoid(ops.take(biases, offset_index(n).ravel(), axis=0))
        bias = ops.transpose(ops.reshape(biases, (n * n, n * n, self.heads)), (2, 0, 1))[None]
        if shifted is False:
            return bias
        apart_rows, apart_columns = parts_differ(n, self.shift)
        last_row = ops.cast(ops.arange(rows) == rows - 1, "float32")
        last_column = ops.cast(ops.arange(columns) == columns - 1, "float32")
        apart = (
            last_row[:, None, None, None] * apart_rows
            + last_column[None, :, None, None] * apart_columns
        )
        apart = ops.reshape(apart, (rows * columns, 1, n * n, n * n))
        return bias + MASKED * ops.cast(shifted, "float32") * apart

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        given = {"heads": self.heads, "window": self.window, "shift": self.shift}
        return {**super().get_config(), **given}


def _of_unit_length(x: Any) -> Any:
    """Normalizes vectors along the last axis, as ``torch.nn.functional.normalize`` does."""
    square = ops.sum(ops.square(ops.cast(x, "float32")), axis=-1, keepdims=True)
    return x * ops.cast(ops.rsqrt(ops.maximum(square, 1e-24)), x.dtype)


def offset_table(window: int) -> np.ndarray:
    """Returns the log-spaced offsets between points of a window, ((2w − 1)², 2).

    They are the inputs of the bias network: sign(o)·log₂(1 + |o|)/log₂ 8 with o = 8·offset/(w − 1),
    between −1.057 and 1.057.
    """
    steps = np.arange(1 - window, window) / max(window - 1, 1) * 8
    steps = np.sign(steps) * np.log2(np.abs(steps) + 1) / math.log2(8)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)


def offset_index(window: int) -> np.ndarray:
    """Returns the row in :func:`offset_table` of each pair (query, key) of points, (w², w²)."""
    row, column = np.divmod(np.arange(window**2), window)
    rows = row[:, None] - row + window - 1
    columns = column[:, None] - column + window - 1
    return rows * (2 * window - 1) + columns


def parts_differ(window: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns masks of the pairs of points from opposite edges of the rolled field.

    Returns:
        Masks for the windows of the last row (points from the first and last rows of the field) and
        for those of the last column, each (w², w²) float32, 1 for such pairs.
    """
    row, column = np.divmod(np.arange(window**2), window)
    parts = (row >= window - shift), (column >= window - shift)
    return tuple((part[:, None] != part).astype("float32") for part in parts)
