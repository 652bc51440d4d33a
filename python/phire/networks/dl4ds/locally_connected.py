"""Locally connected layer: weights of their own at each point of a domain, also for patches."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="phire")
class LocallyConnected(keras.layers.Layer):
    """Linear map of the channels with a matrix and a bias for each fine point of the domain.

    The weights of a patch are gathered by its place, so that a network trains on patches of a
    domain and predicts all of it. Points beyond the domain, which a margin has, use the weights of
    its nearest point.

    Args:
        domain: (rows, columns) of the domain's fine grid.
        filters: Channels of the output.
        margin: Fine points that the features have before the patch's first point.
        glorot_over_domain: Initialise as DL4DS does, by one Glorot range for the weights of all
            points, that is close to 0 on a large domain; else by the range of one point's weights.
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
        """Transforms (B, H, W, C) and (B, 2), each patch's first row and column, to (B, H, W,
        filters)."""
        _, height, width, _ = ops.shape(inputs)
        rows, columns = self.domain
        first = ops.cast(position, "int32") - self.margin
        row = ops.clip(first[:, :1] + ops.arange(height, dtype="int32"), 0, rows - 1)
        column = ops.clip(first[:, 1:] + ops.arange(width, dtype="int32"), 0, columns - 1)
        place = row[:, :, None] * columns + column[:, None, :]
        dtype = self.compute_dtype
        kernel = ops.reshape(self.kernel, (rows * columns, -1, self.filters))
        kernel = ops.cast(ops.take(kernel, place, axis=0), dtype)
        bias = ops.take(ops.reshape(self.bias, (rows * columns, self.filters)), place, axis=0)
        return ops.einsum("bhwi,bhwio->bhwo", inputs, kernel) + ops.cast(bias, dtype)

    def compute_output_shape(self, inputs_shape: tuple, position_shape: tuple) -> tuple:
        return (*inputs_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **super().get_config(), "domain": self.domain, "filters": self.filters,
            "margin": self.margin, "glorot_over_domain": self.glorot_over_domain,
        }  # fmt: skip
