"""Geometry of great circles against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from phire.fields.great_circle import (
    destination,
    great_circle_distance,
    latitudes_longitudes,
    quadrilateral_areas,
    unit_vectors,
)


def test_vectors_and_places_are_inverse():
    random = np.random.default_rng(0)
    latitudes, longitudes = random.uniform(-90, 90, 50), random.uniform(-180, 180, 50)
    vectors = unit_vectors(latitudes, longitudes)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1)
    np.testing.assert_allclose(latitudes_longitudes(7 * vectors), [latitudes, longitudes])


def test_distances():
    # Along the equator, a meridian, to the antipode, and a metre apart (where arccos fails).
    found = great_circle_distance([0, 10, 0, 0], [0, 0, 0, 0], [0, 55, 0, 0], [90, 0, 180, 1e-5], 2)
    np.testing.assert_allclose(found, 2 * np.deg2rad([90, 45, 180, 1e-5]), rtol=1e-12)
    # Haversines, at any places.
    a, b, c, d = np.deg2rad(np.random.default_rng(0).uniform(-80, 80, (4, 20)))
    half = np.sin((c - a) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((d - b) / 2) ** 2
    found = great_circle_distance(*np.rad2deg([a, b, c, d]), 1)
    np.testing.assert_allclose(found, 2 * np.arcsin(np.sqrt(half)), rtol=1e-12)


def test_destinations_lie_at_the_distance_and_in_the_direction():
    random = np.random.default_rng(3)
    latitude = np.rad2deg(np.arcsin(random.uniform(-1, 1, 50)))
    longitude, azimuth = random.uniform(0, 360, 50), random.uniform(0, 7, 50)
    distance = random.uniform(0.1, 3, 50)
    there = destination(latitude, longitude, azimuth, distance)
    found = great_circle_distance(latitude, longitude, *there, 1)
    np.testing.assert_allclose(found, distance, rtol=1e-9)
    # pyproj on the same sphere.
    pyproj = pytest.importorskip("pyproj")
    east, north, _ = pyproj.Geod(a=1, b=1).fwd(longitude, latitude, np.rad2deg(azimuth), distance)
    wanted = unit_vectors(np.array(north), np.array(east))
    np.testing.assert_allclose(unit_vectors(*there), wanted, atol=1e-9)


def test_areas_of_an_octant_and_of_a_small_square():
    corners = unit_vectors(np.array([[90.0, 90], [0, 0]]), np.array([[0, 90.0], [0, 90]]))
    assert quadrilateral_areas(corners, 1)[0, 0] == pytest.approx(np.pi / 2, rel=1e-12)
    side = 1e-3
    corners = unit_vectors(*np.meshgrid([side / 2, -side / 2], [0, side], indexing="ij"))
    flat = np.deg2rad(side) ** 2
    np.testing.assert_allclose(quadrilateral_areas(corners, 1), flat, rtol=1e-7)
