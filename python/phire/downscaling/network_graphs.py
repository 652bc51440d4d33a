"""Inference of a network in TensorFlow graphs, one per set of input shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np


class NetworkGraphs:
    """Callable that runs a network on NumPy arrays in a graph of fixed shapes.

    A graph needs less memory than eager calls, because it frees each activation after its last use.
    It also lets the last convolution choose its algorithm by the size of the image
    (:mod:`phire.networks.fast_cpu`).

    Args:
        network: Network with named inputs.
    """

    def __init__(self, network: keras.Model) -> None:
        self.network = network
        self._graphs: dict[tuple, Callable] = {}

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the network's output for a batch.

        Args:
            arrays: Inputs of the network by name, each with the batch as its first axis.
        """
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
