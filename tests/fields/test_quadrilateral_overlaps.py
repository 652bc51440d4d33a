"""Overlaps of quadrilaterals and squares against closed forms and brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.fields.quadrilateral_overlaps import overlaps_with_squares, quadrilateral_plane_areas


def test_a_diamond_over_four_squares():
    rows, columns = np.array([[0.5, 1, 1.5, 1]]), np.array([[1, 1.5, 1, 0.5]])
    for order in (slice(None), slice(None, None, -1)):
        quads, squares, areas = overlaps_with_squares(rows[:, order], columns[:, order], (2, 2))
        assert quads.tolist() == [0] * 4 and squares.tolist() == [0, 1, 2, 3]
        np.testing.assert_allclose(areas, 1 / 8)
    np.testing.assert_allclose(quadrilateral_plane_areas(rows, columns), 1 / 2)


def test_edges_on_edges_and_places_outside():
    rows, columns = np.array([[0.0, 0, 2, 2]]), np.array([[-1.0, 1, 1, -1]])
    _, squares, areas = overlaps_with_squares(rows, columns, (3, 4))
    assert squares.tolist() == [0, 4]
    np.testing.assert_array_equal(areas, 1)
    _, squares, areas = overlaps_with_squares(rows, columns, (3, 4), wraps=True)
    assert squares.tolist() == [3, 0, 7, 4]
    np.testing.assert_array_equal(areas, 1)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**31), st.floats(0.2, 4))
def test_shares_of_any_convex_quadrilateral(seed, size):
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * np.pi, (3, 4)), axis=1)
    middle = random.uniform(2, 6, (2, 3, 1))
    rows, columns = middle[0] + size * np.sin(angles), middle[1] + size * np.cos(angles)
    quads, squares, areas = overlaps_with_squares(rows, columns, (8, 8))
    # Far enough inside: nothing is lost.
    if size < 2:
        total = np.bincount(quads, areas, minlength=3)
        np.testing.assert_allclose(total, quadrilateral_plane_areas(rows, columns), atol=1e-9)
    # By the middles of 200 × 200 parts of each square, and half planes of the edges.
    within = (np.arange(200) + 0.5) / 200
    for quad, square, area in zip(quads, squares, areas):
        y, x = square // 8 + within[:, None], square % 8 + within
        inside = np.ones((200, 200), bool)
        for corner in range(4):
            y0, x0 = rows[quad, corner], columns[quad, corner]
            dy = rows[quad, (corner + 1) % 4] - y0
            dx = columns[quad, (corner + 1) % 4] - x0
            inside &= dx * (y - y0) - dy * (x - x0) >= 0
        assert abs(inside.mean() - area) < 0.015
