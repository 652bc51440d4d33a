"""Bernoulli–gamma distribution of precipitation: wet or dry, and gamma-distributed if wet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import scipy.special
import tensorflow as tf

from phire.downscaling.predicted_distributions.registry import distribution
from phire.errors import InputError
from phire.fields.normalization import Normalization

LEAST = 1e-3
"""Lower bound of shape and scale."""


@distribution("bernoulli-gamma")
class BernoulliGamma:
    """Mixed distribution of physical values that are 0 or positive, such as precipitation.

    A value is wet with probability p, and wet values have a gamma distribution with shape α and
    scale β. The network predicts the logit of p, and α and β before a softplus. Source: Cannon
    2008, doi:10.1175/2008JHM960.1; Baño-Medina et al. 2020, doi:10.5194/gmd-13-2109-2020.

    Args:
        normalization: Normalization of the targets, of any kind. The gamma distribution is that of
            physical values divided by their standard deviation.
        threshold: Physical value above which a value is wet, one per channel or one for all; None
            for a hundredth of the standard deviation.

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
                "distribution bernoulli-gamma needs values that are not negative, but the mean of "
                f"{channel} is {min(normalization.mean):g}: choose another distribution."
            )
        self.normalization = normalization
        self.unit = np.float32(deviation)
        self.threshold = np.float32(np.broadcast_to(given, count) / deviation)

    def loss(self, truth: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns −ln(1 − p) for dry values and −ln p − ln density for wet ones."""
        amount = tf.cast(self.normalization.invert(truth, keras.ops), tf.float32) / self.unit
        wet = amount > self.threshold
        amount = tf.where(wet, amount, 1.0)  # avoids the logarithm of 0 in the unused branch
        logit, shape, scale = tf.split(outputs, 3, axis=-1)
        shape, scale = (tf.nn.softplus(x) + LEAST for x in (shape, scale))
        log_density = (
            (shape - 1) * tf.math.log(amount) - amount / scale
            - tf.math.lgamma(shape) - shape * tf.math.log(scale)
        )  # fmt: skip
        return tf.where(wet, tf.nn.softplus(-logit) - log_density, tf.nn.softplus(logit))

    def center(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the normalised mean p·α·β of physical values."""
        logit, shape, scale = tf.split(outputs, 3, axis=-1)
        shape, scale = (tf.nn.softplus(x) + LEAST for x in (shape, scale))
        return self.normalization.apply(tf.sigmoid(logit) * shape * scale * self.unit, keras.ops)

    def mean(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the mean p·α·β in physical units."""
        wet, shape, scale = self._parameters(outputs)
        return wet * shape * scale * self.unit

    def quantile(self, outputs: np.ndarray, level: Any) -> np.ndarray:
        """Returns quantiles in physical units; those of levels below 1 − p are 0."""
        wet, shape, scale = self._parameters(outputs)
        within = np.clip((level - (1 - wet)) / wet, 0, 1)
        return scipy.special.gammaincinv(shape, within) * scale * self.unit

    def _parameters(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns p, α and β of the network's outputs, each (…, C)."""
        logit, shape, scale = np.split(np.float64(outputs), 3, axis=-1)
        shape, scale = (np.logaddexp(0, x) + LEAST for x in (shape, scale))
        return np.maximum(scipy.special.expit(logit), 1e-12), shape, scale
