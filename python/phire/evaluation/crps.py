"""Continuous ranked probability score of an ensemble (CRPS), plain and fair, point by point.

Written by hand because the members are sorted once for all statistics of an ensemble, in bands of
rows that fit a core's cache; libraries sort them again for each score. The tests check it against
``scoringrules.crps_ensemble`` (estimators ``nrg`` and ``fair``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def crps(errors: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the continuous ranked probability score of an ensemble, plain and fair.

    The score is E|X − y| − ½ E|X − X′| over the members (Gneiting & Raftery 2007,
    doi:10.1198/016214506000001437). X′ is drawn from all members (plain), or from the members
    other than X (fair; Ferro 2014, doi:10.1002/qj.2270).

    For sorted members Σᵢⱼ |xᵢ − xⱼ| = 2 Σᵢ (2i − M − 1) x₍ᵢ₎, which needs M terms in place of M².
    The members' errors x − y give the same sum with less round-off.

    Args:
        errors: M arrays, members minus truth, in ascending order at each point.

    Returns:
        Plain and fair score, each of the shape of a member; the fair score of a single member is
        NaN.
    """
    _, plain, fair = crps_and_absolute_error(errors)
    return plain, fair


def crps_and_absolute_error(
    errors: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the mean absolute error of sorted errors, and the two scores of :func:`crps`."""
    size = len(errors)
    errors = np.asarray(errors)
    distance = weighted_sum(np.full(size, 1 / size), np.abs(errors))
    among = weighted_sum(2.0 * np.arange(size) + 1 - size, errors)
    fair = distance - among / (size * (size - 1)) if size > 1 else np.full_like(among, np.nan)
    return distance, distance - among / size**2, fair


def weighted_sum(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the sum of weights (M,) times values (M, ...), in the type of the values.

    As a matrix product it takes a third of the time of M products and additions.
    """
    return (weights.astype(values.dtype) @ values.reshape(len(values), -1)).reshape(
        values.shape[1:]
    )
