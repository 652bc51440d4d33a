"""Attention of every point of a field to all its points.

Memory is linear in the number of points: queries are processed in chunks, and the backward pass
recomputes the attention weights of each chunk.

Keras's attention holds the weights of all pairs of points.
``tests/networks/blocks/test_global_attention.py`` checks results and gradients against the plain
formula, and that memory grows linearly.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

CHUNK_VALUES = 2**25
"""Largest number of attention weights in memory at once, 128 MiB in float32."""


def attend(query: Any, key: Any, value: Any) -> Any:
    """Computes attention softmax(q·kᵀ/√d)·v, in chunks of queries if all weights need much memory.

    Args:
        query: Queries, (B, Q, heads, d).
        key, value: Keys and values, (B, K, heads, d).

    Returns:
        Attended values, (B, Q, heads, d).
    """
    batch, queries, heads, width = ops.shape(query)
    weights_of_query = batch * heads * ops.shape(key)[1]
    known = isinstance(queries, int) and isinstance(weights_of_query, int)
    if known and queries * weights_of_query <= CHUNK_VALUES:
        return ops.dot_product_attention(query, key, value)
    size = CHUNK_VALUES // weights_of_query
    size = max(min(size, queries), 1) if known else ops.clip(size, 1, queries)
    count = -(-queries // size)
    query = ops.pad(query, [[0, 0], [0, count * size - queries], [0, 0], [0, 0]])
    chunks = ops.transpose(
        ops.reshape(query, (batch, count, size, heads, width)), (1, 0, 2, 3, 4)
    )  # fmt: skip
    attention = keras.remat(ops.dot_product_attention)
    chunks = ops.map(lambda chunk: attention(chunk, key, value), chunks)
    joined = ops.reshape(
        ops.transpose(chunks, (1, 0, 2, 3, 4)), (batch, count * size, heads, width)
    )  # fmt: skip
    return joined[:, :queries]


@keras.saving.register_keras_serializable(package="phire")
class FieldAttention(keras.layers.Layer):
    """Multi-head self-attention of all points of a field, with biases and without a skip.

    Args:
        heads: Number of heads, a divisor of the channels.
        output_initializer: Initializer of the output projection.
    """

    def __init__(
        self, heads: int, output_initializer: str = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.output_initializer = output_initializer

    def build(self, inputs_shape: tuple) -> None:
        """Creates the projections ``query_key_value`` and ``output_projection``."""
        channels = inputs_shape[-1]
        self.query_key_value = keras.layers.Dense(
            3 * channels, name="query_key_value", dtype=self.dtype_policy
        )
        self.output_projection = keras.layers.Dense(
            channels, kernel_initializer=self.output_initializer, name="output_projection",
            dtype=self.dtype_policy,
        )  # fmt: skip
        self.query_key_value.build(inputs_shape)
        self.output_projection.build(inputs_shape)

    def call(self, inputs: Any) -> Any:
        """Transforms (B, H, W, C) → (B, H, W, C)."""
        batch, height, width, channels = ops.shape(inputs)
        x = self.query_key_value(ops.reshape(inputs, (batch, height * width, channels)))
        shape = (batch, height * width, self.heads, channels // self.heads)
        # ops.split in place of slices: its gradient is a single concatenation, whereas that of each
        # slice is a zero-padded copy of the whole array.
        x = attend(*(ops.reshape(part, shape) for part in ops.split(x, 3, axis=-1)))
        x = self.output_projection(ops.reshape(x, (batch, height * width, channels)))
        return ops.reshape(x, (batch, height, width, channels))

    def compute_output_shape(self, inputs_shape: tuple) -> tuple:
        """Returns (B, H, W, C)."""
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {
            **super().get_config(), "heads": self.heads,
            "output_initializer": self.output_initializer,
        }  # fmt: skip
