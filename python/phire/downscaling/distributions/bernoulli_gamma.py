"""Bernoulli–gamma distribution of rain: dry or wet, and gamma-distributed where wet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import scipy.special
import tensorflow as tf

from phire.downscaling.distributions.registry import distribution
from phire.errors import InputError
from phire.fields.normalization import Normalization

LEAST = 1e-3
"""Least shape and scale."""


@distribution("bernoulli-gamma")
class BernoulliGamma:
    """Mixed distribution of physical values that are 0 or positive, such as rain.

    A value is wet with probability p, and then gamma-distributed with shape α and scale β; the
    network gives the logit of p, and α and β by softplus. Source: Cannon 2008,
    doi:10.1175/2008JHM960.1; Baño-Medina et al. 2020, doi:10.5194/gmd-13-2109-2020.

    Args:
        normalization: Normalization of the targets, any kind; the distribution is of the physical
            values in units of their standard deviation.
        threshold: Least physical value that counts as wet, one a channel or one for all; by default
            a hundredth of the standard deviation.

    Raises:
        InputError: A threshold is not positive, or a channel's mean is negative.
    """

    parameters = 3

    def __init__(
        self, normalization: Normalization, *, threshold: float | Sequence[float] | None = None
    ) -> None:
        count = len(normalization.channels)
        deviation = np.ones(count) if normalization.std is None else np.asarray(normalization.std)
        given = 0.01 * deviation if threshold is None else threshold
        if np.shape(given) not in ((), (count,)) or np.min(given) <= 0:
            raise InputError(
                f"distribution bernoulli-gamma: threshold={threshold} must be positive, one number "
                f"or one for each of {', '.join(normalization.channels)}."
            )
        if normalization.mean is not None and min(normalization.mean) < 0:
            channel = normalization.channels[int(np.argmin(normalization.mean))]
            raise InputError(
                "distribution bernoulli-gamma is of values from 0 on, such as rain, but "
                f"{channel} has the mean {min(normalization.mean):g}: choose another distribution."
            )
        self.normalization = normalization
        self.unit = np.float32(deviation)
        self.threshold = np.float32(np.broadcast_to(given, count) / deviation)

    def loss(self, truth: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns minus the log likelihood: log(1 − p) where dry, log p + log density where wet."""
        amount = tf.cast(self.normalization.invert(truth, keras.ops), tf.float32) / self.unit
        wet = amount > self.threshold
        amount = tf.where(wet, amount, 1.0)  # so that no logarithm is of 0
        logit, shape, scale = tf.split(outputs, 3, axis=-1)
        shape, scale = (tf.nn.softplus(x) + LEAST for x in (shape, scale))
        log_density = (
            (shape - 1) * tf.math.log(amount) - amount / scale
            - tf.math.lgamma(shape) - shape * tf.math.log(scale)
        )  # fmt: skip
        return tf.where(wet, tf.nn.softplus(-logit) - log_density, tf.nn.softplus(logit))

    def center(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the mean of physical values, normalised."""
        logit, shape, scale = tf.split(outputs, 3, axis=-1)
        shape, scale = (tf.nn.softplus(x) + LEAST for x in (shape, scale))
        return self.normalization.apply(tf.sigmoid(logit) * shape * scale * self.unit, keras.ops)

    def mean(self, outputs: np.ndarray) -> np.ndarray:
        """Returns p·α·β in physical units."""
        wet, shape, scale = self._parameters(outputs)
        return wet * shape * scale * self.unit

    def quantile(self, outputs: np.ndarray, level: Any) -> np.ndarray:
        """Returns quantiles of physical values; 0 below the level 1 − p."""
        wet, shape, scale = self._parameters(outputs)
        within = np.clip((level - (1 - wet)) / wet, 0, 1)
        return scipy.special.gammaincinv(shape, within) * scale * self.unit

    def _parameters(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        logit, shape, scale = np.split(np.float64(outputs), 3, axis=-1)
        shape, scale = (np.logaddexp(0, x) + LEAST for x in (shape, scale))
        return np.maximum(scipy.special.expit(logit), 1e-12), shape, scale
