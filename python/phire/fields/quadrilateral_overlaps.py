"""Overlap areas of quadrilaterals with the unit squares of a plane of rows and columns.

Written here for speed: Shapely intersects one pair of polygons at a time, while a formula for
quadrilaterals and squares applies to millions of pairs at once. Checked against closed forms and
brute force, and as regridding weights against xugrid (tests/fields/test_other_regridders.py).
"""

from __future__ import annotations

import numpy as np


def overlaps_with_squares(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], wraps: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Computes the overlap areas of quadrilaterals with the squares of a grid.

    The square of row r and column c extends from r to r + 1 and from c to c + 1. The areas are
    exact for straight edges, clockwise or counter-clockwise. By Green's theorem an overlap is the
    integral ∮ x dy along the outline of the quadrilateral, with every point of the outline moved to
    the nearest point of the square.

    Args:
        rows, columns: (n, 4) coordinates of the corners, in order around each quadrilateral.
        shape: Numbers of rows and columns of the grid; overlaps beyond it are left out.
        wraps: True if the first column follows the last one.

    Returns:
        Three arrays (m,) with one entry for each overlap: index of the quadrilateral, square as
        row · W + column, and area.
    """
    height, width = shape
    first_row, last_row = _range(rows, height)
    first, last = _range(columns, None if wraps else width)
    down, across = np.maximum(last_row - first_row, 0), np.maximum(last - first, 0)
    # One entry for each pair of a quadrilateral and a square of its bounding box.
    quads = np.repeat(np.arange(len(rows)), down * across)
    number = np.arange(len(quads)) - np.repeat(np.cumsum(down * across) - down * across,
                                               down * across)  # fmt: skip
    row = first_row[quads] + number // np.maximum(across[quads], 1)
    column = first[quads] + number % np.maximum(across[quads], 1)
    area = _shared(rows[quads] - row[:, None], columns[quads] - column[:, None])
    sign = np.where(_signed_areas(rows, columns) < 0, -1, 1)
    area *= sign[quads]
    overlapping = area > 1e-12
    squares = row[overlapping] * width + column[overlapping] % width
    return quads[overlapping], squares, area[overlapping]


def quadrilateral_plane_areas(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns the areas (n,) of quadrilaterals with corners (n, 4)."""
    return np.abs(_signed_areas(rows, columns))


def _range(values: np.ndarray, size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first square along an axis that corners (n, 4) reach, and the last plus 1."""
    first, last = (np.floor(values.min(1)), np.ceil(values.max(1)))
    if size is not None:
        first, last = np.clip(first, 0, size), np.clip(last, 0, size)
    return first.astype(np.int64), last.astype(np.int64)


def _signed_areas(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns the signed areas ∮ x dy of quadrilaterals; the sign is that of their orientation."""
    following = np.roll(columns, -1, 1) + columns
    return (following / 2 * (np.roll(rows, -1, 1) - rows)).sum(1)


def _shared(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns the signed overlap areas (m,) of quadrilaterals (m, 4) with the unit square."""
    total = np.zeros(len(rows))
    for corner in range(4):
        y0, y1 = rows[:, corner], rows[:, (corner + 1) % 4]
        x0, x1 = columns[:, corner], columns[:, (corner + 1) % 4]
        # The part of the edge with rows between 0 and 1; the rest is moved to a horizontal side
        # of the square, where dy = 0.
        low, high = np.clip(y0, 0, 1), np.clip(y1, 0, 1)
        rise = np.where(y1 == y0, 1, y1 - y0)
        start, stop = (x0 + (y - y0) / rise * (x1 - x0) for y in (low, high))
        total += _mean_clipped(start, stop) * (high - low)
    return total


def _mean_clipped(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Returns the mean of x clipped to 0…1 over the interval from ``start`` to ``stop``."""
    length = stop - start
    short = np.abs(length) < 1e-7
    mean = (_integral(stop) - _integral(start)) / np.where(short, 1, length)
    return np.where(short, np.clip((start + stop) / 2, 0, 1), mean)


def _integral(x: np.ndarray) -> np.ndarray:
    """Returns the integral of t clipped to 0…1, from t = 0 to x."""
    inside = np.clip(x, 0, 1)
    return inside**2 / 2 + np.maximum(x - 1, 0)
