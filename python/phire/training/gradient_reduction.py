"""Gradient reduction over replicas: average first, then clip and apply.

``tests/training/test_private_interfaces.py`` checks the clipped gradients against those of a Keras
optimizer on one device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def reduce_and_apply(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence[tf.Tensor], variables: Sequence[Any]
) -> None:
    """Averages gradients over the replicas, then clips and applies them.

    Keras itself clips each replica's gradients and sums them afterwards, which differs from the
    update that one device computes for the whole batch. Where gradients are clipped, they are
    therefore averaged and clipped here, which costs a second reduction.

    Args:
        optimizer: Optimizer that applies the averaged gradients.
        gradients: Gradients of one replica, one for each variable.
        variables: Variables to update.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas > 1:
        inner = getattr(optimizer, "inner_optimizer", None)
        clips = inner or optimizer
        # Loss scaling needs this branch, too: each replica tests its own gradients for overflow,
        # and all must come to the same result.
        if inner or clips.clipnorm or clips.global_clipnorm or clips.clipvalue:
            gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, list(gradients))
            # Gradients of a scaled loss are larger by its scale, and so is the limit.
            scale = tf.cast(optimizer.scale_loss(1.0), tf.float32) if inner else 1.0
            gradients = clipped(gradients, clips, scale)
        # Divided, because ``apply`` sums over the replicas. Its own clipping then changes nothing,
        # because the gradients are within the limits already.
        gradients = [tf.convert_to_tensor(gradient) / replicas for gradient in gradients]
    optimizer.apply(gradients, variables)


def clipped(
    gradients: Sequence[tf.Tensor], limits: keras.optimizers.Optimizer, scale: Any
) -> list[tf.Tensor]:
    """Returns gradients clipped as ``keras.optimizers.Optimizer.apply`` does.

    Args:
        gradients: Gradients, one for each variable.
        limits: Optimizer with ``clipnorm``, ``global_clipnorm`` or ``clipvalue``.
        scale: Factor of the limits.
    """
    if limits.clipnorm:
        return [tf.clip_by_norm(one, limits.clipnorm * scale) for one in gradients]
    if limits.global_clipnorm:
        return tf.clip_by_global_norm(gradients, limits.global_clipnorm * scale)[0]
    if limits.clipvalue:
        limit = limits.clipvalue * scale
        # An infinite gradient stays infinite, so that loss scaling detects the overflow and skips
        # the step.
        return [
            tf.where(tf.math.is_finite(one), tf.clip_by_value(one, -limit, limit), one)
            for one in gradients
        ]
    return list(gradients)
