"""Inference of a network in TensorFlow graphs, one for each set of input shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np


class NetworkGraphs:
    """A network that is called on arrays, in a graph of their shapes.

    A graph frees features as soon as they are used, which Keras does not when a network is called,
    and within it the last convolution is arranged by the size of the image
    (:mod:`phire.networks.fast_cpu`).

    Args:
        network: The network.
    """

    def __init__(self, network: keras.Model) -> None:
        self.network = network
        self._graphs: dict[tuple, Callable] = {}

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the network's output for a batch of named arrays."""
        import tensorflow as tf

        shapes = tuple(sorted((name, array.shape) for name, array in arrays.items()))
        if shapes not in self._graphs:
            signature = {
                name: tf.TensorSpec(array.shape, tf.as_dtype(array.dtype))
                for name, array in arrays.items()
            }
            self._graphs[shapes] = tf.function(
                lambda batch: self.network(batch, training=False), input_signature=[signature]
            )
        return self._graphs[shapes](dict(arrays)).numpy()
