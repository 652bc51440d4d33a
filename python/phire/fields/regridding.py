"""Regridding of fields with weights that are computed once for a pair of grids."""

from __future__ import annotations

import functools
import os

import numpy as np

from phire import progress
from phire.errors import InputError, naming_arguments
from phire.fields.conservative_maps import conservative_map, overlap_map
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import Grid
from phire.fields.interpolation import interpolation_map, scattered_map, within_grid
from phire.fields.linear_maps import MatrixMap, SeparableMap
from phire.fields.regridding_weights import stored_weights
from phire.fields.source import (
    ALL,
    Source,
    Times,
    close,
    indices,
    member_count,
    read_members,
    wind_directions,
)
from phire.fields.time_blocks import blocks
from phire.fields.unusable_values import count_infinite

METHODS = ("conservative", "bilinear", "nearest", "bicubic")

ROUNDING = 1e-6
"""Tolerance of sums of weights, which are fractions of a cell."""


class Regridder:
    """Regrids fields with weights that are computed once.

    Methods:

    - ``conservative``: mean over each target cell of the values of the overlapping cells, weighted
      by the shared areas (first order; P. W. Jones 1999, Monthly Weather Review 127, 2204). On
      projected, rotated and curvilinear grids cells overlap as quadrilaterals; see
      :func:`phire.fields.conservative_maps.overlap_map`.
    - ``bilinear``, ``bicubic``: interpolation in latitude and longitude, periodic and across the
      poles, or along the rows and columns of a projected grid; see
      :func:`phire.fields.interpolation.upsample`.
    - ``nearest``: value at the nearest row and column.

    Missing values (NaN, infinite) have no weight, and the other weights of the point are scaled to
    sum to 1. A point with a valid share of weights below ``least_valid`` is NaN, and so are points
    outside the cells of ``grid``. A bicubic value whose stencil has a missing point is replaced by
    the bilinear one.

    Args:
        grid: Grid of the fields.
        target: Grid of the result.
        method: One of :data:`METHODS`.
        least_valid: Share of a target point's weights, 0 to 1, that must lie on valid values.
        extrapolate: Continue fields on a latitude–longitude grid beyond its outermost cells with
            the values of the outermost points.
        weights: File or folder with weights, see
            :func:`phire.fields.regridding_weights.stored_weights`; by default they are computed.

    Attributes:
        covered: (H', W') share of each target cell that ``grid`` covers; 0 or 1 for interpolation.

    Raises:
        InputError: The method is unknown, a grid has no coordinates, or the grids do not overlap.
    """

    @naming_arguments()
    def __init__(
        self,
        grid: Grid,
        target: Grid,
        method: str = "conservative",
        *,
        least_valid: float = 0.5,
        extrapolate: bool = False,
        weights: str | os.PathLike | None = None,
    ) -> None:
        if method not in METHODS:
            raise InputError(f"--method {method} must be one of {', '.join(METHODS)}.")
        if not 0 <= least_valid <= 1:
            raise InputError(f"--least-valid {least_valid:g} must be a share from 0 to 1.")
        for one in (grid, target):
            if not one.has_points:
                one.points()  # raises InputError with the reason
        self.grid, self.target, self.method = grid, target, method
        self._least = max(least_valid - ROUNDING, ROUNDING)
        compute = functools.partial(_weights, grid, target, method)
        if weights is None:
            self._map, self.covered = compute()
        else:
            self._map, self.covered = stored_weights(weights, grid, target, method, compute)
        if not self.covered.any():
            raise InputError(
                f"the grids do not overlap: the fields are on {grid.in_words()}, the target is "
                f"{target.in_words()}."
            )
        self._without_missing = self._nearest = None
        self._counts_infinite = True
        if extrapolate and grid.has_coordinates:
            if method == "conservative":
                self._nearest = Regridder(grid, target, "nearest", extrapolate=True)
            else:
                self.covered = np.ones(target.shape)
        if method == "bicubic":
            self._without_missing = Regridder(
                grid, target, "bilinear", least_valid=least_valid, extrapolate=extrapolate
            )

        for other in (self._without_missing, self._nearest):
            if other is not None:  # the same fields: count their infinite values once
                other._counts_infinite = False

    def __call__(self, fields: np.ndarray) -> np.ndarray:
        """Regrids fields (n, H, W, C) to (n, H', W', C) float32."""
        regridded = np.empty((len(fields), *self.target.shape, fields.shape[-1]), np.float32)
        for i, field in enumerate(fields):
            regridded[i] = self._regridded(field[None])[0]
        if self._nearest is not None:
            outside = self.covered < self._least
            regridded[:, outside] = self._nearest(fields)[:, outside]
        return regridded

    def _regridded(self, field: np.ndarray) -> np.ndarray:
        """Regrids one field (1, H, W, C) without extrapolation."""
        valid = np.isfinite(field)
        covered = self.covered[:, :, None]
        if valid.all():
            return _renormalised(self._map(field), covered, self._least)
        if self._counts_infinite:
            count_infinite(field)
        if self._without_missing is not None:
            smooth = self._map(np.where(valid, field, np.nan))
            return np.where(
                np.isfinite(smooth) & (covered > 0), smooth, self._without_missing(field)
            )
        # Outside the grid, weights of interpolation sum to 1 as well, so ``covered`` masks them.
        share = self._map(valid.astype(np.float32)) * (covered > 0)
        return _renormalised(self._map(np.where(valid, field, 0)), share, self._least)


def _weights(grid: Grid, target: Grid, method: str) -> tuple[SeparableMap | MatrixMap, np.ndarray]:
    """Returns the map between two grids, and the (H', W') covered share of each target cell."""
    separable = grid.has_coordinates and target.has_coordinates
    if method == "conservative":
        return (conservative_map if separable else overlap_map)(grid, target)
    if not separable:
        weights, inside = scattered_map(grid, *target.points(), method)
        return weights, inside.astype(np.float64)
    places = (target.latitudes, target.longitudes)
    rows, columns = within_grid(grid, *places)
    return interpolation_map(grid, *places, method), np.outer(rows, columns).astype(np.float64)


def _renormalised(values: np.ndarray, share: np.ndarray, least: float) -> np.ndarray:
    """Divides weighted sums by the sums of weights; NaN where the latter are below ``least``."""
    if share.min() > 1 - 1e-12:
        return values
    return np.divide(values, share, out=np.full(values.shape, np.nan), where=share >= least)


class RegriddedSource:
    """Source of another source's fields, or ensemble members, on another grid.

    Args:
        source: Source whose grid has coordinates.
        target: Grid of the result.
        method, least_valid, weights: See :class:`Regridder`.

    Raises:
        InputError: See :class:`Regridder`.
    """

    def __init__(
        self,
        source: Source,
        target: Grid,
        method: str = "conservative",
        *,
        least_valid: float = 0.5,
        weights: str | os.PathLike | None = None,
    ) -> None:
        self.source = source
        self.regridder = Regridder(
            source.grid, target, method, least_valid=least_valid, weights=weights
        )
        self.grid = target
        self.channels = source.channels
        self.units = source.units
        self.time = source.time
        self.members = member_count(source)
        # The axes of a latitude–longitude grid are east and north. Components along other axes
        # are meaningless on another grid ("unturned").
        turned = not isinstance(source.grid, CurvilinearGrid)
        axes = "east" if turned else "grid" if target.equals(source.grid) else "unturned"
        self.wind_directions = tuple(
            axes if direction == "grid" else direction for direction in wind_directions(source)
        )

    @property
    def time_chunk(self) -> int:
        """Number of fields in one chunk; see :class:`phire.fields.dataset.DatasetSource`."""
        return getattr(self.source, "time_chunk", 1)

    def close(self) -> None:
        """Closes the source."""
        close(self.source)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        fields = self.read_members(times)
        return fields[:, 0] if self.members == 1 else fields.mean(1)

    def read_members(self, times: Times, members: slice = ALL) -> np.ndarray:
        """Reads fields of members; see :class:`phire.fields.source.MemberSource`."""
        chosen = indices(times, len(self.time))
        count = len(range(self.members)[members])
        shape = (len(chosen), count, *self.grid.shape, len(self.channels))
        fields = np.empty(shape, np.float32)
        # In blocks: fields that are small on the target grid may be large on the source's grid.
        for block in blocks(self.source, len(chosen)):
            read = read_members(self.source, chosen[block], members)
            flat = read.reshape(-1, *read.shape[2:])
            fields[block] = self.regridder(flat).reshape(-1, *shape[1:])
        return fields


def note_outside(regridder: Regridder) -> None:
    """Prints the number of points of the target grid outside the fields, if there are any."""
    outside = int((regridder.covered == 0).sum())
    if outside:
        progress.say(
            f"Note: {outside:,} of {regridder.covered.size:,} points of the grid lie outside the "
            "fields: they are missing (NaN)."
        )
