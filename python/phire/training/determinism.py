"""Determinism: the same step gives the same bits at any load of the machine."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.python.ops import gen_math_ops


@functools.cache
def enable_determinism() -> None:
    """Makes TensorFlow's operations deterministic for the rest of this process.

    TensorFlow's own switch leaves one thing to chance: AddN, by which gradients of what is used
    three times or more are added up, begins with whichever term's memory nobody else needs any
    more, so that the order, and with it the rounding, depends on what has been computed by then
    (seen with TensorFlow 2.21, on a busy machine in most steps). Such sums are made in their given
    order here.
    """
    tf.config.experimental.enable_op_determinism()
    add_n = gen_math_ops.add_n

    @functools.wraps(add_n)
    def in_order(inputs: Sequence[tf.Tensor], name: str | None = None) -> tf.Tensor:
        # Two terms make the same sum either way; other types than numbers cannot be stacked.
        if len(inputs) < 3 or not tf.as_dtype(inputs[0].dtype).is_floating:
            return add_n(inputs, name=name)
        # Not term by term: TensorFlow's optimizer would join those to one AddN again.
        return tf.reduce_sum(tf.stack(inputs), axis=0, name=name)

    # Both the gradient tape and tf.add_n look it up there; no public interface reaches the tape.
    gen_math_ops.add_n = in_order
