"""SPHEREPACK's transforms through pyspharm, in the form of :mod:`phire.fields.harmonics`.

They are slower by far than ducc0's and of single precision; they are here so that one engine can be
checked by the other, and results compared with older ones. Of wind it drops the order W/2 − 1.
"""

from __future__ import annotations

import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid

GRID_TYPES = {"gaussian": "gaussian", "pole-to-pole": "regular"}
STORED_ROWS = 512
"""Beyond this many rows Legendre functions are computed anew: stored, they need O(H³) memory."""


class Spherepack:
    """Transforms by pyspharm; coefficients as :class:`phire.fields.harmonics.SphericalHarmonics`.

    Args:
        grid: A Gaussian or pole-to-pole grid, in either order of latitudes.
        truncation: The largest degree.
        radius: Radius of the sphere in metres.

    Raises:
        InputError: pyspharm is not installed, or does not know the grid.
    """

    def __init__(self, grid: Grid, truncation: int, radius: float) -> None:
        try:
            import spharm
        except ImportError:
            raise InputError(
                "engine 'pyspharm' needs the package pyspharm, which is not installed: "
                "install phire[pyspharm], or use engine 'ducc0'."
            ) from None
        if grid.kind not in GRID_TYPES:
            raise InputError(
                f"engine 'pyspharm' knows no {grid.describe()}, only {' and '.join(GRID_TYPES)} "
                "grids: use engine 'ducc0'."
            )
        rows, columns = grid.shape
        try:
            self._transform = spharm.Spharmt(
                columns,
                rows,
                rsphere=radius,
                gridtype=GRID_TYPES[grid.kind],
                legfunc="stored" if rows <= STORED_ROWS else "computed",
            )
        except ValueError as error:
            raise InputError(
                f"engine 'pyspharm' refuses the {grid.describe()} ({error}): use engine 'ducc0'."
            ) from None
        self._grid = grid
        self._truncation = truncation
        limits = range(truncation + 1)
        orders = np.repeat(limits, [truncation + 1 - m for m in limits])
        self._full = len(orders)
        kept = orders[orders <= (columns - 1) // 2]
        # pyspharm's harmonics have half the square norm, no (−1)^m, and start at column 0.
        start = np.deg2rad(grid.longitudes[0])
        self._factor = (-1.0) ** kept * np.exp(-1j * kept * start) / np.sqrt(2)

    def analyse(self, field: np.ndarray) -> np.ndarray:
        """Transforms (..., H, W) → (..., n) complex128."""
        return self._out(self._transform.grdtospec(self._in(field), self._truncation), field)

    def synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        """Transforms (..., n) → (..., H, W) float64."""
        return self._gridded(self._transform.spectogrd(self._packed(coefficients)), coefficients)

    def analyse_wind(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Wind, each (..., H, W), → coefficients (..., n) of vorticity and divergence."""
        u, v = np.broadcast_arrays(u, v)
        vorticity, divergence = self._transform.getvrtdivspec(
            self._in(u), self._in(v), self._truncation
        )
        return self._out(vorticity, u), self._out(divergence, u)

    def synthesise_wind(
        self, vorticity: np.ndarray, divergence: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (..., n) of vorticity and divergence → wind, each (..., H, W)."""
        vorticity, divergence = np.broadcast_arrays(vorticity, divergence)
        u, v = self._transform.getuv(self._packed(vorticity), self._packed(divergence))
        return self._gridded(u, vorticity), self._gridded(v, vorticity)

    def _in(self, field: np.ndarray) -> np.ndarray:
        """Transforms (..., H, W) → (H, W, n), north to south."""
        flat = np.moveaxis(field.reshape(-1, *self._grid.shape), 0, -1)
        return flat if self._grid.descending else flat[::-1]

    def _out(self, packed: np.ndarray, field: np.ndarray) -> np.ndarray:
        packed = packed.reshape(self._full, -1)[: len(self._factor)].T * self._factor
        return packed.reshape(*field.shape[:-2], -1).astype(np.complex128)

    def _packed(self, coefficients: np.ndarray) -> np.ndarray:
        """Transforms (..., n) → pyspharm's (full n, number of fields)."""
        flat = np.asarray(coefficients).reshape(-1, len(self._factor)) / self._factor
        packed = np.zeros((self._full, len(flat)), np.complex64)
        packed[: flat.shape[1]] = flat.T
        return packed

    def _gridded(self, fields: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        fields = np.moveaxis(fields.reshape(*self._grid.shape, -1), -1, 0)
        fields = fields if self._grid.descending else fields[:, ::-1]
        lead = np.shape(coefficients)[:-1]
        return fields.reshape(*lead, *self._grid.shape).astype(np.float64)
