"""Gaussian distribution of normalised values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special
import tensorflow as tf

from phire.downscaling.distributions.registry import distribution
from phire.errors import InputError
from phire.fields.normalization import Normalization

NODES = 32
"""Nodes of the Gauss–Hermite rule for means where the normalization is not linear."""


@distribution("gaussian")
class Gaussian:
    """Normal distribution of normalised values, of mean and standard deviation by the network.

    Under the normalizations ``log:EPS`` and ``sqrt`` the physical values are not normal (with the
    former log-normal): their mean is that of the transformed distribution, by a Gauss–Hermite rule.

    Args:
        normalization: Normalization of the targets.
        least: Least standard deviation of normalised values.
    """

    parameters = 2

    def __init__(self, normalization: Normalization, *, least: float = 1e-3) -> None:
        if not least > 0:
            raise InputError(f"distribution gaussian: least={least:g} must be positive.")
        self.normalization = normalization
        self.least = least

    def loss(self, truth: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns minus the log density of normalised values."""
        mean, raw = tf.split(outputs, 2, axis=-1)
        deviation = tf.nn.softplus(raw) + self.least
        score = (truth - mean) / deviation
        return 0.5 * tf.square(score) + tf.math.log(deviation) + 0.5 * math.log(2 * math.pi)

    def center(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the mean of normalised values."""
        return tf.split(outputs, 2, axis=-1)[0]

    def mean(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the mean of physical values."""
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
        """Returns quantiles of physical values; the normalization keeps their order."""
        mean, deviation = self._parameters(outputs)
        return self.normalization.invert(mean + deviation * scipy.special.ndtri(level))

    def _parameters(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, raw = np.split(np.float64(outputs), 2, axis=-1)
        return mean, np.logaddexp(0, raw) + self.least
