"""Base class of objectives, and the functions with which their steps update weights."""

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
    """Conditional update after a train step, such as a second update of the discriminator.

    Attributes:
        condition: Function of the train step's scalars (means over the replicas) that returns a
            boolean tensor: True to take the step.
        step: Function of the batch, to which the non-scalar results of the train step are added.
    """

    condition: Callable[[Scalars], tf.Tensor]
    step: Callable[[Batch], None]


def _taken(step: Callable[[Batch], None], batch: Batch) -> tf.Tensor:
    """Takes a step; returns True, as both branches of tf.cond must return the same type."""
    step(batch)
    return tf.constant(True)


class Objective:
    """Networks and optimizers of a training, with its training and validation steps.

    A subclass builds its networks and optimizers in ``__init__``, which the loop calls inside the
    strategy's scope, and implements :meth:`train_step` and :meth:`validation_step`. Both are traced
    into graphs, so they must consist of tensor operations; the loop averages the scalars that they
    return over the epoch.

    Attributes:
        networks: Networks by name; checkpoints save all of them.
        optimizers: Built optimizers by name.
        exported: Names of the networks that the run saves as ``networks/NAME.keras``.
        step_seed: Seed of this step's random numbers, (2,) int32; the loop sets it for each step.
    """

    networks: dict[str, keras.Model]
    optimizers: dict[str, keras.optimizers.Optimizer]
    exported: tuple[str, ...]
    step_seed: tf.Tensor | None = None

    def begin(self, phase: str) -> None:
        """Prepares a phase; called before its first step, after which the steps are traced again.

        Args:
            phase: Name of the phase.
        """

    def train_step(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Updates the networks by one batch.

        Returns:
            Scalars by name, ``loss`` among them. Tensors of higher rank are added to the batch of
            :meth:`further_steps`, which can then reuse them.
        """
        raise TypeError(f"{type(self).__name__} has no train_step")

    def further_steps(self) -> Sequence[FurtherStep]:
        """Returns conditional updates that follow each train step on the same batch.

        They cannot be part of :meth:`train_step`: on several devices, TensorFlow cannot reduce
        gradients inside a ``tf.cond`` that each replica evaluates.
        """
        return ()

    def whole_step(self, batch: Batch) -> Scalars:
        """Takes a train step and the further steps whose conditions hold, on one device."""
        scalars, shared = scalars_apart(self.train_step(batch))
        for further in self.further_steps():
            tf.cond(
                further.condition(scalars),
                functools.partial(_taken, further.step, {**batch, **shared}),
                lambda: tf.constant(False),
            )
        return scalars

    def validation_step(self, batch: Batch) -> Scalars:
        """Computes scores of one validation batch.

        Returns:
            Scalars by name, ``loss`` among them. Tensors of higher rank, such as a confusion
            matrix, are summed over the batches and passed to :meth:`panels`.
        """
        raise TypeError(f"{type(self).__name__} has no validation_step")

    def panels(self, batch: Batch, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns images for TensorBoard after an epoch, by title: (n, h, w, 1 or 3) in [0, 1].

        Args:
            batch: First validation batch.
            totals: Non-scalar results of :meth:`validation_step`, summed over the batches.
        """
        return {}

    def random_seed(self) -> tf.Tensor:
        """Returns the seed of a step's random numbers, (2,) int32, for ``tf.random.stateless_*``.

        The loop derives it from the training's seed, the replica and the number of the step (in
        validation, of the batch), so a resumed training draws the same numbers as an uninterrupted
        one. Outside the loop the seed is random.
        """
        if self.step_seed is None:
            return tf.random.uniform((2,), maxval=2**31 - 1, dtype=tf.int32)
        return self.step_seed


def scalars_apart(found: Mapping[str, tf.Tensor]) -> tuple[Scalars, dict[str, tf.Tensor]]:
    """Splits the results of a step into scalars and tensors of higher rank."""
    scalars = {name: value for name, value in found.items() if value.shape.rank == 0}
    return scalars, {name: value for name, value in found.items() if name not in scalars}


def weight_decay(network: keras.Model) -> tf.Tensor:
    """Returns the sum of a network's regularisation losses, a scalar.

    Every replica adds the full sum: the gradients are averaged over the replicas, not summed.
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
        tape: Tape that recorded the loss. Its resources are released unless it is persistent.
        loss: Loss of one replica, a scalar. For float16, scale it by :func:`scaled` inside the
            tape's block.
        optimizer: Optimizer that clips and applies the gradients.
        variables: Trainable variables for which the optimizer is built.
    """
    values = [getattr(variable, "value", variable) for variable in variables]
    reduce_and_apply(optimizer, tape.gradient(loss, values), variables)


def scaled(optimizer: keras.optimizers.Optimizer, loss: tf.Tensor) -> tf.Tensor:
    """Returns the loss times the float16 loss scale, so that small gradients do not underflow."""
    return optimizer.scale_loss(loss)


def learning_rate_of(optimizer: keras.optimizers.Optimizer) -> float:
    """Returns an optimizer's current learning rate, under any strategy."""
    rate = optimizer.learning_rate
    return float(tf.convert_to_tensor(getattr(rate, "value", rate)))
