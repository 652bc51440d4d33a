"""Normalization of feature maps, with scale and shift from a sample's embedding (FiLM).

``tests/networks/blocks/test_field_norm.py`` checks results and gradients against
``keras.layers.GroupNormalization`` and finite differences.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

KINDS = ("group", "rms", "none")
"""Kinds of normalization; see :class:`FieldNorm`."""


@keras.saving.register_keras_serializable(package="phire")
class FieldNorm(keras.layers.Layer):
    """Normalization per sample, then scale and shift by weights and by an embedding.

    ``group`` uses mean and variance over all points and the channels of a group (Wu and He 2018,
    arXiv:1803.08494), so every output depends on the whole field. ``rms`` divides each point by the
    root mean square of its channels (Zhang and Sennrich 2019, arXiv:1910.07467). ``none`` only
    scales and shifts. The last two keep points independent.

    It replaces Keras's ``GroupNormalization`` because normalization, weights and embedding combine
    to one factor and one offset per sample and channel, which saves passes over the field. The
    tests check it against Keras.

    Args:
        kind: ``group``, ``rms`` or ``none``.
        groups: Groups of channels; if they do not divide C, the greatest common divisor of both.
        epsilon: Added to the variance.
    """

    def __init__(
        self, kind: str = "group", groups: int = 32, epsilon: float = 1e-5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.groups = groups
        self.epsilon = epsilon

    def build(self, inputs_shape: tuple, modulation_shape: tuple | None = None) -> None:
        """Creates the weights ``gamma`` and, except for ``rms``, ``beta``, each (C,)."""
        channels = inputs_shape[-1]
        self.gamma = self.add_weight(shape=(channels,), initializer="ones", name="gamma")
        self.beta = None
        if self.kind != "rms":
            self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta")

    def call(self, inputs: Any, modulation: Any = None) -> Any:
        """Normalizes a batch.

        Args:
            inputs: Features, (B, H, W, C).
            modulation: Scale (to which 1 is added) and shift from the embedding, (B, 2·C); None
                leaves both out.
        """
        x = ops.cast(inputs, "float32")
        factor = ops.cast(self.gamma, "float32")[None]
        offset = ops.zeros_like(factor)
        if self.beta is not None:
            offset = ops.cast(self.beta, "float32")[None]
        if modulation is not None:
            modulation = ops.cast(modulation, "float32")
            scale = 1 + modulation[:, : x.shape[-1]]
            factor, offset = factor * scale, offset * scale + modulation[:, x.shape[-1] :]
        if self.kind == "group":
            mean, inverse = self._statistics(x)
            factor = factor * inverse
            offset = offset - mean * factor
        elif self.kind == "rms":
            mean_square = ops.mean(ops.square(x), axis=-1, keepdims=True)
            x = x * ops.rsqrt(mean_square + self.epsilon)
        factor, offset = (ops.cast(f, inputs.dtype)[:, None, None] for f in (factor, offset))
        return ops.cast(x, inputs.dtype) * factor + offset

    def _statistics(self, x: Any) -> tuple[Any, Any]:
        """Returns mean and 1/√(variance + ε) of the group of each channel, both (B, C)."""
        channels = x.shape[-1]
        groups = math.gcd(self.groups, channels)

        def group_mean(values: Any) -> Any:
            values = ops.reshape(values, (-1, groups, channels // groups))
            return ops.repeat(ops.mean(values, axis=-1), channels // groups, axis=-1)

        mean = group_mean(ops.mean(x, axis=(1, 2)))
        mean_square = group_mean(ops.mean(ops.square(x), axis=(1, 2)))
        variance = ops.maximum(mean_square - ops.square(mean), 0)
        return mean, ops.rsqrt(variance + self.epsilon)

    def compute_output_shape(self, inputs_shape: tuple, modulation_shape: Any = None) -> tuple:
        """Returns (B, H, W, C)."""
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {
            **super().get_config(), "kind": self.kind, "groups": self.groups,
            "epsilon": self.epsilon,
        }  # fmt: skip
