"""Slopes, vorticity and divergence on any grid, by differences with the metric of the sphere.

MetPy needs labelled arrays with a projection; here the positions of the points suffice.
``tests/fields/test_surface_metric.py`` checks slopes, areas, vorticity and divergence against
closed forms on five kinds of grids.
"""

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
        down: (H, W, 3) tangent vectors from one row to the next, m.
        across: (H, W, 3) tangent vectors from one column to the next, m.
        normal: (H, W) (down × across)·vectors, m². This is the area of a cell, negative if rows
            run northward and columns eastward.
    """

    grid: Grid
    vectors: np.ndarray
    down: np.ndarray
    across: np.ndarray
    normal: np.ndarray

    @classmethod
    def of(cls, grid: Grid, radius: float = EARTH_RADIUS) -> SurfaceMetric:
        """Returns the metric of a grid, by second-order differences of its points.

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
        """Computes the slope |∇h|, (H, W) in metres per metre, of heights (H, W) in metres.

        |∇h|² = (h_i² g_jj − 2 h_i h_j g_ij + h_j² g_ii) / (g_ii g_jj − g_ij²), where h_i and h_j
        are the differences from row to row and from column to column, and g is the metric tensor.
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
        # On a pole all columns are one point, so the determinant of g is zero.
        squared = np.where(np.isfinite(squared) | np.isnan(heights), squared, 0)
        return np.sqrt(np.maximum(squared, 0))

    def wind_to_vorticity_divergence(
        self, u: np.ndarray, v: np.ndarray, direction: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes vorticity ζ and divergence δ of wind by second-order differences.

        With the tangent vectors e_i (from row to row) and e_j (from column to column), the unit
        normal n, J = (e_i × e_j)·n, and the wind vector V:
        ζ = (∂_i (V·e_j) − ∂_j (V·e_i)) / J and δ = (∂_i ((V × e_j)·n) + ∂_j ((e_i × V)·n)) / J.

        Args:
            u: (H, W) component along x, or eastward component, m/s.
            v: (H, W) component along y, or northward component, m/s.
            direction: ``grid`` for components along x and y, ``east`` for east and north.

        Returns:
            Vorticity and divergence, (H, W) each in s⁻¹; NaN where a value that they depend on is
            missing.
        """
        x, y = self.axes(direction)
        wind = u[..., None] * x + v[..., None] * y

        def dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
            return (first * second).sum(-1)

        # Covariant components, and fluxes through the sides of a cell.
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
        """Returns the unit vectors, (H, W, 3) each, of the directions of u and v.

        Args:
            direction: ``east`` for east and north; ``grid`` for the direction of increasing x, and
                the one at a right angle to its left, which is that of increasing y on conformal
                projections.
        """
        if direction == "east":
            z = np.array([0.0, 0.0, 1.0])
            x = np.cross(z, self.vectors)
        else:
            # The difference of two points is a chord; its part along the normal is removed.
            x = self.across - (self.across * self.vectors).sum(-1, keepdims=True) * self.vectors
        x = x / np.linalg.norm(x, axis=-1, keepdims=True)
        return x, np.cross(self.vectors, x)


def gradient(values: np.ndarray, grid: Grid, axis: int) -> np.ndarray:
    """Returns second-order differences of values from row to row or from column to column.

    They are centred, one-sided at edges, and periodic if the grid closes the circle.

    Args:
        values: (H, W, ...).
        grid: The grid.
        axis: 0 for rows, 1 for columns.
    """
    if axis == 1 and grid.wraps:
        return (np.roll(values, -1, 1) - np.roll(values, 1, 1)) / 2
    return np.gradient(values, axis=axis, edge_order=2)
