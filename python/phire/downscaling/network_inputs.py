"""Inputs of a network from a batch: its named arrays and random numbers."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf


def network_inputs(
    network: keras.Model, batch: Mapping[str, tf.Tensor], seed: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """Selects the inputs that a network names, and draws those that are random.

    Args:
        network: A network of named inputs.
        batch: Arrays of a sample by name. ``noise`` and ``seed`` are taken from it where it has
            them, else drawn; ``position`` is zero where it is missing, as if every patch began at
            the domain's first point, and ``low_valid`` is one: all coarse values are present.
        seed: (2,) integers; the same seed draws the same numbers.

    Raises:
        KeyError: The batch lacks an array that the network reads.
        ValueError: The network asks for random numbers, and there is no seed.
    """
    found = {}
    size = tf.shape(batch["low"])[0]
    for name, tensor in network.input.items():
        if name in batch:
            found[name] = batch[name]
        elif name == "noise":
            shape = [size, *_fine_size(tensor, batch), tensor.shape[-1]]
            found[name] = tf.random.stateless_normal(shape, _salted(seed, 1))
        elif name == "seed":
            found[name] = tf.random.stateless_uniform(
                [size, 2], _salted(seed, 2), minval=None, maxval=None, dtype=tf.int32
            )
        elif name == "low_valid":
            found[name] = tf.ones_like(batch["low"])
        elif name == "position":
            found[name] = tf.zeros([size, 2], tf.int32)
        else:
            raise KeyError(f"the network {network.name} reads {name}, which the batch has not")
    return found


def _fine_size(tensor: keras.KerasTensor, batch: Mapping[str, tf.Tensor]) -> list:
    """Rows and columns of the fine grid."""
    known = list(tensor.shape[1:-1])
    if None not in known:
        return known
    return list(tf.unstack(tf.shape(batch["high"])[1:-1], num=len(known)))


def _salted(seed: tf.Tensor | None, salt: int) -> tf.Tensor:
    if seed is None:
        raise ValueError("the network draws random numbers: give a seed")
    return tf.bitwise.bitwise_xor(tf.cast(seed, tf.int32), [0, salt << 27])
