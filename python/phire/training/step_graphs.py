"""Training steps of an objective in TensorFlow graphs, on one device or many."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from phire.errors import InputError
from phire.training.averaging import WeightAverage
from phire.training.objective import Batch, Objective, Scalars, scalars_apart

VALIDATION = 0x5EED_0000
"""Keeps random numbers of validation apart from those of the training's first steps."""
SHARED_OUT = tf.distribute.ReduceOp.MEAN


@dataclasses.dataclass(frozen=True)
class Taken:
    """Results of several steps.

    Attributes:
        steps: How many were taken; the last one is the first that was not finite, if any.
        sums: The scalars, summed over the steps and averaged over the replicas.
        broken: Names of the scalars that were not finite.
    """

    steps: int
    sums: dict[str, float]
    broken: tuple[str, ...]


class Stepper:
    """Steps of an objective under a strategy.

    Args:
        objective: What is trained.
        strategy: Where.
        jit: Compile the step with XLA.
        seed: Seed of what the steps draw.
        average: EMA that every step updates; None for none.

    Raises:
        InputError: ``jit`` on several devices, whose reductions XLA cannot compile everywhere.
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
        """Forgets the graphs: the objective does something else from now on.

        Args:
            factor: Factor of the learning rates by the step; None for none.
            rates: Learning rates, by the optimizer's name, that it multiplies.
        """
        self._names: list[str] = []
        one = self._one_step(factor, rates or {})

        def several(
            iterator: Iterator[Batch], first: tf.Tensor, count: tf.Tensor, within: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            # The sums stay on the device; only they and the number of steps come back to Python.
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
        """Returns ``one(iterator, number, within)``: a step on all replicas, to its scalars.

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
        """Takes one replica's part of a step; returns scalars and shared arrays."""
        update = self.objective.whole_step if self._alone else self.objective.train_step
        replicas = tf.distribute.get_replica_context()
        replica = tf.cast(replicas.replica_id_in_sync_group, tf.int32)
        with self._seeded(tf.stack([self.seed + 7919 * replica, number])):
            scalars, shared = scalars_apart(update(batch))
        self._names[:] = scalars
        values = tf.stack([tf.cast(value, tf.float32) for value in scalars.values()])
        if replicas.num_replicas_in_sync > 1:
            # One reduction for all of them.
            values = replicas.all_reduce(SHARED_OUT, values)
        return values, shared

    @property
    def _alone(self) -> bool:
        return self.strategy.num_replicas_in_sync == 1

    @contextlib.contextmanager
    def _seeded(self, seed: tf.Tensor) -> Iterator[None]:
        """Within the block, the objective draws by this seed."""
        self.objective.step_seed = seed
        try:
            yield
        finally:
            self.objective.step_seed = None

    def iterator(self, batches: Callable[[tuple[int, int]], tf.data.Dataset]) -> Iterator[Batch]:
        """Iterates over a dataset, split over the replicas.

        Args:
            batches: ``batches((workers, worker))`` gives a worker's part of every global batch.
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
        """Takes ``count`` steps, or fewer where a scalar is not finite.

        Args:
            iterator: Of :meth:`iterator`.
            first: Number of the first of these steps, from the beginning of the training.
            count: How many.
            within: Number of the first of them from the beginning of the phase.
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
        """Averages of the validation scalars, each batch by its size, and sums of all else.

        Every process validates on everything: the scores are the same on all. What the objective
        draws is a function of the seed and of the batch's number, so that all epochs are judged by
        the same random numbers, and a resumed training judges them alike.

        Args:
            batches: As for :meth:`iterator`.
            stop: Asked between batches.

        Returns:
            The averages and the sums; None if it was stopped.
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
        """Averages over the replicas what they keep each for itself: the batch statistics."""
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
