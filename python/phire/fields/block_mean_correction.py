"""Correction of fine fields to given block means."""

from __future__ import annotations

import numpy as np

from phire.fields.coarsening import block_weights, weighted_block_mean
from phire.fields.grid import Grid


def with_block_means(
    fine: np.ndarray, coarse: np.ndarray, grid: Grid, scale: int, minimum: float | None = None
) -> np.ndarray:
    """Returns fine fields corrected so that their block means equal the coarse fields.

    Without ``minimum``, a constant is added to each block. With ``minimum``, such as 0 for rain,
    the excess over it is multiplied by a factor instead, so that no value falls below it. A block
    without any excess gets the coarse value at all its points.

    Args:
        fine: (n, h·scale, w·scale, C) in physical units.
        coarse: (n, h, w, C) area-weighted block means that the result has.
        grid: Grid of ``fine``.
        scale: Points of a block along each side.
        minimum: Smallest physical value, to which lower fine and coarse values are raised first;
            None for no bound.

    Returns:
        (n, h·scale, w·scale, C) float32, whose :func:`~phire.fields.coarsening.block_mean` is
        ``coarse`` up to the rounding of float32.
    """
    weights = block_weights(grid, scale)
    shifted = np.empty(fine.shape, np.float32)
    for i, field in enumerate(fine):
        wanted = coarse[i].astype(np.float64)
        if minimum is not None:
            shifted[i] = _scaled_excess(field, wanted, weights, scale, minimum)
            continue
        shift = wanted - weighted_block_mean(field[None], weights, np.float64)[0]
        shifted[i] = field + shift.repeat(scale, 0).repeat(scale, 1)
    return shifted


def _scaled_excess(
    field: np.ndarray, wanted: np.ndarray, weights: np.ndarray, scale: int, minimum: float
) -> np.ndarray:
    """Returns a field (H, W, C) with block means ``wanted`` and no value below ``minimum``."""
    excess = np.maximum(field.astype(np.float64) - minimum, 0)
    wanted = np.maximum(wanted - minimum, 0)
    mean = weighted_block_mean(excess[None], weights, np.float64)[0]
    factor = np.divide(wanted, mean, out=np.zeros_like(mean), where=mean > 0)
    even = np.where(mean > 0, 0, wanted)  # constant in blocks whose excess is zero everywhere
    factor, even = (x.repeat(scale, 0).repeat(scale, 1) for x in (factor, even))
    return minimum + factor * excess + even
