"""Domain of a statistic: the whole grid, a box, or a mask."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.evaluation.region_masks import located_mask, read_mask
from phire.fields.grid import Grid

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_ +,.-]*$")
"""Pattern of the names of regions and candidates, which become parts of file names."""

BAND_POINTS = 1 << 16
"""Points of a band of rows: few enough that several arrays of a band fit in a core's cache."""


@dataclasses.dataclass(frozen=True, eq=False)
class Domain:
    """A window of a grid with the weight of each of its points.

    Attributes:
        name: The region's name; empty for the whole grid.
        grid: The whole grid.
        rows: Rows of the window.
        columns: (w,) columns of the window; a window across the grid's seam continues at column 0.
        weights: (h, w) or (h, 1) weights of the points, proportional to area, 0 outside a mask.
        is_box: True if no point of the window is masked out.
        from_bounds: True if the region was given by bounds in degrees, False if by a mask.
    """

    name: str
    grid: Grid
    rows: slice
    columns: np.ndarray
    weights: np.ndarray
    is_box: bool = True
    from_bounds: bool = False

    @classmethod
    def whole(cls, grid: Grid) -> Domain:
        """Returns the domain of all points of a grid, with the name ''."""
        return cls("", grid, slice(0, grid.shape[0]), np.arange(grid.shape[1]), grid.area_weights())

    @classmethod
    def box(cls, name: str, grid: Grid, bounds: Sequence[float]) -> Domain:
        """Returns the domain of the points within bounds.

        Args:
            name: The region's name.
            grid: The whole grid.
            bounds: North, west, south, east in degrees; points on the bounds are included.

        Raises:
            InputError: The bounds are not four numbers in that order or hold no grid point, or the
                grid has no latitudes and longitudes.
        """
        check_name(name, "--region")
        values = tuple(float(value) for value in bounds)
        given = ",".join(f"{value:g}" for value in values)
        if len(values) != 4 or not values[0] > values[2]:
            raise InputError(
                f"--region {name}={given}: give NAME=NORTH,WEST,SOUTH,EAST in degrees, north "
                "greater than south."
            )
        north, west, south, east = values
        if not grid.has_points:
            raise InputError(
                f"--region {name}={given} is in degrees, but the fields lie on a "
                f"{grid.describe()}: give a mask on their points ({name}=FILE.nc), or state their "
                "latitudes and longitudes, or projection, in the file."
            )
        if not grid.has_coordinates:
            inside = grid.points_between(south, north, west, east)
            if not inside.any():
                raise InputError(
                    f"--region {name}={given} lies outside the data: no point of "
                    f"the {grid.describe()} is in it."
                )
            return dataclasses.replace(cls.masked(name, grid, inside), from_bounds=True)
        try:
            rows = grid.rows_between(south, north)
            columns = grid.columns_between(west, east)
        except InputError as error:
            raise InputError(f"--region {name}={given} lies outside the data: {error}") from None
        return cls(name, grid, rows, columns, grid.area_weights()[rows])

    @classmethod
    def masked(cls, name: str, grid: Grid, mask: np.ndarray) -> Domain:
        """Returns the domain of the points where a mask is above 0.

        Args:
            name: The region's name.
            grid: The whole grid.
            mask: (H, W) booleans, or fractions from 0 to 1 by which the area weights are
                multiplied; NaN counts as 0.

        Raises:
            InputError: The mask has another shape than the grid, is nowhere above 0, or holds a
                negative value.
        """
        check_name(name, "--region")
        mask = np.nan_to_num(np.asarray(mask, dtype=np.float64))
        if mask.shape != grid.shape:
            raise InputError(
                f"the mask of region {name} has the shape {mask.shape}, the fields {grid.shape}: "
                "it must lie on the truth's grid."
            )
        if (mask < 0).any() or not mask.any():
            raise InputError(f"the mask of region {name} must hold values above 0 and none below.")
        inside = np.flatnonzero(mask.any(1))
        rows = slice(int(inside[0]), int(inside[-1]) + 1)
        columns = _shortest_run(mask.any(0), grid.wraps)
        weights = (mask * grid.area_weights())[rows][:, columns]
        return cls(name, grid, rows, columns, weights, is_box=bool((weights > 0).all()))

    @classmethod
    def parse(cls, name: str, grid: Grid, region: Any) -> Domain:
        """Creates a domain from a region as a user gives it: a box or a mask.

        A box is four numbers (north, west, south, east); a mask is an array or a NetCDF file. A
        mask with coordinates must lie on the grid's points; its rows may run northward or
        southward. A mask without coordinates must have the grid's shape and rows from north to
        south.

        Raises:
            InputError: The region is none of these, or does not fit the grid.
        """
        if isinstance(region, (str, os.PathLike)):
            bounds = _four_numbers(str(region))
            if bounds is not None:
                return cls.box(name, grid, bounds)
            return cls.masked(name, grid, read_mask(name, grid, Path(region)))
        if isinstance(region, xr.DataArray):
            return cls.masked(name, grid, located_mask(f"--region {name}", grid, region, {}))
        if np.ndim(region) == 2:
            return cls.masked(name, grid, np.asarray(region))
        return cls.box(name, grid, region)

    @property
    def is_whole(self) -> bool:
        """True for the whole grid without a mask."""
        return not self.name

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width (h, w) of the window, in points."""
        return self.rows.stop - self.rows.start, len(self.columns)

    @property
    def window_grid(self) -> Grid:
        """Grid of the window; its longitudes ascend, even across the seam of the whole grid."""
        if self.shape == self.grid.shape and self.columns[0] == 0:
            return self.grid
        latitudes = self.grid.latitudes[self.rows]
        longitudes = self.grid.longitudes[self.columns]
        if not self.grid.has_coordinates:
            columns = slice(int(self.columns[0]), int(self.columns[-1]) + 1)
            return self.grid.subgrid(self.rows, columns)
        return Grid.regional(latitudes, np.rad2deg(np.unwrap(np.deg2rad(longitudes))))

    def cut(self, planes: np.ndarray) -> np.ndarray:
        """Returns the window of arrays (..., H, W): a view, or a copy across the grid's seam."""
        if self.shape == self.grid.shape and self.columns[0] == 0:
            return planes
        rows = planes[..., self.rows, :]
        if np.all(np.diff(self.columns) == 1):
            return rows[..., self.columns[0] : self.columns[-1] + 1]
        return rows[..., self.columns]

    def mean(self, values: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Returns the area-weighted mean over the window.

        Args:
            values: (..., h, w); must be 0 where ``mask`` is False.
            mask: (..., h, w) True where values count; None means everywhere.

        Returns:
            (...) float64; NaN where the mask is False everywhere.
        """
        return self._normalised(self.total(values), mask)

    def mean_product(
        self, first: np.ndarray, second: np.ndarray, mask: np.ndarray | None = None
    ) -> np.ndarray:
        """Returns the area-weighted mean of a product without storing it; see :meth:`mean`."""
        return self._normalised(self.total_product(first, second), mask)

    def total(self, values: np.ndarray, rows: slice = slice(None)) -> np.ndarray:
        """Returns the area-weighted sum (...), float64, of values (..., h, w).

        Args:
            values: Values in the rows ``rows`` of the window.
            rows: Rows of the window; all by default.
        """
        weights = self.weights[rows]
        if weights.shape[1] == 1:
            return values.sum(-1, dtype=np.float64) @ weights[:, 0]
        return np.einsum("...hw,hw->...", values, weights, dtype=np.float64)

    def total_of_points(self, chosen: np.ndarray) -> np.ndarray:
        """Returns the sum (...), float64, of the weights of the points that are True.

        Args:
            chosen: (..., h, w) booleans.
        """
        if self.weights.shape[1] > 1:
            return self.total(chosen)
        # All points of a row have one weight: counting bits takes a fifth of the time of a sum.
        bits = np.bitwise_count(np.packbits(chosen, axis=-1)).sum(-1, dtype=np.int64)
        return bits @ self.weights[:, 0].astype(np.float64)

    def total_product(
        self, first: np.ndarray, second: np.ndarray, rows: slice = slice(None)
    ) -> np.ndarray:
        """Returns the area-weighted sum of a product; see :meth:`total`.

        Where all points of a row have the same weight, the product is not stored.
        """
        weights = self.weights[rows]
        if weights.shape[1] == 1:
            sums = np.einsum("...hw,...hw->...h", first, second, dtype=np.float64)
            return sums @ weights[:, 0]
        return self.total(np.multiply(first, second, dtype=np.float64), rows)

    def bands(self, points: int = BAND_POINTS) -> list[slice]:
        """Returns slices of the window's rows that hold at most about ``points`` points each."""
        height, width = self.shape
        step = max(1, points // width)
        return [slice(top, min(top + step, height)) for top in range(0, height, step)]

    @property
    def total_weight(self) -> float:
        """Sum of the weights of all points of the window."""
        of_weights = self.weights.sum(dtype=np.float64)
        return float(of_weights) * (self.shape[1] // self.weights.shape[1])

    def _normalised(self, sums: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        if mask is None:
            return sums / self.total_weight
        weight = self.total(mask)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(weight > 0, sums / weight, np.nan)


def check_name(name: str, option: str) -> None:
    """Checks that a name can be part of a file name.

    Args:
        name: Name of a region or candidate.
        option: Option that gave the name, for the message.

    Raises:
        InputError: The name holds a character other than letters, digits, blanks and ``,._+-``,
            or does not begin with a letter or digit.
    """
    if not NAME.match(name):
        raise InputError(
            f"{option} has the name {name!r}: use letters, digits, blanks, commas, dots, _, "
            "+ and - only, for files are named after it."
        )


def _four_numbers(text: str) -> list[float] | None:
    """Returns the four numbers of a text ``N,W,S,E``; None for any other text."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return None
    return numbers if len(numbers) == 4 else None


def _shortest_run(present: np.ndarray, wraps: bool) -> np.ndarray:
    """Returns the shortest run of columns that contains all columns that are ``present``.

    On a grid that ``wraps`` the run may cross the seam: it is the complement of the widest gap.
    """
    places = np.flatnonzero(present)
    if not wraps or len(places) == len(present):
        return np.arange(places[0], places[-1] + 1)
    gaps = np.diff(np.append(places, places[0] + len(present)))
    widest = int(gaps.argmax())
    start = places[(widest + 1) % len(places)]
    return (start + np.arange(len(present) - gaps[widest] + 1)) % len(present)
