"""Normalization of feature maps, with scale and shift from a sample's embedding (FiLM).

``tests/networks/blocks/test_field_norm.py`` checks results and gradients against
``keras.layers.GroupNormalization`` and finite differences.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from phire.networks.fast_cpu import on_processor
from phire.networks.field_moments import scaled_by_moments

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
            if on_processor():
                return scaled_by_moments(inputs, self._by_groups, factor, offset)
            moments = ops.mean(x, axis=(1, 2)), ops.mean(ops.square(x), axis=(1, 2))
            factor, offset = self._by_groups(*moments, factor, offset)
        elif self.kind == "rms":
            mean_square = ops.mean(ops.square(x), axis=-1, keepdims=True)
            x = x * ops.rsqrt(mean_square + self.epsilon)
        factor, offset = (ops.cast(f, inputs.dtype)[:, None, None] for f in (factor, offset))
        return ops.cast(x, inputs.dtype) * factor + offset

    def _by_groups(self, mean: Any, mean_square: Any, factor: Any, offset: Any) -> tuple[Any, Any]:
        """Returns factor and offset that normalize each group of channels, then scale and shift.

        Args:
            mean, mean_square: Means of each channel and of its square, (B, C).
            factor, offset: Scale and shift of the normalized features, (B, C) or (1, C).
        """
        channels = mean.shape[-1]
        groups = math.gcd(self.groups, channels)

        def group_mean(values: Any) -> Any:
            values = ops.reshape(values, (-1, groups, channels // groups))
            return ops.repeat(ops.mean(values, axis=-1), channels // groups, axis=-1)

        mean, mean_square = group_mean(mean), group_mean(mean_square)
        variance = ops.maximum(mean_square - ops.square(mean), 0)
        factor = factor * ops.rsqrt(variance + self.epsilon)
        return factor, offset - mean * factor

    def compute_output_shape(self, inputs_shape: tuple, modulation_shape: Any = None) -> tuple:
        """Returns (B, H, W, C)."""
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the layer's arguments, for saving."""
        return {
            **super().get_config(), "kind": self.kind, "groups": self.groups,
            "epsilon": self.epsilon,
        }  # fmt: skip
