"""TensorFlow graphs of an objective's steps, on one device or several."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from phire.errors import InputError
from phire.training.objective import Batch, Objective, Scalars, scalars_apart
from phire.training.weight_averaging import WeightAverage

VALIDATION = 0x5EED_0000
"""Bits that make the seeds of validation differ from those of training steps."""
SHARED_OUT = tf.distribute.ReduceOp.MEAN


@dataclasses.dataclass(frozen=True)
class Taken:
    """Results of several training steps.

    Attributes:
        steps: Number of steps taken; a step with a non-finite scalar is the last one.
        sums: Scalars by name, summed over the steps and averaged over the replicas.
        broken: Names of the scalars that were not finite.
    """

    steps: int
    sums: dict[str, float]
    broken: tuple[str, ...]


class Stepper:
    """Compiled training and validation steps of an objective under a distribution strategy.

    Args:
        objective: Objective to train.
        strategy: Strategy whose scope built the objective.
        jit: Compile the step with XLA.
        seed: Seed of the random numbers drawn in the steps.
        average: EMA to update after every step; None for no EMA.

    Raises:
        InputError: ``jit`` is set for several devices; XLA cannot compile all their reductions.
    """

    def __init__(
        self,
        objective: Objective,
        strategy: tf.distribute.Strategy,
        jit: bool,
        seed: int = 0,
        average: WeightAverage | None = None,
    ) -> None:
        if jit and strategy.num_replicas_in_sync > 1:
            raise InputError("--jit works on one device: leave it out, or choose --devices cpu.")
        self.objective = objective
        self.strategy = strategy
        self.jit = jit
        self.seed = seed
        self.average = average
        self.retrace()

    def retrace(
        self,
        factor: Callable[[tf.Tensor], tf.Tensor] | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        """Discards the graphs, to be traced again after the objective or the rates have changed.

        Args:
            factor: Factor of the learning rates as a function of the phase's step; None for 1.
            rates: Learning rates to be multiplied by ``factor``, by the optimizer's name.
        """
        self._names: list[str] = []
        one = self._one_step(factor, rates or {})

        def several(
            iterator: Iterator[Batch], first: tf.Tensor, count: tf.Tensor, within: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            # Scalars are summed on the device, so several steps return to Python only once.
            sums = one(iterator, first, within)
            taken = tf.constant(1)
            while taken < count and tf.reduce_all(tf.math.is_finite(sums)):
                sums += one(iterator, first + taken, within + taken)
                taken += 1
            return sums, taken

        def validation_step(batch: Batch, number: tf.Tensor) -> Scalars:
            with self._seeded(tf.stack([self.seed ^ VALIDATION, number])):
                return self.objective.validation_step(batch)

        self._several = tf.function(several, reduce_retracing=True)
        self._validation_step = tf.function(validation_step)

    def _one_step(
        self, factor: Callable[[tf.Tensor], tf.Tensor] | None, rates: Mapping[str, float]
    ) -> Callable[[Iterator[Batch], tf.Tensor, tf.Tensor], tf.Tensor]:
        """Returns a function that takes one step on all replicas and returns its scalars, stacked.

        Its arguments are the iterator of batches, and the number of the step in the training and
        in the phase.

        Args:
            factor, rates: See :meth:`retrace`.
        """
        graph = tf.function(self._replica_step, jit_compile=self.jit or None)
        further_steps = [] if self._alone else list(self.objective.further_steps())

        def one(iterator: Iterator[Batch], number: tf.Tensor, within: tf.Tensor) -> tf.Tensor:
            batch = next(iterator)
            if factor is not None:
                for name, rate in rates.items():
                    now = rate * factor(tf.cast(within, tf.float32))
                    self.objective.optimizers[name].learning_rate.assign(now)
            values, shared = self.strategy.run(graph, args=(batch, number))
            values = self.strategy.experimental_local_results(values)[0]
            for further in further_steps:
                scalars = dict(zip(self._names, tf.unstack(values, num=len(self._names))))
                if further.condition(scalars):
                    self.strategy.run(further.step, args=({**batch, **shared},))
            if self.average is not None:
                self.strategy.run(self.average.update, args=(number,))
            return values

        return one

    def _replica_step(self, batch: Batch, number: tf.Tensor) -> tuple[tf.Tensor, Batch]:
        """Takes one replica's part of a step; returns stacked scalars, and arrays by name."""
        update = self.objective.whole_step if self._alone else self.objective.train_step
        replicas = tf.distribute.get_replica_context()
        replica = tf.cast(replicas.replica_id_in_sync_group, tf.int32)
        # Each replica draws its own random numbers.
        with self._seeded(tf.stack([self.seed + 7919 * replica, number])):
            scalars, shared = scalars_apart(update(batch))
        self._names[:] = scalars
        values = tf.stack([tf.cast(value, tf.float32) for value in scalars.values()])
        if replicas.num_replicas_in_sync > 1:
            # One reduction for all scalars.
            values = replicas.all_reduce(SHARED_OUT, values)
        return values, shared

    @property
    def _alone(self) -> bool:
        return self.strategy.num_replicas_in_sync == 1

    @contextlib.contextmanager
    def _seeded(self, seed: tf.Tensor) -> Iterator[None]:
        """Sets the seed of the objective's random numbers within the block."""
        self.objective.step_seed = seed
        try:
            yield
        finally:
            self.objective.step_seed = None

    def iterator(self, batches: Callable[[tuple[int, int]], tf.data.Dataset]) -> Iterator[Batch]:
        """Returns an iterator over batches that are split over the replicas.

        Args:
            batches: ``batches((workers, worker))`` returns a worker's part of every global batch.
        """
        if self.strategy.num_replicas_in_sync == 1:
            return iter(batches((1, 0)))

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            part = batches((context.num_input_pipelines, context.input_pipeline_id))
            local = self.strategy.num_replicas_in_sync // context.num_input_pipelines
            if local == 1:
                return part

            def split(batch: Batch) -> tf.data.Dataset:
                return tf.data.Dataset.from_tensor_slices(
                    {
                        name: tf.reshape(value, [local, -1, *value.shape[1:]])
                        for name, value in batch.items()
                    }
                )

            return part.flat_map(split)

        return iter(self.strategy.distribute_datasets_from_function(of_worker))

    def train(self, iterator: Iterator[Batch], first: int, count: int, within: int = 0) -> Taken:
        """Takes ``count`` steps; stops early if a scalar is not finite.

        Args:
            iterator: Iterator from :meth:`iterator`.
            first: Number of the first of these steps, counted from the beginning of the training.
            count: Number of steps.
            within: Number of the first of these steps, counted from the beginning of the phase.
        """
        sums, taken = self._several(
            iterator, tf.constant(first), tf.constant(count), tf.constant(within)
        )
        named = dict(zip(self._names, map(float, sums.numpy())))
        broken = tuple(name for name, value in named.items() if not np.isfinite(value))
        return Taken(int(taken), named, broken)

    def validate(
        self,
        batches: Callable[[tuple[int, int]], tf.data.Dataset],
        stop: Callable[[], bool] = lambda: False,
    ) -> tuple[dict[str, float], dict[str, np.ndarray]] | None:
        """Computes the validation scores over all batches.

        Every process validates on all batches, so all get the same scores. Random numbers depend on
        the seed and the number of the batch alone, so all epochs are scored on the same draws.

        Args:
            batches: See :meth:`iterator`.
            stop: Function called between batches; True ends the validation.

        Returns:
            Means of the scalars by name, weighted by the sizes of the batches, and sums of the
            tensors of higher rank by name; None if ``stop`` ended the validation.
        """
        sums: dict[str, Any] = {}
        totals: dict[str, Any] = {}
        count = 0
        for number, batch in enumerate(batches((1, 0))):
            if stop():
                return None
            size = int(next(iter(batch.values())).shape[0])
            count += size
            scalars, others = scalars_apart(self._validation_step(batch, tf.constant(number)))
            for name, value in scalars.items():
                sums[name] = sums.get(name, 0.0) + size * tf.cast(value, tf.float32)
            for name, value in others.items():
                totals[name] = totals.get(name, 0) + value
        return (
            {name: float(value) / max(count, 1) for name, value in sums.items()},
            {name: value.numpy() for name, value in totals.items()},
        )

    def unite(self) -> None:
        """Averages the batch-normalization statistics, which each replica updates on its own."""
        if self.strategy.num_replicas_in_sync == 1:
            return
        variables = [
            variable.value
            for network in self.objective.networks.values()
            for variable in network.non_trainable_variables
            if tf.as_dtype(variable.dtype).is_floating
        ]
        if not variables:
            return

        def average() -> None:
            means = tf.distribute.get_replica_context().all_reduce(
                SHARED_OUT, [tf.identity(variable) for variable in variables]
            )
            for variable, mean in zip(variables, means):
                variable.assign(mean)

        tf.function(lambda: self.strategy.run(average))()
