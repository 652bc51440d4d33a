"""Inputs of a network, selected from a batch or drawn at random."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf


def network_inputs(
    network: keras.Model, batch: Mapping[str, tf.Tensor], seed: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """Returns the inputs that a network reads, by name.

    Arrays that the batch lacks have defaults: ``noise`` and ``seed`` are drawn, ``position`` is 0
    (every patch begins at the domain's first point), and ``low_valid`` is 1 (no coarse value is
    missing).

    Args:
        network: Network with named inputs.
        batch: Arrays of samples by name.
        seed: Seed of the random inputs, (2,) integers; needed only if the network has them.

    Raises:
        KeyError: The batch lacks an array without a default.
        ValueError: The network has random inputs, and ``seed`` is None.
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
            raise KeyError(f"the network {network.name} reads {name}, which the batch lacks")
    return found


def _fine_size(tensor: keras.KerasTensor, batch: Mapping[str, tf.Tensor]) -> list:
    """Returns the numbers of rows and columns of the fine grid, from the network or the batch."""
    known = list(tensor.shape[1:-1])
    if None not in known:
        return known
    return list(tf.unstack(tf.shape(batch["high"])[1:-1], num=len(known)))


def _salted(seed: tf.Tensor | None, salt: int) -> tf.Tensor:
    """Returns another seed for each ``salt``, so that inputs are drawn independently."""
    if seed is None:
        raise ValueError("the network draws random numbers: give a seed")
    return tf.bitwise.bitwise_xor(tf.cast(seed, tf.int32), [0, salt << 27])
