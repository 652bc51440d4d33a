"""Exponential moving average (EMA) of a network's weights while it trains.

Keras's optimizers average their own trainable variables at a constant decay; here the decay rises
with the steps, statistics of batch normalization are averaged too, and validation uses the
averages. ``tests/training/test_weight_averaging.py`` checks it against
``tf.train.ExponentialMovingAverage``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from phire.errors import InputError


class WeightAverage:
    """EMA of networks' weights; validation and the finished run use the averages.

    After step n (from 1) the average becomes d·average + (1 − d)·weights with
    d = min(decay, (1 + n) / (10 + n)), so that the first, random weights are soon forgotten (as in
    ``tf.train.ExponentialMovingAverage`` with ``num_updates``).

    Args:
        networks: Networks to average. Create both them and this object inside the strategy's scope.
        decay: Largest weight d of the old average in an update, such as 0.999.

    Raises:
        InputError: ``decay`` is not between 0 and 1.
    """

    def __init__(self, networks: list[keras.Model], decay: float) -> None:
        if not 0 < decay < 1:
            raise InputError(f"--ema {decay} must lie between 0 and 1.")
        self.decay = decay
        self._weights = [weight for network in networks for weight in network.weights]
        self._averages = [
            # All replicas compute the same update, so nothing need be reduced.
            keras.Variable(
                tf.identity(weight.value), dtype=weight.dtype, trainable=False, name=f"average_{i}",
                aggregation="only_first_replica",
            )
            for i, weight in enumerate(self._weights)
        ]  # fmt: skip

    @property
    def variables(self) -> list[keras.Variable]:
        """Variables that hold the averages, to be saved in checkpoints."""
        return self._averages

    def update(self, step: tf.Tensor) -> None:
        """Moves the averages towards the present weights, after a training step.

        Args:
            step: Number of that step, from 0.
        """
        n = tf.cast(step, tf.float32) + 1
        decay = tf.minimum(self.decay, (1 + n) / (10 + n))
        for average, weight in zip(self._averages, self._weights):
            if not tf.as_dtype(weight.dtype).is_floating:  # seeds and counters: not averaged
                average.assign(weight.value)
                continue
            d = tf.cast(decay, average.dtype)
            average.assign(d * average.value + (1 - d) * tf.cast(weight.value, average.dtype))

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Replaces the networks' weights by the averages within the block; restores them after."""
        trained = [tf.identity(weight.value) for weight in self._weights]
        for average, weight in zip(self._averages, self._weights):
            weight.assign(average.value)
        try:
            yield
        finally:
            for value, weight in zip(trained, self._weights):
                weight.assign(value)
