"""Model that computes logits and feature distances of pairs, for evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from phire.errors import InputError


def stages(encoder: keras.Model) -> list[str]:
    """Returns the names of the encoder's stage outputs, in order."""
    return [layer.name for layer in encoder.layers if layer.name.startswith("stage")]


def encoder_of(network: keras.Model) -> keras.Model:
    """Returns the encoder of a pretext network.

    Raises:
        InputError: The network has no encoder.
    """
    if network.name == "encoder":
        return network
    for layer in network.layers:
        if layer.name == "encoder" and isinstance(layer, keras.Model):
            return layer
    raise InputError(
        f"The network {network.name!r} has no layer named 'encoder': pass a run of rplearn-train."
    )


class PairModel:
    """Callable that encodes both patches of a pair once, for the lag and for the distances."""

    def __init__(self, network: keras.Model, layers: Sequence[str] | None = None) -> None:
        """Compiles the computation.

        Args:
            network: Network of any pretext task.
            layers: Layers whose feature distances are computed; by default all stages.

        Raises:
            InputError: The encoder has no such layer.
        """
        self.network = network
        encoder = encoder_of(network)
        known = {layer.name for layer in encoder.layers}
        self.layers = list(layers or stages(encoder))
        for name in self.layers:
            if name not in known:
                raise InputError(
                    f"The encoder has no layer {name!r}: choose among {', '.join(stages(encoder))}."
                )
        self.tells_lags = len(network.inputs) == 2
        outputs = [encoder.get_layer(name).output for name in self.layers]
        self._features = keras.Model(encoder.inputs[0], [*outputs, encoder.outputs[0]])
        self._head = self._head_of(network, encoder) if self.tells_lags else None
        # The batch size is left open, so that the smaller last batch needs no new trace.
        patches = tf.TensorSpec((None, *encoder.inputs[0].shape[1:]), tf.float32)
        self._forward = tf.function(self._run, input_signature=(patches, patches))

    @staticmethod
    def _head_of(network: keras.Model, encoder: keras.Model) -> keras.Model:
        # The head becomes a model of the two feature maps, which are then computed only once for
        # both the logits and the distances.
        features = []

        def call(layer: keras.Layer, *arguments: Any, **options: Any) -> Any:
            result = layer(*arguments, **options)
            if layer is encoder:
                features.append(result)
            return result

        same = keras.models.clone_model(network, clone_function=lambda x: x, call_function=call)
        return keras.Model(features, same.outputs[0])

    def _run(self, first: tf.Tensor, second: tf.Tensor) -> tuple:
        *features_1, last_1 = self._features(first, training=False)
        *features_2, last_2 = self._features(second, training=False)
        distances = [
            tf.reduce_mean(tf.square(tf.cast(a, tf.float32) - tf.cast(b, tf.float32)), [1, 2, 3])
            for a, b in zip(features_1, features_2)
        ]
        logits = self._head([last_1, last_2], training=False) if self._head is not None else None
        return logits, distances

    def __call__(
        self, first: tf.Tensor, second: tf.Tensor
    ) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
        """Computes the logits and the mean squared feature distances of n pairs.

        Returns:
            Logits (n, classes), None if the task predicts no lag; and the distances (n,) by layer.
        """
        logits, distances = self._forward(first, second)
        return (
            None if logits is None else np.asarray(tf.cast(logits, tf.float32)),
            {name: value.numpy() for name, value in zip(self.layers, distances)},
        )
