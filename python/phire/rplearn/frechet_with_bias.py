"""Fréchet distance between the features of two sets of fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phire.errors import InputError
from phire.evaluation import frechet_distance as gaussians


@dataclass(frozen=True)
class FrechetDistance:
    """Fréchet distance with its small-sample bias.

    Attributes:
        value: |μ₁−μ₂|² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½).
        bias: Mean value for two samples of these sizes from the same distribution, to first order
            in 1/n.
        corrected: value − bias; close to 0, possibly negative, if the distributions are equal.
        samples: Sizes of the two sets.
    """

    value: float
    bias: float
    samples: tuple[int, int]

    @property
    def corrected(self) -> float:
        """Value minus its small-sample bias."""
        return self.value - self.bias


def frechet_with_bias(first: np.ndarray, second: np.ndarray) -> FrechetDistance:
    """Computes the Fréchet distance between Gaussians fitted to two sets of feature vectors.

    Means and covariances are estimates, so the plain value is biased upward. For two samples of n
    and m vectors from the same Gaussian with covariance eigenvalues λ, its mean is, to first order,
    (1/n + 1/m) · [Σᵢ λᵢ + ½ Σᵢⱼ λᵢλⱼ(1+δᵢⱼ)/(λᵢ+λⱼ)]. The second term follows from the second-order
    expansion of the Bures distance, ½ Σ |Δᵢⱼ|²/(λᵢ+λⱼ). The expansion fails if n is close to the
    number of features: use ten times as many fields as features.

    Args:
        first, second: Feature vectors, (n, F) and (m, F).

    Returns:
        The distance (Heusel et al. 2017, https://arxiv.org/abs/1706.08500) and its bias, with the
        eigenvalues of the pooled covariance. On the bias see Chong and Forsyth 2020,
        https://arxiv.org/abs/1911.07023.

    Raises:
        InputError: A set has fewer than two vectors, or the vectors differ in length.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise InputError(
            f"The features have the shapes {first.shape} and {second.shape}: pass (n, F) and "
            "(m, F) with equal F."
        )
    n, m = len(first), len(second)
    if min(n, m) < 2:
        raise InputError(f"The sets hold {n} and {m} fields: at least two each are needed.")
    covariance_1 = np.atleast_2d(np.cov(first, rowvar=False))
    covariance_2 = np.atleast_2d(np.cov(second, rowvar=False))
    value = gaussians.frechet_distance(
        first.mean(axis=0), covariance_1, second.mean(axis=0), covariance_2
    )
    pooled = ((n - 1) * covariance_1 + (m - 1) * covariance_2) / (n + m - 2)
    bias = (1 / n + 1 / m) * _first_order_bias(np.linalg.eigvalsh(pooled))
    return FrechetDistance(value, float(bias), (n, m))


def _first_order_bias(eigenvalues: np.ndarray) -> float:
    values = np.clip(eigenvalues, 0, None)
    values = values[values > 1e-12 * max(values.max(), np.finfo(float).tiny)]
    pairs = np.outer(values, values) / (values[:, None] + values[None, :])
    return float(values.sum() + 0.5 * (pairs.sum() + np.trace(pairs)))
