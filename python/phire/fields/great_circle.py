"""Great-circle geometry: unit vectors, distances, destinations and areas of cells.

pyproj iterates for each pair, because its geodesics are those of an ellipsoid; on the sphere, unit
vectors give whole arrays at once. ``tests/fields/test_great_circle.py`` checks them against closed
forms and against ``pyproj.Geod`` of a sphere.
"""

from __future__ import annotations

import numpy as np

from phire.fields.grid import EARTH_RADIUS


def unit_vectors(latitudes: np.ndarray, longitudes: np.ndarray) -> np.ndarray:
    """Returns the unit vectors (..., 3), from the centre of the sphere, of points.

    Args:
        latitudes, longitudes: (...,) degrees.
    """
    latitude, longitude = np.deg2rad(latitudes), np.deg2rad(longitudes)
    return np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude) + 0 * longitude,  # broadcast to the shape of the other components
        ],
        axis=-1,
    )


def latitudes_longitudes(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns latitudes and longitudes (...,) in degrees of vectors (..., 3) of any length."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.rad2deg(np.arctan2(z, np.hypot(x, y))), np.rad2deg(np.arctan2(y, x))


def angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the angles (...,) in radians between unit vectors (..., 3).

    It is arctan(|a×b| / a·b), which is accurate for small angles, unlike arccos(a·b).
    """
    return np.arctan2(
        np.linalg.norm(np.cross(first, second), axis=-1), (first * second).sum(axis=-1)
    )


def great_circle_distance(
    latitude: np.ndarray,
    longitude: np.ndarray,
    other_latitude: np.ndarray,
    other_longitude: np.ndarray,
    radius: float = EARTH_RADIUS,
) -> np.ndarray:
    """Returns the distances between points, in the unit of ``radius``.

    Args:
        latitude, longitude: First points, degrees.
        other_latitude, other_longitude: Second points, degrees.
        radius: Radius of the sphere, by default the Earth's in metres.
    """
    return radius * angle(
        unit_vectors(latitude, longitude), unit_vectors(other_latitude, other_longitude)
    )


def destination(
    latitude: np.ndarray, longitude: np.ndarray, azimuth: np.ndarray, distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the end point of an arc of a great circle.

    Args:
        latitude, longitude: Start point, degrees.
        azimuth: Direction at the start, radians clockwise from north.
        distance: Length of the arc, radians.

    Returns:
        Latitude and longitude, degrees.
    """
    phi = np.deg2rad(latitude)
    sine = np.sin(phi) * np.cos(distance) + np.cos(phi) * np.sin(distance) * np.cos(azimuth)
    sine = np.clip(sine, -1, 1)  # rounding may exceed the domain of arcsin
    east = np.arctan2(
        np.sin(azimuth) * np.sin(distance) * np.cos(phi), np.cos(distance) - np.sin(phi) * sine
    )
    return np.rad2deg(np.arcsin(sine)), longitude + np.rad2deg(east)


def quadrilateral_areas(corners: np.ndarray, radius: float = EARTH_RADIUS) -> np.ndarray:
    """Returns the areas of grid cells whose sides are arcs of great circles.

    A cell is the sum of two spherical triangles of excess E, where
    tan(E/2) = a·(b×c) / (1 + a·b + b·c + c·a) for the corners a, b, c (Eriksson 1990,
    doi:10.2307/2691141).

    Args:
        corners: (H+1, W+1, 3) unit vectors of the corners.
        radius: Radius of the sphere, m.

    Returns:
        (H, W) areas in m².
    """
    a, b, c, d = corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]
    return radius**2 * np.abs(_excess(a, b, c) + _excess(a, c, d))


def _excess(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Returns the spherical excess of triangles with corners (..., 3); negative if clockwise."""

    def dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return (first * second).sum(axis=-1)

    # a·((b−a)×(c−a)) = a·(b×c), without the cancellation among nearly parallel vectors.
    volume = dot(a, np.cross(b - a, c - a))
    return 2 * np.arctan2(volume, 1 + dot(a, b) + dot(b, c) + dot(c, a))
