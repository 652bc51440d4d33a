"""Running an objective's steps inside graphs, on whatever devices there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from phire.training.objective import Batch, Objective, Scalars


def not_finite(scalars: Scalars) -> tf.Tensor:
    """Whether any of the scalars is NaN or infinite."""
    values = tf.stack([tf.cast(value, tf.float32) for value in scalars.values()])
    return tf.reduce_any(~tf.math.is_finite(values))


class Stepper:
    """Steps of an objective under a strategy.

    Args:
        objective: What is trained.
        strategy: Where.
        jit: Compile the step with XLA.
    """

    def __init__(self, objective: Objective, strategy: tf.distribute.Strategy, jit: bool) -> None:
        self.objective = objective
        self.strategy = strategy
        self.jit = jit
        self.retrace()

    def retrace(self) -> None:
        """Forgets the graphs: the objective does something else from now on."""
        train_step = tf.function(self.objective.train_step, jit_compile=self.jit or None)

        def one(iterator: Iterator[Batch]) -> Scalars:
            scalars = self.strategy.run(train_step, args=(next(iterator),))
            return {
                name: self.strategy.reduce(
                    tf.distribute.ReduceOp.MEAN, tf.nest.map_structure(_float32, value), axis=None
                )
                for name, value in scalars.items()
            }

        def several(iterator: Iterator[Batch], count: tf.Tensor) -> tuple[Scalars, tf.Tensor]:
            # The sums stay on the device; only they and the first bad step come back to Python.
            sums = one(iterator)
            bad = tf.where(not_finite(sums), 0, -1)
            for i in tf.range(1, count):
                scalars = one(iterator)
                bad = tf.where((bad < 0) & not_finite(scalars), i, bad)
                sums = {name: sums[name] + scalars[name] for name in sums}
            return sums, bad

        self._several = tf.function(several, reduce_retracing=True)
        self._validation_step = tf.function(self.objective.validation_step)

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

    def train(self, iterator: Iterator[Batch], count: int) -> tuple[dict[str, float], int | None]:
        """Takes ``count`` steps.

        Returns:
            The sums of the scalars over the steps, and the first step (from 0) with one that is
            not finite, or None.
        """
        sums, bad = self._several(iterator, tf.constant(count))
        bad = int(bad)
        return {name: float(value) for name, value in sums.items()}, None if bad < 0 else bad

    def validate(self, batches: Callable[[tuple[int, int]], tf.data.Dataset]) -> dict[str, float]:
        """Averages of the validation scalars, each batch by its size.

        Every process validates on everything: the scores are the same on all.
        """
        sums: dict[str, Any] = {}
        count = 0
        for batch in batches((1, 0)):
            size = int(next(iter(batch.values())).shape[0])
            count += size
            for name, value in self._validation_step(batch).items():
                sums[name] = sums.get(name, 0.0) + size * value
        return {name: float(value) / max(count, 1) for name, value in sums.items()}


def _float32(value: tf.Tensor) -> tf.Tensor:
    return tf.cast(value, tf.float32)
