"""Distribution described by quantiles of fixed levels (quantile regression)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from phire.downscaling.contents.pointwise import pinball
from phire.downscaling.predicted_distributions.registry import distribution, mean_over_levels
from phire.errors import InputError
from phire.fields.normalization import Normalization


@distribution("quantiles")
class Quantiles:
    """Quantiles of fixed levels, predicted by the network and trained by the pinball loss.

    Quantiles are interpolated linearly between the levels and constant beyond the outermost ones,
    so members stay between the outermost quantiles. Outputs that are out of order are sorted
    (Chernozhukov et al. 2010, doi:10.3982/ECTA7880).

    Args:
        normalization: Normalization of the targets.
        levels: Ascending levels between 0 and 1.

    Raises:
        InputError: ``levels`` do not ascend between 0 and 1.
    """

    def __init__(
        self, normalization: Normalization, *, levels: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 0.9)
    ) -> None:
        self.levels = np.asarray(levels, float)
        edges = np.array([0, *self.levels, 1]) if self.levels.ndim == 1 else np.zeros(2)
        if not len(edges) > 2 or not (np.diff(edges) > 0).all():
            raise InputError(
                f"distribution quantiles: levels={levels} must be ascending numbers between 0 and "
                "1."
            )
        self.normalization = normalization
        self.parameters = len(self.levels)
        middles = (self.levels[1:] + self.levels[:-1]) / 2
        # Weights with which the quantiles add up to the mean: the integral of the interpolation.
        self.weights = np.diff([0, *middles, 1])

    def loss(self, truth: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the pinball loss of each normalised value, averaged over the levels."""
        parts = tf.split(outputs, self.parameters, axis=-1)
        losses = [pinball(truth - part, level) for part, level in zip(parts, self.levels)]
        return tf.add_n(losses) / self.parameters

    def center(self, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the mean of normalised values."""
        parts = tf.split(outputs, self.parameters, axis=-1)
        return tf.add_n([weight * part for part, weight in zip(parts, self.weights)])

    def mean(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the mean of physical values."""
        if self.normalization.is_linear:
            return self.normalization.invert(np.tensordot(self.weights, self._sorted(outputs), 1))
        return mean_over_levels(lambda level: self.quantile(outputs, level))

    def quantile(self, outputs: np.ndarray, level: Any) -> np.ndarray:
        """Returns quantiles of physical values, interpolated between the levels."""
        known = self._sorted(outputs)
        level = np.clip(np.broadcast_to(level, known.shape[1:]), *self.levels[[0, -1]])
        if self.parameters == 1:
            return self.normalization.invert(known[0])
        above = np.clip(np.searchsorted(self.levels, level), 1, self.parameters - 1)
        share = (level - self.levels[above - 1]) / (self.levels[above] - self.levels[above - 1])
        low, high = (np.take_along_axis(known, n[None], 0)[0] for n in (above - 1, above))
        return self.normalization.invert(low + share * (high - low))

    def _sorted(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the normalised quantiles in ascending order, (levels, …, C)."""
        return np.sort(np.stack(np.split(np.float64(outputs), self.parameters, axis=-1)), axis=0)
