"""Fréchet distance of two Gaussian distributions.

Written here to take moments instead of samples, since moments add up over chunks of fields. The
tests check it against closed forms (``test_distributions.py``) and against the matrix root of
``scipy.linalg.sqrtm`` (``tests/rplearn/test_frechet_with_bias.py``).
"""

from __future__ import annotations

import numpy as np


def frechet_distance(
    first_mean: np.ndarray,
    first_covariance: np.ndarray,
    second_mean: np.ndarray,
    second_covariance: np.ndarray,
) -> float:
    """Returns the squared Fréchet (Wasserstein-2) distance of two Gaussians.

    It is |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½) (Dowson & Landau 1982,
    doi:10.1016/0047-259X(82)90077-X). The root is taken of Σ₁^½ Σ₂ Σ₁^½, whose eigenvalues are
    real, in place of the general matrix root of :func:`scipy.linalg.sqrtm`.

    Args:
        first_mean, second_mean: (F,) means.
        first_covariance, second_covariance: (F, F) covariances.
    """
    values, vectors = np.linalg.eigh(first_covariance)
    root = (vectors * np.sqrt(_above_round_off(values))) @ vectors.T
    # Σ₁^½ Σ₂ Σ₁^½ has the eigenvalues of Σ₁ Σ₂.
    inner = np.linalg.eigvalsh(root @ second_covariance @ root)
    trace = np.trace(first_covariance) + np.trace(second_covariance)
    trace -= 2 * np.sqrt(_above_round_off(inner)).sum()
    return float(max(np.sum((first_mean - second_mean) ** 2) + trace, 0))


def _above_round_off(eigenvalues: np.ndarray) -> np.ndarray:
    """Returns the eigenvalues with round-off set to 0, since the root of round-off is not small."""
    return np.where(eigenvalues > 1e-12 * eigenvalues.max(initial=0), eigenvalues, 0)
