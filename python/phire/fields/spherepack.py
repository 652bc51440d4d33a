"""SPHEREPACK's transforms through pyspharm, with the interface of :mod:`phire.fields.harmonics`.

They are much slower than ducc0's and have single precision. They serve to check ducc0 and to
compare with older results. For wind, SPHEREPACK drops the order W/2 − 1.
"""

from __future__ import annotations

import numpy as np

from phire.errors import InputError
from phire.fields.grid import Grid

GRID_TYPES = {"gaussian": "gaussian", "pole-to-pole": "regular"}
STORED_ROWS = 512
"""Number of rows above which Legendre functions are recomputed in each transform.

Stored, they would need O(H³) memory."""


class Spherepack:
    """Spherical-harmonic transforms by pyspharm.

    Coefficients have the order and normalisation of
    :class:`phire.fields.harmonics.SphericalHarmonics`.

    Args:
        grid: Gaussian or pole-to-pole grid, with latitudes in either order.
        truncation: Largest degree.
        radius: Radius of the sphere, m.

    Raises:
        InputError: pyspharm is not installed, or does not support the grid.
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
                f"engine 'pyspharm' does not support the {grid.describe()}, only "
                f"{' and '.join(GRID_TYPES)} grids: use engine 'ducc0'."
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
        resolved = orders[orders <= (columns - 1) // 2]
        # pyspharm's harmonics have half the squared norm, no phase (−1)^m, and longitude 0 at the
        # first column.
        start = np.deg2rad(grid.longitudes[0])
        self._factor = (-1.0) ** resolved * np.exp(-1j * resolved * start) / np.sqrt(2)

    def analyse(self, field: np.ndarray) -> np.ndarray:
        """Computes coefficients (..., n) complex128 of scalar fields (..., H, W)."""
        return self._from_spharm(
            self._transform.grdtospec(self._to_spharm(field), self._truncation), field
        )

    def synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        """Computes scalar fields (..., H, W) float64 from coefficients (..., n)."""
        return self._gridded(self._transform.spectogrd(self._packed(coefficients)), coefficients)

    def analyse_wind(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes coefficients (..., n) of vorticity and divergence from wind (..., H, W)."""
        u, v = np.broadcast_arrays(u, v)
        vorticity, divergence = self._transform.getvrtdivspec(
            self._to_spharm(u), self._to_spharm(v), self._truncation
        )
        return self._from_spharm(vorticity, u), self._from_spharm(divergence, u)

    def synthesise_wind(
        self, vorticity: np.ndarray, divergence: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes wind (..., H, W) from coefficients (..., n) of vorticity and divergence."""
        vorticity, divergence = np.broadcast_arrays(vorticity, divergence)
        u, v = self._transform.getuv(self._packed(vorticity), self._packed(divergence))
        return self._gridded(u, vorticity), self._gridded(v, vorticity)

    def _to_spharm(self, field: np.ndarray) -> np.ndarray:
        """Reshapes fields (..., H, W) to pyspharm's (H, W, n), from north to south."""
        flat = np.moveaxis(field.reshape(-1, *self._grid.shape), 0, -1)
        return flat if self._grid.descending else flat[::-1]

    def _from_spharm(self, packed: np.ndarray, field: np.ndarray) -> np.ndarray:
        """Converts pyspharm's coefficients of ``field`` to (..., n)."""
        packed = packed.reshape(self._full, -1)[: len(self._factor)].T * self._factor
        return packed.reshape(*field.shape[:-2], -1).astype(np.complex128)

    def _packed(self, coefficients: np.ndarray) -> np.ndarray:
        """Converts coefficients (..., n) to pyspharm's (all orders and degrees, fields)."""
        flat = np.asarray(coefficients).reshape(-1, len(self._factor)) / self._factor
        packed = np.zeros((self._full, len(flat)), np.complex64)
        packed[: flat.shape[1]] = flat.T
        return packed

    def _gridded(self, fields: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Reshapes pyspharm's fields of ``coefficients`` to (..., H, W)."""
        fields = np.moveaxis(fields.reshape(*self._grid.shape, -1), -1, 0)
        fields = fields if self._grid.descending else fields[:, ::-1]
        lead = np.shape(coefficients)[:-1]
        return fields.reshape(*lead, *self._grid.shape).astype(np.float64)
