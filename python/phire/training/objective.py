"""What the training loop trains: an objective with its networks and optimizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Batch = Mapping[str, tf.Tensor]
Scalars = dict[str, tf.Tensor]


class Objective:
    """Networks, optimizers, and how one step changes them.

    A subclass builds its networks and optimizers in ``__init__`` (the loop calls it inside the
    strategy's scope) and gives :meth:`train_step` and :meth:`validation_step`. These are traced
    into graphs: they must be written in tensors, and every scalar they return is averaged over the
    epoch.

    Attributes:
        networks: The networks by name; all are kept in checkpoints.
        optimizers: The optimizers by name, built.
        exported: Names of the networks that a run keeps as ``networks/NAME.keras``.
    """

    networks: dict[str, keras.Model]
    optimizers: dict[str, keras.optimizers.Optimizer]
    exported: tuple[str, ...]

    def begin(self, phase: str) -> None:
        """Called before the first step of each phase; the steps are traced anew after it."""

    def train_step(self, batch: Batch) -> Scalars:
        """Updates the networks by one batch; returns scalars, ``loss`` among them."""
        raise TypeError(f"{type(self).__name__} has no train_step")

    def validation_step(self, batch: Batch) -> Scalars:
        """Scalars of a batch that is not trained on; ``loss`` among them."""
        raise TypeError(f"{type(self).__name__} has no validation_step")

    def panels(self, batch: Batch) -> dict[str, np.ndarray]:
        """Images (n, h, w, 1 or 3) in 0…1 that show the state after an epoch, by title."""
        return {}


def weight_decay(network: keras.Model) -> tf.Tensor:
    """The network's regularisation losses of one replica.

    The gradients of all replicas are averaged, so each carries the whole.
    """
    losses = network.losses
    return tf.add_n([tf.cast(loss, tf.float32) for loss in losses]) if losses else tf.constant(0.0)


def minimise(
    tape: tf.GradientTape,
    loss: tf.Tensor,
    optimizer: keras.optimizers.Optimizer,
    variables: Sequence[Any],
) -> None:
    """Updates variables by the gradient of a loss recorded on ``tape``.

    Under float16 the loss must have been scaled within the tape's block: see :func:`scaled`.
    """
    values = [getattr(variable, "value", variable) for variable in variables]
    reduce_and_apply(optimizer, tape.gradient(loss, values), variables)


def scaled(optimizer: keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """The loss as the optimizer wants it differentiated (scaled up under float16)."""
    return optimizer.scale_loss(loss)


def reduce_and_apply(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence[tf.Tensor], variables: Sequence[Any]
) -> None:
    """Averages gradients over the replicas, then clips and applies them.

    Keras clips each replica's gradients and sums afterwards, which is another update than that of
    one device on the whole batch. So they are averaged here first; the sum that Keras still takes
    is one of equal parts.
    """
    replicas = tf.distribute.get_replica_context()
    count = replicas.num_replicas_in_sync
    if count == 1:
        optimizer.apply(gradients, variables)
        return
    mean = replicas.all_reduce(tf.distribute.ReduceOp.MEAN, list(gradients))
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if inner.clipnorm:
        # Here, for Keras would clip the n-th part that it is given.
        mean = [tf.clip_by_norm(gradient, inner.clipnorm) for gradient in mean]
    optimizer.apply([gradient / count for gradient in mean], variables)
