"""Tokens of station observations for cross-attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from phire.networks.blocks.embeddings import sinusoids


@keras.saving.register_keras_serializable(package="phire")
class StationTokens(keras.layers.Layer):
    """Tokens of a patch's stations, (B, H, W, C) → (B, count, width), in float32.

    A token is a linear function of the values and masks of all variables at a point, plus sinusoids
    of its row and column. If a patch has fewer than ``count`` points with observations, the
    remaining tokens are zeros; if it has more, the first ones in row-major order are used.

    Args:
        width: Length of a token.
        pairs: For each variable, the channel of its values and the channel of its mask.
        count: Number of tokens.
    """

    def __init__(
        self, width: int, pairs: Sequence[Sequence[int]], count: int = 64, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.width = width
        self.pairs = [list(pair) for pair in pairs]
        self.count = count

    def build(self, inputs_shape: tuple) -> None:
        """Creates the projection of values and masks."""
        self.projection = keras.layers.Dense(self.width, name="projection", dtype="float32")
        self.projection.build((None, None, 2 * len(self.pairs)))

    def call(self, inputs: Any) -> Any:
        """Returns the tokens of patches.

        Args:
            inputs: Predictors on the fine grid, (B, H, W, C).
        """
        x = ops.cast(inputs, "float32")
        batch, height, width, _ = ops.shape(x)
        values = [x[..., value] for value, _ in self.pairs]
        masks = [x[..., mask] for _, mask in self.pairs]
        rows, columns = ops.meshgrid(
            ops.arange(height, dtype="float32"), ops.arange(width, dtype="float32"), indexing="ij"
        )
        position = [index + ops.zeros_like(masks[0]) for index in (rows, columns)]
        points = ops.stack([*values, *masks, *position], axis=-1)
        points = ops.reshape(points, (batch, height * width, 2 * len(self.pairs) + 2))
        # Padding by points without observations, so that small patches have ``count`` points, too.
        points = ops.pad(points, [[0, 0], [0, self.count], [0, 0]])
        observed = ops.max(points[..., len(self.pairs) : -2], axis=-1)
        observed, chosen = ops.top_k(observed, self.count)
        chosen = ops.broadcast_to(chosen[..., None], (batch, self.count, 2 * len(self.pairs) + 2))
        points = ops.take_along_axis(points, chosen, axis=1)
        half = self.width // 2
        embedded = [sinusoids(points[..., -2], half), sinusoids(points[..., -1], self.width - half)]
        tokens = self.projection(points[..., :-2]) + ops.concatenate(embedded, axis=-1)
        # Zeros for the padding, and for points without observations that top_k selected.
        return tokens * ops.cast(observed > 0, "float32")[..., None]

    def compute_output_shape(self, inputs_shape: tuple) -> tuple:
        """Returns (B, count, width)."""
        return inputs_shape[0], self.count, self.width

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {
            **super().get_config(), "width": self.width, "pairs": self.pairs, "count": self.count,
        }  # fmt: skip
