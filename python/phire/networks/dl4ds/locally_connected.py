"""Locally connected layer with weights for each point of a domain, which also takes patches.

Keras 3 has no locally connected layer, and Keras 2's took the whole domain only.
``tests/networks/dl4ds/test_options.py`` checks patches against the same part of the whole domain.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="phire")
class LocallyConnected(keras.layers.Layer):
    """Linear layer of the channels, with a matrix and a bias for each fine point of the domain.

    The weights of a patch are gathered by its position, so a network can train on patches and
    predict the whole domain. Points beyond the domain, in a margin, use the weights of the nearest
    point of the domain.

    Args:
        domain: Rows and columns of the fine domain.
        filters: Channels of the output.
        margin: Fine points of the features before the patch's first point.
        glorot_over_domain: Initialize as DL4DS does, with Glorot's range for the weights of all
            points together, which is close to 0 on a large domain. False for the range of the
            weights of one point.
    """

    def __init__(
        self,
        domain: tuple[int, int],
        filters: int = 2,
        margin: int = 0,
        glorot_over_domain: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.domain = tuple(domain)
        self.filters = filters
        self.margin = margin
        self.glorot_over_domain = glorot_over_domain

    def build(self, inputs_shape: tuple, position_shape: tuple) -> None:
        rows, columns = self.domain
        inputs = inputs_shape[-1]
        fans = inputs + self.filters
        if self.glorot_over_domain:
            fans *= rows * columns
        limit = (6 / fans) ** 0.5
        initializer = keras.initializers.RandomUniform(-limit, limit)
        self.kernel = self.add_weight(
            (rows, columns, inputs, self.filters), initializer, name="kernel"
        )
        self.bias = self.add_weight((rows, columns, self.filters), "zeros", name="bias")

    def call(self, inputs: Any, position: Any) -> Any:
        """Transforms (B, H, W, C) → (B, H, W, filters).

        Args:
            inputs: Features of patches, (B, H, W, C).
            position: Row and column of each patch's first point in the domain, (B, 2).
        """
        _, height, width, _ = ops.shape(inputs)
        rows, columns = self.domain
        first = ops.cast(position, "int32") - self.margin
        row = ops.clip(first[:, :1] + ops.arange(height, dtype="int32"), 0, rows - 1)
        column = ops.clip(first[:, 1:] + ops.arange(width, dtype="int32"), 0, columns - 1)
        point = row[:, :, None] * columns + column[:, None, :]
        dtype = self.compute_dtype
        kernel = ops.reshape(self.kernel, (rows * columns, -1, self.filters))
        kernel = ops.cast(ops.take(kernel, point, axis=0), dtype)
        bias = ops.take(ops.reshape(self.bias, (rows * columns, self.filters)), point, axis=0)
        return ops.einsum("bhwi,bhwio->bhwo", inputs, kernel) + ops.cast(bias, dtype)

    def compute_output_shape(self, inputs_shape: tuple, position_shape: tuple) -> tuple:
        return (*inputs_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {
            **super().get_config(), "domain": self.domain, "filters": self.filters,
            "margin": self.margin, "glorot_over_domain": self.glorot_over_domain,
        }  # fmt: skip
