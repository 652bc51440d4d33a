"""Total variation of fields: area-weighted sizes of the differences of neighbouring points."""

from __future__ import annotations

import numpy as np

from phire.evaluation.domain import Domain


def total_variation(
    domain: Domain, fields: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """Computes Σ w (|∂f/∂rows| + |∂f/∂columns|) over pairs of neighbours that both have a value.

    Differences are taken in the fields' precision; a pair has the mean weight of its two points.

    Args:
        domain: Its weights, and if the last column's neighbour is the first.
        fields: (..., h, w) within the domain.
        mask: (h, w) True where all fields have values; everywhere if None.

    Returns:
        (...) float64, not divided by the weights.
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
    """Weighted sums (...) of |differences| of neighbours in the same row, of some rows."""
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
        beside = (weights[:, east] + weights[:, west]) / 2 if wide else weights
        total += _weighted(np.abs(difference, out=difference), beside)
    return total


def _weighted(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums of values (..., h, w) times weights (h, w) or (h, 1)."""
    if weights.shape[1] == 1:
        # Along a row numpy adds in pairs, which is exact enough in single precision.
        return values.sum(-1) @ weights[:, 0].astype(np.float64)
    return np.einsum("...hw,hw->...", values, weights, dtype=np.float64)
