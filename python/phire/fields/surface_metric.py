"""Slopes, vorticity and divergence on any grid: differences with the sphere's metric."""

from __future__ import annotations

import dataclasses

import numpy as np

from phire.errors import InputError
from phire.fields.great_circle import unit_vectors
from phire.fields.grid import EARTH_RADIUS, Grid


@dataclasses.dataclass(frozen=True, eq=False)
class SurfaceMetric:
    """Tangent vectors of a grid's rows and columns on the sphere.

    Attributes:
        grid: The grid.
        vectors: (H, W, 3) unit vectors of the points.
        down: (H, W, 3) change of place from one row to the next, metres.
        across: (H, W, 3) change of place from one column to the next, metres.
        normal: (H, W) (down × across)·vectors, m²: the area of a cell, negative where rows go
            north and columns east.
    """

    grid: Grid
    vectors: np.ndarray
    down: np.ndarray
    across: np.ndarray
    normal: np.ndarray

    @classmethod
    def of(cls, grid: Grid, radius: float = EARTH_RADIUS) -> SurfaceMetric:
        """Takes differences of second order of the points of a grid.

        Raises:
            InputError: The grid has no points, or fewer than three rows or columns.
        """
        if min(grid.shape) < 3:
            raise InputError(
                "differences need at least three rows and columns, not "
                f"{grid.shape[0]} × {grid.shape[1]}."
            )
        vectors = unit_vectors(*grid.points())
        down, across = (radius * gradient(vectors, grid, axis) for axis in (0, 1))
        normal = (np.cross(down, across) * vectors).sum(-1)
        return cls(grid, vectors, down, across, normal)

    def slope(self, heights: np.ndarray) -> np.ndarray:
        """Steepness |∇h| (H, W) of heights (H, W) in metres, in metres per metre.

        |∇h|² = (h_i² g_jj − 2 h_i h_j g_ij + h_j² g_ii) / (g_ii g_jj − g_ij²), h_i and h_j being
        the differences along columns and rows, and g the metric tensor.
        """
        rows, columns = (gradient(heights, self.grid, axis) for axis in (0, 1))
        g_ii, g_ij, g_jj = (
            (a * b).sum(-1)
            for a, b in (
                (self.down, self.down), (self.down, self.across), (self.across, self.across)
            )
        )  # fmt: skip
        with np.errstate(divide="ignore", invalid="ignore"):
            squared = (rows**2 * g_jj - 2 * rows * columns * g_ij + columns**2 * g_ii) / (
                g_ii * g_jj - g_ij**2
            )
        # On a pole all columns are one place, and the slope along them has no meaning.
        squared = np.where(np.isfinite(squared) | np.isnan(heights), squared, 0)
        return np.sqrt(np.maximum(squared, 0))

    def wind_to_vorticity_divergence(
        self, u: np.ndarray, v: np.ndarray, direction: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vorticity and divergence of wind by the grid's own metric, of second order.

        With the tangent vectors e_i (down the rows) and e_j (along them), their normal component
        J = (e_i × e_j)·n, and the wind vector V: ζ = (∂_i (V·e_j) − ∂_j (V·e_i)) / J and
        δ = (∂_i ((V × e_j)·n) + ∂_j ((e_i × V)·n)) / J.

        Args:
            u: (H, W) component along the columns' axis, or to the east, m/s.
            v: (H, W) component along the rows' axis, or to the north, m/s.
            direction: ``grid`` where u and v are along x and y, ``east`` where to east and north.

        Returns:
            Vorticity and divergence (H, W) in s⁻¹; missing where a value they depend on is.
        """
        x, y = self.axes(direction)
        wind = u[..., None] * x + v[..., None] * y

        def dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
            return (first * second).sum(-1)

        along, across = dot(wind, self.down), dot(wind, self.across)
        down_flux = dot(np.cross(wind, self.across), self.vectors)
        across_flux = dot(np.cross(self.down, wind), self.vectors)
        grid = self.grid
        with np.errstate(divide="ignore", invalid="ignore"):
            vorticity = (gradient(across, grid, 0) - gradient(along, grid, 1)) / self.normal
            divergence = (gradient(down_flux, grid, 0) + gradient(across_flux, grid, 1)) / (
                self.normal
            )
        missing = np.isnan(u) | np.isnan(v)
        vorticity[missing] = divergence[missing] = np.nan
        return vorticity, divergence

    def axes(self, direction: str) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors (H, W, 3) along which the components u and v of wind are.

        Args:
            direction: ``east``: to the east and north; ``grid``: along growing x, and at a right
                angle to its left (growing y, on the conformal projections of models).
        """
        if direction == "east":
            z = np.array([0.0, 0.0, 1.0])
            x = np.cross(z, self.vectors)
        else:
            x = self.across - (self.across * self.vectors).sum(-1, keepdims=True) * self.vectors
        x = x / np.linalg.norm(x, axis=-1, keepdims=True)
        return x, np.cross(self.vectors, x)


def gradient(values: np.ndarray, grid: Grid, axis: int) -> np.ndarray:
    """Differences per row (axis 0) or column (axis 1) of values (H, W, ...), of second order.

    They are centred, one-sided at edges, and go around the circle where the columns close it.
    """
    if axis == 1 and grid.wraps:
        return (np.roll(values, -1, 1) - np.roll(values, 1, 1)) / 2
    return np.gradient(values, axis=axis, edge_order=2)
