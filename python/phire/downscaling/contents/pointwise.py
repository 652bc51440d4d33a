"""Pointwise content losses: mse, mae, rmse, huber, quantile, asymmetric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from phire.downscaling.contents.registry import Loss, content
from phire.downscaling.contents.weighting import as_fields, mean
from phire.downscaling.generator_task import Task
from phire.errors import InputError

TINY = 1e-12
"""Added before a square root is taken, because its gradient is infinite at 0."""


def mse(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
    """Returns the weighted mean squared error."""
    return mean(tf.square(generated - truth), weights)


def mae(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
    """Returns the weighted mean absolute error."""
    return mean(tf.abs(generated - truth), weights)


@content("mse")
def mean_squared_error(task: Task) -> Loss:
    """Mean squared error of normalised values."""
    return mse


@content("mae")
def mean_absolute_error(task: Task) -> Loss:
    """Mean absolute error of normalised values."""
    return mae


@content("rmse")
def root_mean_squared_error(task: Task) -> Loss:
    """Root mean squared error of each field and channel, averaged over fields and channels."""

    def rmse(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
        squares, weights = as_fields(tf.square(generated - truth), weights)
        if weights is None:
            return tf.reduce_mean(tf.sqrt(tf.reduce_mean(squares, axis=(1, 2)) + TINY))
        weights = tf.broadcast_to(tf.cast(weights, squares.dtype), tf.shape(squares))
        total = tf.reduce_sum(weights, axis=(1, 2))
        means = tf.math.divide_no_nan(tf.reduce_sum(squares * weights, axis=(1, 2)), total)
        return mean(tf.sqrt(means + TINY), total)

    return rmse


@content("huber")
def huber_loss(task: Task, *, delta: float = 1.0) -> Loss:
    """Huber loss: e²/2 for errors |e| ≤ delta, delta·(|e| − delta/2) for larger ones.

    Source: Huber 1964, doi:10.1214/aoms/1177703732.

    Args:
        task: Network and records.
        delta: Error of normalised values above which the loss is linear.

    Raises:
        InputError: ``delta`` is not positive.
    """
    if not delta > 0:
        raise InputError(f"content huber: delta={delta:g} must be positive.")

    def huber(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
        error = tf.abs(generated - truth)
        linear = delta * (error - 0.5 * delta)
        return mean(tf.where(error < delta, 0.5 * tf.square(error), linear), weights)

    return huber


@content("quantile")
def quantile_loss(task: Task, *, level: float = 0.5) -> Loss:
    """Pinball loss max(q·e, (q − 1)·e) with e = truth − generated, for the quantile of level q.

    To predict several quantiles by one network, choose the objective
    ``likelihood,distribution=quantiles``. Source: Koenker and Bassett 1978, doi:10.2307/1913643.

    Args:
        task: Network and records.
        level: Level q between 0 and 1; at 0.5 the loss is half the mean absolute error.

    Raises:
        InputError: ``level`` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"content quantile: level={level:g} must lie between 0 and 1.")

    def quantile(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
        return mean(pinball(truth - generated, level), weights)

    return quantile


def pinball(error: Any, level: Any) -> Any:
    """Returns the pinball loss of errors (truth − quantile) at a quantile level."""
    return tf.maximum(level * error, (level - 1) * error)


@content("asymmetric")
def asymmetric_loss(
    task: Task, *, weight: float = 1.0, power: float = 2.0,
    shape: Sequence[float] | None = None, scale: Sequence[float] | None = None,
) -> Loss:  # fmt: skip
    """Absolute error with an extra penalty for underestimates of large values, for precipitation.

    The loss is |y − x| + weight · γ(y)^power · max(0, y − x) for normalised truth y and generated
    x, where γ is the distribution function of a gamma distribution at the physical truth. Source:
    Doury et al. 2024, doi:10.1007/s00382-024-07350-8, who fit a distribution to each grid point.

    Args:
        task: Network and records; channels must not be negative.
        weight: Weight of the extra penalty.
        power: Power of γ.
        shape, scale: Parameters of the gamma distribution, one per channel or one for all, with the
            scale in the channel's unit. By default they follow from the mean and standard deviation
            in the statistics of the records.

    Raises:
        InputError: ``weight`` or ``power`` is not positive, only one of ``shape`` and ``scale`` is
            given, or both are missing and the records have no suitable statistics.
    """
    if not (weight > 0 and power > 0):
        raise InputError(
            f"content asymmetric: weight={weight:g} and power={power:g} must be positive."
        )
    normalization = task.normalization
    shape, scale = _gamma_parameters(task, shape, scale)

    def asymmetric(truth: tf.Tensor, generated: tf.Tensor, weights: Any = None) -> tf.Tensor:
        physical = tf.cast(normalization.invert(truth, keras.ops), tf.float32)
        gamma = tf.math.igamma(shape, tf.maximum(physical, 0) / scale)
        below = tf.maximum(truth - generated, 0)
        loss = tf.abs(truth - generated) + weight * tf.cast(gamma**power, below.dtype) * below
        return mean(loss, weights)

    return asymmetric


def _gamma_parameters(task: Task, shape: Any, scale: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns shape and scale, both (C,): the given ones, or those of the method of moments."""
    if (shape is None) != (scale is None):
        raise InputError("content asymmetric: give both shape and scale, or neither.")
    means, deviations = task.normalization.mean, task.normalization.std
    if shape is None:
        if means is None or deviations is None or min(means) <= 0:
            raise InputError(
                "content asymmetric needs statistics of the records with a positive mean, such as "
                "those of precipitation: give shape and scale of a gamma distribution."
            )
        mean, variance = np.asarray(means), np.square(deviations)
        shape, scale = mean**2 / variance, variance / mean
    parameters = [np.float32(np.broadcast_to(x, len(task.channels))) for x in (shape, scale)]
    if min(map(np.min, parameters)) <= 0:
        raise InputError("content asymmetric: shape and scale must be positive.")
    return parameters[0], parameters[1]
