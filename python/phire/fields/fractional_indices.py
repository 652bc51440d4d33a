"""Fractional indices of places on axes and curvilinear grids, and values at such indices."""

from __future__ import annotations

from typing import Any

import numpy as np


def values_at(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Returns values at fractional indices of the first axis, linearly inter- or extrapolated."""
    if len(values) == 1:
        return np.repeat(values, len(positions), axis=0)
    before = np.clip(np.floor(positions).astype(int), 0, len(values) - 2)
    way = (positions - before).reshape(-1, *(1,) * (values.ndim - 1))
    return (1 - way) * values[before] + way * values[before + 1]


def fractional_index(values: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Returns fractional indices of values along a monotonic axis, extrapolated at its ends."""
    values = np.where(np.isfinite(values), values, np.nan)
    if len(axis) == 1:
        return np.where(values == axis[0], 0.0, np.nan)
    sign = 1 if axis[0] < axis[-1] else -1
    before = np.clip(np.searchsorted(sign * axis, sign * values, "right") - 1, 0, len(axis) - 2)
    return before + (values - axis[before]) / (axis[before + 1] - axis[before])


def invert_bilinear(
    vectors: np.ndarray, tree: Any, places: np.ndarray, steps: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Returns fractional rows and columns of places on a curvilinear grid, by Newton's method.

    Between grid points their unit vectors are interpolated bilinearly. The first guess is the
    nearest grid point.

    Args:
        vectors: (H, W, 3) unit vectors of the grid points.
        tree: Search tree of these vectors.
        places: (..., 3) unit vectors of the places.
        steps: Number of Newton steps, which converge quadratically within a cell.

    Returns:
        Rows and columns (...,); NaN for places further than two spacings from all grid points.
    """
    height, width = vectors.shape[:2]
    spacing = max(np.linalg.norm(np.diff(vectors, axis=axis), axis=-1).max() for axis in (0, 1))
    # Bounded, because the search for places far away would take most of the time.
    distance, nearest = tree.query(places.reshape(-1, 3), distance_upper_bound=2 * spacing)
    near = np.isfinite(distance)
    flat, nearest = places.reshape(-1, 3)[near], nearest[near]
    row, column = (index.astype(np.float64) for index in np.divmod(nearest, width))
    guess = np.stack([row, column])
    for _ in range(steps):
        i = np.clip(np.floor(row), 0, height - 2).astype(int)
        j = np.clip(np.floor(column), 0, width - 2).astype(int)
        a, b = (row - i)[:, None], (column - j)[:, None]
        north = (1 - b) * vectors[i, j] + b * vectors[i, j + 1]
        south = (1 - b) * vectors[i + 1, j] + b * vectors[i + 1, j + 1]
        down = south - north
        across = (1 - a) * (vectors[i, j + 1] - vectors[i, j]) + a * (
            vectors[i + 1, j + 1] - vectors[i + 1, j]
        )
        # Intersection of the ray through the place with the plane of the cell: three equations
        # for the steps in row and column and the length of the ray.
        matrix = np.stack([down, across, -flat], axis=-1)
        middle = (1 - a) * north + a * south
        with np.errstate(all="ignore"):
            solved = np.linalg.solve(matrix, -middle[..., None])[..., 0]
        # Bounded steps: iterations for places outside of the grid may diverge.
        row = np.clip(row + solved[:, 0], guess[0] - 2, guess[0] + 2)
        column = np.clip(column + solved[:, 1], guess[1] - 2, guess[1] + 2)
    found = np.full((2, len(near)), np.nan)
    found[:, near] = row, column
    return tuple(found.reshape(2, *places.shape[:-1]))
