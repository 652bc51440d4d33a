"""Gradients of several replicas: averaged first, then clipped and applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from phire.errors import WorkError

REDUCTION = "_all_reduce_sum_gradients"
"""Keras's own reduction, within ``Optimizer.apply`` and after clipping.

A private name, because no public one lets gradients through that are reduced already;
``tests/training/test_keras_internals.py`` fails where a version of Keras lacks it.
"""


def reduce_and_apply(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence[tf.Tensor], variables: Sequence[Any]
) -> None:
    """Averages gradients over the replicas, then clips and applies them.

    Keras clips each replica's gradients and sums afterwards, which is another update than that of
    one device on the whole batch.

    Args:
        optimizer: Clips and applies the averaged gradients.
        gradients: Gradients of one replica, one for each variable.
        variables: Variables to update.

    Raises:
        WorkError: This version of Keras reduces gradients in an unknown way (several devices).
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
        # They are reduced: what is left to Keras is to unscale, clip and apply them.
        setattr(inner, REDUCTION, list)
    optimizer.apply(gradients, variables)
