"""Gradient reduction over replicas: average first, then clip and apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from phire.errors import WorkError

REDUCTION = "_all_reduce_sum_gradients"
"""Keras method that sums gradients over replicas, called in ``Optimizer.apply`` after clipping.

The name is private, but Keras has no public way to apply gradients that are reduced already;
``tests/training/test_keras_internals.py`` fails if a version of Keras lacks it.
"""


def reduce_and_apply(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence[tf.Tensor], variables: Sequence[Any]
) -> None:
    """Averages gradients over the replicas, then clips and applies them.

    Keras itself clips each replica's gradients and sums them afterwards, which differs from the
    update that one device computes for the whole batch.

    Args:
        optimizer: Optimizer that clips and applies the averaged gradients.
        gradients: Gradients of one replica, one for each variable.
        variables: Variables to update.

    Raises:
        WorkError: There are several replicas, and this version of Keras lacks :data:`REDUCTION`.
    """
    replicas = tf.distribute.get_replica_context()
    if replicas.num_replicas_in_sync > 1:
        gradients = replicas.all_reduce(tf.distribute.ReduceOp.MEAN, list(gradients))
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if not hasattr(inner, REDUCTION):
            raise WorkError(
                f"Keras {keras.__version__} reduces gradients in a way that phire does not know: "
                "train on one device, or with Keras 3.15."
            )
        # The gradients are reduced already, so Keras's own reduction becomes the identity.
        setattr(inner, REDUCTION, list)
    optimizer.apply(gradients, variables)
