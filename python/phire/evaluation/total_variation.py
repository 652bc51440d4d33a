"""Total variation of fields: area-weighted absolute differences of neighbouring points.

TensorFlow and scikit-image know no area weights, missing values or rows that close around the
globe. ``tests/evaluation/test_point_scores.py`` checks it on a field of a few points by hand.
"""

from __future__ import annotations

import numpy as np

from phire.evaluation.domain import Domain


def total_variation(
    domain: Domain, fields: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """Returns the total variation Σ w |f₁ − f₂| over pairs of neighbouring points.

    Pairs lie in the same row or column, and both points must have a value. The weight w is the mean
    of the area weights of both points. Differences have the fields' precision.

    Args:
        domain: The domain, with area weights, and with a grid that may span all longitudes.
        fields: (..., h, w) fields within the domain.
        mask: (h, w) True where all fields have values; None means everywhere.

    Returns:
        (...) float64, not divided by the sum of weights.

    Source:
        Rudin, Osher & Fatemi (1992), doi:10.1016/0167-2789(92)90242-F.
    """
    total = np.zeros(fields.shape[:-2])
    for rows in domain.bands():
        total += _along_columns(domain, fields, mask, rows)
        below = slice(rows.start + 1, min(rows.stop + 1, domain.shape[0]))
        upper = slice(rows.start, below.stop - 1)
        south = np.subtract(fields[..., below, :], fields[..., upper, :])
        if mask is not None:
            south = np.where(mask[below] & mask[upper], south, 0)
        weights = (domain.weights[below] + domain.weights[upper]) / 2
        total += _weighted(np.abs(south, out=south), weights)
    return total


def _along_columns(
    domain: Domain, fields: np.ndarray, mask: np.ndarray | None, rows: slice
) -> np.ndarray:
    """Returns the weighted sums (...) over pairs of neighbours in the same row, of some rows."""
    field, weights = fields[..., rows, :], domain.weights[rows]
    total = np.zeros(fields.shape[:-2])
    pairs = [(slice(None, -1), slice(1, None))]
    if domain.window_grid.wraps:
        pairs.append((slice(-1, None), slice(0, 1)))
    for west, east in pairs:
        difference = np.subtract(field[..., east], field[..., west])
        if mask is not None:
            present = mask[rows]
            difference = np.where(present[:, east] & present[:, west], difference, 0)
        wide = weights.shape[1] > 1
        of_pairs = (weights[:, east] + weights[:, west]) / 2 if wide else weights
        total += _weighted(np.abs(difference, out=difference), of_pairs)
    return total


def _weighted(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the sums (...) of values (..., h, w) times weights (h, w) or (h, 1)."""
    if weights.shape[1] == 1:
        # numpy's pairwise summation along a row is accurate enough in single precision.
        return values.sum(-1) @ weights[:, 0].astype(np.float64)
    return np.einsum("...hw,hw->...", values, weights, dtype=np.float64)
