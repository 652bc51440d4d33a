"""Vorticity and divergence of wind by finite differences, for grids that are not global.

Written from the formulas because MetPy needs its own units and labelled arrays.
``tests/fields/test_differences.py`` checks them against spectral derivatives, to which they
converge with second order, and against solid-body rotation.
"""

from __future__ import annotations

import numpy as np

from phire.fields.grid import EARTH_RADIUS, Grid


def wind_to_vorticity_divergence(
    u: np.ndarray, v: np.ndarray, grid: Grid, radius: float = EARTH_RADIUS
) -> tuple[np.ndarray, np.ndarray]:
    """Computes relative vorticity ζ and divergence δ of wind on a latitude–longitude grid.

    ζ = (∂v/∂λ − ∂(u cos φ)/∂φ) / (a cos φ), δ = (∂u/∂λ + ∂(v cos φ)/∂φ) / (a cos φ), with latitude
    φ, longitude λ and radius a. Derivatives are centred differences of second order; at the edges
    they are one-sided, of second order too, except in longitude on grids that close the circle.
    The formulas are singular at a pole, so a row there gets the mean of the next row.

    Args:
        u: (..., H, W) eastward wind, m/s.
        v: (..., H, W) northward wind, m/s.
        grid: Grid with latitudes and longitudes.
        radius: Radius of the sphere, m.

    Returns:
        Vorticity and divergence, each (..., H, W) float64 in s⁻¹; NaN where the wind is missing
        at the point or at a neighbour that its difference uses.

    Raises:
        InputError: The grid has no coordinates.
    """
    grid.require_coordinates("the vorticity of wind")
    u, v = np.asarray(u, np.float64), np.asarray(v, np.float64)
    latitude = np.deg2rad(grid.latitudes)
    longitude = np.deg2rad(grid.longitudes)
    cosine = np.cos(latitude)[:, None]

    def along_longitude(field: np.ndarray) -> np.ndarray:
        if not grid.wraps:
            return np.gradient(field, longitude, axis=-1, edge_order=2)
        spacing = 2 * np.pi / len(longitude)
        return (np.roll(field, -1, -1) - np.roll(field, 1, -1)) / (2 * spacing)

    def along_latitude(field: np.ndarray) -> np.ndarray:
        return np.gradient(field, latitude, axis=-2, edge_order=2)

    with np.errstate(divide="ignore", invalid="ignore"):
        vorticity = (along_longitude(v) - along_latitude(u * cosine)) / (radius * cosine)
        divergence = (along_longitude(u) + along_latitude(v * cosine)) / (radius * cosine)
    for row, neighbour in ((0, 1), (-1, -2)):
        if abs(abs(grid.latitudes[row]) - 90) < 1e-6:
            for field in (vorticity, divergence):
                field[..., row, :] = field[..., neighbour, :].mean(-1, keepdims=True)
    # A centred difference does not use the point itself, so its own missing value is not seen.
    missing = np.isnan(u) | np.isnan(v)
    vorticity[missing] = divergence[missing] = np.nan
    return vorticity, divergence
