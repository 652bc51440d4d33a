"""The Fréchet distance of two Gaussians."""

from __future__ import annotations

import numpy as np


def frechet_distance(
    first_mean: np.ndarray,
    first_covariance: np.ndarray,
    second_mean: np.ndarray,
    second_covariance: np.ndarray,
) -> float:
    """Returns |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½) (Dowson & Landau 1982).

    Args:
        first_mean, second_mean: (F,).
        first_covariance, second_covariance: (F, F).

    Returns:
        The squared Fréchet (Wasserstein-2) distance of Gaussians with these moments
        (doi:10.1016/0047-259X(82)90077-X).
    """
    values, vectors = np.linalg.eigh(first_covariance)
    root = (vectors * np.sqrt(_above_round_off(values))) @ vectors.T
    # The symmetric form has the same trace, and real eigenvalues.
    inner = np.linalg.eigvalsh(root @ second_covariance @ root)
    trace = np.trace(first_covariance) + np.trace(second_covariance)
    trace -= 2 * np.sqrt(_above_round_off(inner)).sum()
    return float(max(np.sum((first_mean - second_mean) ** 2) + trace, 0))


def _above_round_off(eigenvalues: np.ndarray) -> np.ndarray:
    """Eigenvalues with round-off put to 0: its root would not be small."""
    return np.where(eigenvalues > 1e-12 * eigenvalues.max(initial=0), eigenvalues, 0)
