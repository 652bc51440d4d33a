"""Random seeds, and deterministic operations, whose result does not depend on timing."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
import tensorflow as tf

from phire.training.precision import set_precision
from phire.training.private_interfaces import replace_sum_of_tensors, sum_of_tensors


@functools.cache
def enable_determinism() -> None:
    """Makes TensorFlow's operations deterministic for the rest of this process.

    ``enable_op_determinism`` leaves AddN nondeterministic, the operation that adds up the gradients
    of a tensor used three times or more. AddN reuses the memory of a term that is no longer needed
    and starts the sum with it, so the order of the sum and its rounding depend on timing (seen with
    TensorFlow 2.21 in most steps on a busy machine). This function therefore also replaces AddN by
    a sum in the given order.
    """
    tf.config.experimental.enable_op_determinism()
    add_n = sum_of_tensors()

    @functools.wraps(add_n)
    def in_order(inputs: Sequence[tf.Tensor], name: str | None = None) -> tf.Tensor:
        # The sum of two terms does not depend on their order. Variant tensors cannot be stacked.
        if len(inputs) < 3 or not tf.as_dtype(inputs[0].dtype).is_floating:
            return add_n(inputs, name=name)
        # A chain of additions would not do: the graph optimizer merges it into one AddN again.
        return tf.reduce_sum(tf.stack(inputs), axis=0, name=name)

    replace_sum_of_tensors(in_order)


def prepare_process(precision: str, seed: int, deterministic: bool) -> None:
    """Seeds all random generators, sets the precision, enables determinism if asked for."""
    keras.utils.set_random_seed(seed)
    set_precision(precision)
    if deterministic:
        enable_determinism()
