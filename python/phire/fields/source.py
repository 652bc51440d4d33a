"""Sources of fields: anything that has channels, a grid and times and can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import Grid
from phire.fields.time import TimeAxis

MAPPING = "crs"
"""Name of the variable that states a projection."""

Times = slice | Sequence[int] | np.ndarray


@runtime_checkable
class Source(Protocol):
    """Fields over time: a store, a NetCDF file, a trained generator over a coarse source.

    Attributes:
        channels: Names of the channels.
        units: Units of each channel; empty text where unknown.
        grid: The horizontal grid.
        time: The times of the fields.
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]
    grid: Grid
    time: TimeAxis

    def read(self, times: Times) -> np.ndarray:
        """Reads fields in physical units.

        Args:
            times: A slice, or indices into ``time``, in any order.

        Returns:
            (n, H, W, C) float32; missing values are NaN.
        """
        ...


@runtime_checkable
class MemberSource(Source, Protocol):
    """Source of an ensemble, whose ``read`` gives the mean of its members.

    Attributes:
        members: Number of members.
    """

    members: int

    def read_members(self, times: Times) -> np.ndarray:
        """Reads fields of all members in physical units: (n, M, H, W, C) float32."""
        ...


def member_count(source: Source) -> int:
    """Returns the number of members of a source; 1 where it is no ensemble."""
    return getattr(source, "members", 1)


def read_members(source: Source, times: Times) -> np.ndarray:
    """Reads fields of all members, (n, M, H, W, C); M is 1 where the source is no ensemble."""
    if member_count(source) == 1:
        return source.read(times)[:, None]
    return source.read_members(times)


def close(source: Source) -> None:
    """Closes a source that holds a file open."""
    if hasattr(source, "close"):
        source.close()


class ArraySource:
    """Fields held in memory.

    Args:
        fields: (n, H, W, C) in physical units.
        channels: Names of the channels; ``channel_0`` … if not given.
        units: Units of each channel; unknown if not given.
        grid: The grid; what a bare store of this shape means, if not given.
        time: The times; steps if not given.

    Raises:
        InputError: The parts do not fit one another.
    """

    def __init__(
        self,
        fields: np.ndarray,
        *,
        channels: Sequence[str] | None = None,
        units: Sequence[str] | None = None,
        grid: Grid | None = None,
        time: TimeAxis | None = None,
    ) -> None:
        fields = np.asarray(fields)
        if fields.ndim != 4:
            raise InputError(
                f"the fields have {fields.ndim} dimensions: they must be (time, row, column, "
                "channel)."
            )
        count, rows, columns, width = fields.shape
        self.fields = fields
        self.channels = tuple(channels or (f"channel_{c}" for c in range(width)))
        self.units = tuple(units or ("",) * width)
        self.grid = grid or Grid.bare(rows, columns)
        self.time = time or TimeAxis.steps(count)
        found = (len(self.time), *self.grid.shape, len(self.channels))
        if found != fields.shape or len(self.units) != width:
            raise InputError(
                f"the fields have the shape {fields.shape}, their times, grid and channels "
                f"{found}: these must be equal."
            )

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`Source`."""
        return np.asarray(self.fields[indices(times, len(self.time))], dtype=np.float32)


def indices(times: Times, count: int) -> np.ndarray:
    """Returns the indices that a slice or a sequence of indices means in a series of ``count``
    fields.

    Raises:
        IndexError: An index lies outside the series.
    """
    if isinstance(times, slice):
        return np.arange(count)[times]
    times = np.atleast_1d(np.asarray(times, dtype=np.int64))
    if len(times) and (times.min() < -count or times.max() >= count):
        raise IndexError(f"times {times.min()}…{times.max()} lie outside the {count} fields")
    return times % max(count, 1)


class TimeSelection:
    """Source of selected times of another source.

    Args:
        source: Any source.
        times: Indices of the fields to keep, in the order wanted.
    """

    def __init__(self, source: Source, times: Times) -> None:
        self.source = source
        self.times = indices(times, len(source.time))
        self.channels = source.channels
        self.units = source.units
        self.grid = source.grid
        self.time = source.time[self.times]

        self.members = member_count(source)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`Source`."""
        return self.source.read(self.times[indices(times, len(self.times))])

    def read_members(self, times: Times) -> np.ndarray:
        """Reads fields of all members; see :class:`MemberSource`."""
        return read_members(self.source, self.times[indices(times, len(self.times))])


WIND_DIRECTION = "wind_axes"
"""Attribute of a variable, and of a store's channels, that keeps :func:`wind_directions`."""


def wind_directions(source: Source) -> tuple[str, ...]:
    """Returns the axes that each channel is a component of wind along.

    ``grid`` stands for the axes of the source's own grid, ``east`` for east and north, ``unturned``
    for the axes of the grid that the fields were regridded from; empty where it is not known or no
    wind. A source that only chooses, converts or aggregates another one's fields has its axes.
    """
    stated = getattr(source, "wind_directions", ())
    if stated:
        return tuple(stated)
    inner = getattr(source, "source", None)
    if inner is not None and inner.channels == source.channels:
        return wind_directions(inner)
    return ("",) * len(source.channels)


def to_dataset(source: Source, times: Times = slice(None)) -> xr.Dataset:
    """Reads a source into an xarray dataset, one variable (time, latitude, longitude) a channel.

    Fields without coordinates get the dimensions (time, row, column); those of an ensemble have the
    dimension ``member`` before these.
    """
    chosen = indices(times, len(source.time))
    fields = np.moveaxis(read_members(source, chosen), 1, 0)
    if member_count(source) == 1:
        fields = fields[0]
    dimensions, coordinates = field_coordinates(source, source.time[chosen])
    return xr.Dataset(
        {
            name: (dimensions, fields[..., c], field_attributes(source.grid, unit))
            for c, (name, unit) in enumerate(zip(source.channels, source.units))
        },
        coords=coordinates,
    )


def field_coordinates(source: Source, time: TimeAxis) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Returns the dimensions of a source's fields at some times, and their coordinates, for
    xarray."""
    dimensions = ("time", *horizontal_names(source.grid))
    coordinates = grid_coordinates(source.grid)
    if member_count(source) > 1:
        dimensions = ("member", *dimensions)
        coordinates |= member_coordinate(source.members)
    times = ("time", time.to_coordinate(), {"standard_name": "time"})
    return dimensions, {"time": times, **coordinates}


def member_coordinate(count: int) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    """Returns the CF coordinate ``member`` of an ensemble, counted from 0, for xarray."""
    return {"member": ("member", np.arange(count), {"standard_name": "realization", "units": "1"})}


def horizontal_names(grid: Grid) -> tuple[str, str]:
    """Returns the names of the dimensions of rows and columns as files have them."""
    if grid.has_coordinates:
        return "latitude", "longitude"
    return ("y", "x") if grid.has_distances else ("row", "column")


def grid_coordinates(grid: Grid) -> dict[str, tuple[Any, np.ndarray, dict[str, Any]]]:
    """Returns the CF coordinates of a grid, for xarray: dimensions, values and attributes by name.

    These are ``latitude`` and ``longitude``; on projected and rotated grids ``y``, ``x``, both of
    the former with two dimensions, and the ``grid_mapping`` :data:`MAPPING` where the projection is
    stated; none on grids of pixels.
    """
    places = {
        name: {"standard_name": name, "units": f"degrees_{toward}"}
        for name, toward in (("latitude", "north"), ("longitude", "east"))
    }
    if grid.has_coordinates:
        values = (grid.latitudes, grid.longitudes)
        return {name: (name, v, places[name]) for name, v in zip(places, values)}
    if not isinstance(grid, CurvilinearGrid):
        return {}
    coordinates: dict[str, tuple[Any, np.ndarray, dict[str, Any]]] = {
        name: (name, values, attributes)
        for name, values, attributes in zip("yx", (grid.y, grid.x), grid.axis_attributes())
    }
    if grid.has_points:
        for (name, attributes), values in zip(places.items(), grid.points()):
            coordinates[name] = (("y", "x"), values, attributes)
    if grid.projection:
        coordinates[MAPPING] = ((), np.array(0), grid.cf_mapping())
    return coordinates


def field_attributes(grid: Grid, unit: str) -> dict[str, str]:
    """Returns the attributes of a variable of fields: its units and its ``grid_mapping``."""
    attributes = {"units": unit} if unit else {}
    if getattr(grid, "projection", ""):
        attributes["grid_mapping"] = MAPPING
    return attributes
