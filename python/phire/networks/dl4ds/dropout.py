"""Dropout in six kinds; three of them also act at prediction (Monte-Carlo dropout)."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

KINDS = ("vanilla", "gaussian", "spatial", "mc", "mc-gaussian", "mc-spatial")
"""Kinds of dropout: of single values, by Gaussian factors, of whole channels; ``mc…`` always."""


@keras.saving.register_keras_serializable(package="phire")
class FieldDropout(keras.layers.Layer):
    """Dropout that keeps the expected value.

    ``vanilla`` sets single values to 0, ``gaussian`` multiplies by N(1, rate/(1−rate)),
    ``spatial`` sets whole channels to 0, over all points and time steps of a sample. The same after
    ``mc`` also act outside training, so that repeated predictions form an ensemble (Gal and
    Ghahramani 2016, arXiv:1506.02142).

    Args:
        rate: Probability of being dropped, from 0 to below 1.
        kind: One of :data:`KINDS`.
        seed: Seed of the random numbers; None draws one.
    """

    def __init__(
        self, rate: float, kind: str = "vanilla", seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.kind = kind
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drops values of a tensor (B, …, C)."""
        if not (training or self.kind.startswith("mc")):
            return inputs
        if self.kind.endswith("gaussian"):
            deviation = math.sqrt(self.rate / (1 - self.rate))
            return inputs * keras.random.normal(
                ops.shape(inputs), 1.0, deviation, dtype=inputs.dtype, seed=self.seed_generator
            )
        shape = ops.shape(inputs)
        if self.kind.endswith("spatial"):
            shape = (shape[0], *(1 for _ in shape[1:-1]), shape[-1])
        return keras.random.dropout(inputs, self.rate, shape, seed=self.seed_generator)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "rate": self.rate, "kind": self.kind, "seed": self.seed}


def reseed(model: keras.Model, seed: int) -> None:
    """Sets the random numbers of every dropout layer of a model, each layer its own, by a seed."""
    for number, layer in enumerate(model._flatten_layers()):
        if isinstance(layer, FieldDropout):
            layer.seed_generator.state.assign([seed % 2**32, number])
