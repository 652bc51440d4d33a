"""Attention of the points of a field to tokens (cross-attention), or to each other."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from phire.networks.blocks.global_attention import attend


@keras.saving.register_keras_serializable(package="phire")
class TokenAttention(keras.layers.Layer):
    """Multi-head attention of points to tokens or to themselves; only the output has a bias.

    Args:
        heads: Number of heads, a divisor of the channels.
    """

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, inputs_shape: tuple, tokens_shape: tuple | None = None) -> None:
        """Creates the projections ``query``, ``key``, ``value`` and ``output_projection``."""
        channels = inputs_shape[-1]
        sources = {
            "query": inputs_shape, "key": tokens_shape or inputs_shape,
            "value": tokens_shape or inputs_shape, "output_projection": inputs_shape,
        }  # fmt: skip
        for name, shape in sources.items():
            projection = keras.layers.Dense(
                channels, use_bias=name == "output_projection", name=name, dtype=self.dtype_policy
            )
            projection.build(shape)
            setattr(self, name, projection)

    def call(self, inputs: Any, tokens: Any = None) -> Any:
        """Attends from points (B, …, C) to tokens (B, L, D), or to the points if they are None."""
        source = inputs if tokens is None else tokens
        query, key, value = (
            self._in_heads(project(x))
            for project, x in ((self.query, inputs), (self.key, source), (self.value, source))
        )
        x = attend(query, key, value)
        return self.output_projection(ops.reshape(x, ops.shape(inputs)))

    def _in_heads(self, x: Any) -> Any:
        """Splits channels into heads, (B, …, C) → (B, points, heads, C / heads)."""
        batch, *sizes, channels = ops.shape(x)
        count = math.prod(sizes)
        return ops.reshape(x, (batch, count, self.heads, channels // self.heads))

    def compute_output_shape(self, inputs_shape: tuple, tokens_shape: Any = None) -> tuple:
        """Returns (B, …, C)."""
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {**super().get_config(), "heads": self.heads}
