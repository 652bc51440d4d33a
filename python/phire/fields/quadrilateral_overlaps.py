"""Areas that quadrilaterals share with the unit squares of a plane of rows and columns.

Shapely intersects polygons of any kind one pair after another; these are all quadrilaterals and
squares, whose areas follow at once for millions of pairs. Checked against closed forms and brute
force, and as weights of regridding against xugrid (tests/fields/test_other_regridders.py).
"""

from __future__ import annotations

import numpy as np


def overlaps_with_squares(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], wraps: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the areas that quadrilaterals share with the squares of a grid.

    The square of row r and column c reaches from r to r + 1 and from c to c + 1. Exact for straight
    edges, in any order of the corners: ∮ x dy around a quadrilateral whose corners and edges are
    moved to the nearest places of a square is the area that both share (Green's theorem).

    Args:
        rows, columns: (n, 4) places of the corners, one after another around each.
        shape: Rows and columns of the grid; squares beyond it are left out.
        wraps: Whether the first column follows the last one.

    Returns:
        (m,) quadrilaterals, (m,) squares as row · W + column, and (m,) areas above 0.
    """
    height, width = shape
    first_row, last_row = _range(rows, height)
    first, last = _range(columns, None if wraps else width)
    down, across = np.maximum(last_row - first_row, 0), np.maximum(last - first, 0)
    quads = np.repeat(np.arange(len(rows)), down * across)
    number = np.arange(len(quads)) - np.repeat(np.cumsum(down * across) - down * across,
                                               down * across)  # fmt: skip
    row = first_row[quads] + number // np.maximum(across[quads], 1)
    column = first[quads] + number % np.maximum(across[quads], 1)
    area = _shared(rows[quads] - row[:, None], columns[quads] - column[:, None])
    sign = np.where(_signed_areas(rows, columns) < 0, -1, 1)
    area *= sign[quads]
    there = area > 1e-12
    squares = row[there] * width + column[there] % width
    return quads[there], squares, area[there]


def quadrilateral_plane_areas(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns the areas (n,) of quadrilaterals by their corners (n, 4)."""
    return np.abs(_signed_areas(rows, columns))


def _range(values: np.ndarray, size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """First square that corners (n, 4) reach along an axis, and the one after the last."""
    first, last = (np.floor(values.min(1)), np.ceil(values.max(1)))
    if size is not None:
        first, last = np.clip(first, 0, size), np.clip(last, 0, size)
    return first.astype(np.int64), last.astype(np.int64)


def _signed_areas(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    following = np.roll(columns, -1, 1) + columns
    return (following / 2 * (np.roll(rows, -1, 1) - rows)).sum(1)


def _shared(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Signed areas (m,) that quadrilaterals (m, 4) share with the square from 0 to 1."""
    total = np.zeros(len(rows))
    for corner in range(4):
        y0, y1 = rows[:, corner], rows[:, (corner + 1) % 4]
        x0, x1 = columns[:, corner], columns[:, (corner + 1) % 4]
        # The part of the edge with rows between 0 and 1: elsewhere dy is 0.
        low, high = np.clip(y0, 0, 1), np.clip(y1, 0, 1)
        rise = np.where(y1 == y0, 1, y1 - y0)
        start, stop = (x0 + (y - y0) / rise * (x1 - x0) for y in (low, high))
        total += _mean_clipped(start, stop) * (high - low)
    return total


def _mean_clipped(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Mean over an interval of its values moved to the nearest ones from 0 to 1."""
    length = stop - start
    short = np.abs(length) < 1e-7
    mean = (_integral(stop) - _integral(start)) / np.where(short, 1, length)
    return np.where(short, np.clip((start + stop) / 2, 0, 1), mean)


def _integral(x: np.ndarray) -> np.ndarray:
    """Integral from 0 to x of values moved to the nearest ones from 0 to 1."""
    inside = np.clip(x, 0, 1)
    return inside**2 / 2 + np.maximum(x - 1, 0)
