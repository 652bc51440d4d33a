"""Masks in records: one bit per value, packed to bytes and unpacked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


def packed(values: np.ndarray) -> bytes:
    """Packs a mask as bits, the first value in the highest bit of the first byte."""
    return np.packbits(values).tobytes()


def unpacked(data: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Unpacks masks, (n,) bytes → (n, …, H, W, C) float32.

    Args:
        data: (n,) bytes of one bit per value; each time step begins at a whole byte.
        shape: Shape of one mask, (H, W, C) or (T, H, W, C).
    """
    import tensorflow as tf  # records are written without it

    values = math.prod(shape[-3:])
    size = -(-values // 8)
    steps = math.prod(shape[:-3])
    flat = tf.io.decode_raw(data, tf.uint8, fixed_length=steps * size)
    shifts = tf.constant(np.arange(7, -1, -1), tf.uint8)
    bits = tf.bitwise.right_shift(tf.reshape(flat, (-1, steps, size, 1)), shifts)
    bits = tf.bitwise.bitwise_and(bits, tf.constant(1, tf.uint8))
    bits = tf.reshape(bits, (-1, steps, 8 * size))[..., :values]
    return tf.cast(tf.reshape(bits, (data.shape[0] or -1, *shape)), tf.float32)
