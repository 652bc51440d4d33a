"""Registry of distributions, and their protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from phire.part_registry import Registry

distribution = Registry("distribution", "phire.downscaling.predicted_distributions")
"""Distributions by name: classes ``(normalization, *, options)`` that implement
:class:`Distribution`."""


class Distribution(Protocol):
    """Protocol of distributions of field values whose parameters a network predicts.

    Attributes:
        parameters: Number of network outputs per target. The last axis of the outputs holds the
            first parameter of all targets, then the second of all targets, and so on.
    """

    parameters: int

    def loss(self, truth: Any, outputs: Any) -> Any:
        """Returns the loss of each value, a tensor of the shape of ``truth``.

        Args:
            truth: Normalised true values, (…, C).
            outputs: Outputs of the network, (…, C·parameters).
        """

    def center(self, outputs: Any) -> Any:
        """Returns the normalised centre of the distribution, a tensor (…, C), for validation."""

    def mean(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the mean in physical units, (…, C)."""

    def quantile(self, outputs: np.ndarray, level: Any) -> np.ndarray:
        """Returns quantiles in physical units, (…, C).

        Args:
            outputs: Outputs of the network, (…, C·parameters).
            level: Level between 0 and 1, a number or an array (…, C). Uniform random levels give
                random draws from the distribution.
        """


def mean_over_levels(quantile: Callable[[float], np.ndarray], count: int = 128) -> np.ndarray:
    """Returns the mean of a distribution, the integral of its quantiles by the midpoint rule.

    Args:
        quantile: Function of the level that returns quantiles.
        count: Number of levels.
    """
    return sum(quantile((k + 0.5) / count) for k in range(count)) / count
