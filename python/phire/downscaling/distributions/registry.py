"""Registry of distributions, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from phire.parts import Registry

distribution = Registry("distribution", "phire.downscaling.distributions")
"""All distributions by name: classes ``(normalization, *, options)`` of a :class:`Distribution`."""


class Distribution(Protocol):
    """Distribution of every value of a field, by the outputs of a network.

    Attributes:
        parameters: Outputs of the network for each target. Along its last axis come the first
            parameter of all targets, then the second, and so on.
    """

    parameters: int

    def loss(self, truth: Any, outputs: Any) -> Any:
        """Returns the loss of each value, tensors like ``truth``.

        Args:
            truth: (…, C) normalised.
            outputs: (…, C·parameters).
        """

    def center(self, outputs: Any) -> Any:
        """Returns one normalised field of a distribution, (…, C) tensors, for validation."""

    def mean(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the mean in physical units, (…, C)."""

    def quantile(self, outputs: np.ndarray, level: Any) -> np.ndarray:
        """Returns quantiles in physical units, (…, C).

        Args:
            outputs: (…, C·parameters).
            level: Number or array (…, C) between 0 and 1. Uniform random numbers give members.
        """


def mean_over_levels(quantile: Callable[[float], np.ndarray], count: int = 128) -> np.ndarray:
    """Returns the mean of a distribution by the midpoint rule over levels of its quantiles."""
    return sum(quantile((k + 0.5) / count) for k in range(count)) / count
