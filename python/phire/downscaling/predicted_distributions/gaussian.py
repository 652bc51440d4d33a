"""Gaussian distribution of normalised values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special
import tensorflow as tf

from phire.downscaling.predicted_distributions.registry import distribution
from phire.errors import InputError
from phire.fields.normalization import Normalization

NODES = 32
"""Nodes of the Gauss–Hermite quadrature of the mean under nonlinear normalizations."""


@distribution("gaussian")
class Gaussian:
    """Normal distribution of normalised values; the network predicts mean and standard deviation.

    Under nonlinear normalizations (``log:EPS``, ``sqrt``) physical values are not normal. Their
    mean is then computed by Gauss–Hermite quadrature.

    Args:
        normalization: Normalization of the targets.
        least: Lower bound of the standard deviation of normalised values.

    Raises:
        InputError: ``least`` is not positive.
    """

    parameters = 2

    def __init__(self, normalization: Normalization, *, least: float = 1e-3) -> None:
        if not least > 0:
            raise InputError(f"distribution gaussian: least={least:g} must be positive.")
        self.normalization = normalization
        self.least = least

    def loss(self, truth: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the negative log density of each normalised value."""
        mean, raw = tf.split(outputs, 2, axis=-1)
        deviation = tf.nn.softplus(raw) + self.least
        score = (truth - mean) / deviation
        return 0.5 * tf.square(score) + tf.math.log(deviation) + 0.5 * math.log(2 * math.pi)

    def center(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the mean of normalised values."""
        return tf.split(outputs, 2, axis=-1)[0]

    def mean(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the mean of physical values, (…, C)."""
        mean, deviation = self._parameters(outputs)
        if self.normalization.is_linear:
            return self.normalization.invert(mean)
        nodes, weights = np.polynomial.hermite.hermgauss(NODES)
        return sum(
            weight / math.sqrt(math.pi)
            * self.normalization.invert(mean + math.sqrt(2) * node * deviation)
            for node, weight in zip(nodes, weights)
        )  # fmt: skip

    def quantile(self, outputs: np.ndarray, level: Any) -> np.ndarray:
        """Returns quantiles of physical values, (…, C)."""
        # Normalizations are monotonic, so quantiles can be denormalized one by one.
        mean, deviation = self._parameters(outputs)
        return self.normalization.invert(mean + deviation * scipy.special.ndtri(level))

    def _parameters(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and standard deviation of normalised values, each (…, C)."""
        mean, raw = np.split(np.float64(outputs), 2, axis=-1)
        return mean, np.logaddexp(0, raw) + self.least
