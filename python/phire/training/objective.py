"""Objectives: the networks, optimizers and steps that the training loop runs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from phire.training.gradient_reduction import reduce_and_apply

Batch = Mapping[str, tf.Tensor]
Scalars = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class FurtherStep:
    """An update that follows a train step where a condition holds.

    Attributes:
        condition: Of the train step's scalars (means over the replicas), a boolean tensor.
        step: Takes the step's batch, with what else the train step has returned for it.
    """

    condition: Callable[[Scalars], tf.Tensor]
    step: Callable[[Batch], None]


def _taken(step: Callable[[Batch], None], batch: Batch) -> tf.Tensor:
    step(batch)
    return tf.constant(True)


class Objective:
    """Networks and optimizers of a training, with its training and validation step.

    A subclass builds its networks and optimizers in ``__init__`` (the loop calls it inside the
    strategy's scope) and gives :meth:`train_step` and :meth:`validation_step`. These are traced
    into graphs: they must be written in tensors, and every scalar they return is averaged over the
    epoch.

    Attributes:
        networks: The networks by name; all are kept in checkpoints.
        optimizers: The optimizers by name, built.
        exported: Names of the networks that a run keeps as ``networks/NAME.keras``.
        step_seed: (2,) int32, the seed of what this step draws; set by the loop around each step.
    """

    networks: dict[str, keras.Model]
    optimizers: dict[str, keras.optimizers.Optimizer]
    exported: tuple[str, ...]
    step_seed: tf.Tensor | None = None

    def begin(self, phase: str) -> None:
        """Prepares a phase; called before its first step. The steps are traced again after it."""

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates the networks by one batch; returns scalars, ``loss`` among them.

        Tensors of higher rank join the batch for :meth:`further_steps`, which then need not compute
        them again.
        """
        raise TypeError(f"{type(self).__name__} has no train_step")

    def further_steps(self) -> Sequence[FurtherStep]:
        """Further updates by the same batch, each taken where its condition holds.

        They are apart from :meth:`train_step`, for on several devices TensorFlow reduces no
        gradients within a condition that the replicas compute.
        """
        return ()

    def whole_step(self, batch: Batch) -> Scalars:
        """:meth:`train_step` and the further steps that are due, on one device."""
        scalars, shared = scalars_apart(self.train_step(batch))
        for further in self.further_steps():
            tf.cond(
                further.condition(scalars),
                functools.partial(_taken, further.step, {**batch, **shared}),
                lambda: tf.constant(False),
            )
        return scalars

    def validation_step(self, batch: Batch) -> Scalars:
        """Computes the scalars of a held-out batch, ``loss`` among them.

        Tensors of higher rank (a confusion matrix) are summed over the batches, for :meth:`panels`.
        """
        raise TypeError(f"{type(self).__name__} has no validation_step")

    def panels(self, batch: Batch, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns images (n, h, w, 1 or 3) in 0…1 for TensorBoard after an epoch, by title.

        Args:
            batch: The first validation batch.
            totals: What :meth:`validation_step` returned beside scalars, summed.
        """
        return {}

    def random_seed(self) -> tf.Tensor:
        """Returns the seed (2,) int32 of a step's random numbers, for ``tf.random.stateless_*``.

        Within the loop it is made of the training's seed, the replica and the number of the step
        (in validation: of the batch), so that a resumed training draws what an uninterrupted one
        would have drawn.
        """
        if self.step_seed is None:
            return tf.random.uniform((2,), maxval=2**31 - 1, dtype=tf.int32)
        return self.step_seed


def scalars_apart(found: Mapping[str, tf.Tensor]) -> tuple[Scalars, dict[str, tf.Tensor]]:
    """Splits the results of a step into scalars and tensors of higher rank."""
    scalars = {name: value for name, value in found.items() if value.shape.rank == 0}
    return scalars, {name: value for name, value in found.items() if name not in scalars}


def weight_decay(network: keras.Model) -> tf.Tensor:
    """Returns the network's regularisation losses of one replica.

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

    Args:
        tape: Recorded the loss; not persistent, or used again by the caller.
        loss: Scalar of one replica. Under float16 it must have been scaled within the tape's
            block: see :func:`scaled`.
        optimizer: Clips and applies the gradients.
        variables: Trainable variables of the optimizer.
    """
    values = [getattr(variable, "value", variable) for variable in variables]
    reduce_and_apply(optimizer, tape.gradient(loss, values), variables)


def scaled(optimizer: keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """Scales the loss up under float16, so that small gradients do not underflow."""
    return optimizer.scale_loss(loss)


def learning_rate_of(optimizer: keras.optimizers.Optimizer) -> float:
    """Returns an optimizer's current learning rate, under any strategy."""
    rate = optimizer.learning_rate
    return float(tf.convert_to_tensor(getattr(rate, "value", rate)))
