"""Sources of fields: the protocol of all objects with channels, a grid, times and ``read``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import Grid
from phire.fields.time_axis import TimeAxis

MAPPING = "crs"
"""Name of the variable of a file that states the projection."""

Times = slice | Sequence[int] | np.ndarray
"""Slice or indices of fields along time."""

ALL = slice(None)
"""Slice of all members."""


@runtime_checkable
class Source(Protocol):
    """Series of fields, such as a field store, a NetCDF file, or predictions of a generator.

    Attributes:
        channels: Names of the channels.
        units: Units of each channel, an empty text if unknown.
        grid: Horizontal grid.
        time: Times of the fields.
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]
    grid: Grid
    time: TimeAxis

    def read(self, times: Times) -> np.ndarray:
        """Reads fields in physical units.

        Args:
            times: Slice, or indices of the times in any order.

        Returns:
            (n, H, W, C) float32; missing values are NaN.
        """
        ...


@runtime_checkable
class MemberSource(Source, Protocol):
    """Source of an ensemble, whose ``read`` returns the ensemble mean.

    Attributes:
        members: Number of members.
    """

    members: int

    def read_members(self, times: Times, members: slice = ALL) -> np.ndarray:
        """Reads fields of members in physical units: (n, m, H, W, C) float32.

        Args:
            times: Slice, or indices of the times in any order.
            members: Slice of the members; by default all.
        """
        ...


def member_count(source: Source) -> int:
    """Returns the number of members of a source; 1 if it is not an ensemble."""
    return getattr(source, "members", 1)


def read_members(source: Source, times: Times, members: slice = ALL) -> np.ndarray:
    """Reads fields of members: (n, m, H, W, C); a source that is not an ensemble has one.

    Args:
        source: The source.
        times: Indices of the fields.
        members: Slice of the members; by default all.
    """
    if member_count(source) == 1:
        return source.read(times)[:, None]
    # A source of only ``read_members(times)`` suffices where all members are read at once.
    return source.read_members(times) if members == ALL else source.read_members(times, members)


def close(source: Source) -> None:
    """Closes a source; does nothing if it has no method ``close``."""
    if hasattr(source, "close"):
        source.close()


class ArraySource:
    """Source of fields in memory.

    Args:
        fields: (n, H, W, C) in physical units.
        channels: Names of the channels; by default ``channel_0`` and so on.
        units: Units of each channel; by default unknown.
        grid: The grid; by default the one of a store without coordinates, see
            :meth:`phire.fields.grid.Grid.bare`.
        time: The times; by default steps from 0.

    Raises:
        InputError: The shape of ``fields`` does not fit the other arguments.
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
    """Returns times given as a slice or as indices, possibly negative, as indices from 0.

    Args:
        times: The slice or indices.
        count: Number of fields of the series.

    Raises:
        IndexError: An index is outside of the series.
    """
    if isinstance(times, slice):
        return np.arange(count)[times]
    times = np.atleast_1d(np.asarray(times, dtype=np.int64))
    if len(times) and (times.min() < -count or times.max() >= count):
        raise IndexError(f"times {times.min()}…{times.max()} lie outside the {count} fields")
    return times % max(count, 1)  # negative indices count from the end


class TimeSelection:
    """Source of selected times of another source.

    Args:
        source: The source.
        times: Indices of the fields, in the wanted order.
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

    def read_members(self, times: Times, members: slice = ALL) -> np.ndarray:
        """Reads fields of members; see :class:`MemberSource`."""
        return read_members(self.source, self.times[indices(times, len(self.times))], members)


WIND_DIRECTION = "wind_axes"
"""Attribute of variables in files, and of a store's channels, that states the wind direction."""


def wind_directions(source: Source) -> tuple[str, ...]:
    """Returns the axes of each channel that is a component of wind.

    ``grid`` means the axes of the source's grid; ``east`` means east and north; ``unturned`` means
    the axes of the grid that the fields were regridded from. The text is empty if the axes are
    unknown or the channel is not wind. A source without the attribute that wraps another source
    with the same channels has the axes of that source.
    """
    stated = getattr(source, "wind_directions", ())
    if stated:
        return tuple(stated)
    inner = getattr(source, "source", None)
    if inner is not None and inner.channels == source.channels:
        return wind_directions(inner)
    return ("",) * len(source.channels)


def to_dataset(source: Source, times: Times = slice(None)) -> xr.Dataset:
    """Reads a source into an xarray dataset with one variable for each channel.

    The dimensions are (time, latitude, longitude), or (time, row, column) without coordinates,
    or (time, y, x) on projected grids. An ensemble has ``member`` as the first dimension.

    Args:
        source: The source.
        times: Indices of the fields; by default all.
    """
    chosen = indices(times, len(source.time))
    fields = np.moveaxis(read_members(source, chosen), 1, 0)  # members first
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
    """Returns dimensions and coordinates of a source's fields for xarray.

    Args:
        source: The source.
        time: Times of the fields.
    """
    dimensions = ("time", *horizontal_names(source.grid))
    coordinates = grid_coordinates(source.grid)
    if member_count(source) > 1:
        dimensions = ("member", *dimensions)
        coordinates |= member_coordinate(source.members)
    times = ("time", time.to_coordinate(), {"standard_name": "time"})
    return dimensions, {"time": times, **coordinates}


def member_coordinate(count: int) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    """Returns the CF coordinate ``member`` of an ensemble for xarray; numbers start at 0."""
    return {"member": ("member", np.arange(count), {"standard_name": "realization", "units": "1"})}


def horizontal_names(grid: Grid) -> tuple[str, str]:
    """Returns the names of the dimensions of rows and columns in files."""
    if grid.has_coordinates:
        return "latitude", "longitude"
    return ("y", "x") if grid.has_distances else ("row", "column")


def grid_coordinates(grid: Grid) -> dict[str, tuple[Any, np.ndarray, dict[str, Any]]]:
    """Returns the CF coordinates of a grid for xarray: dimensions, values and attributes by name.

    A latitude–longitude grid has ``latitude`` and ``longitude``. A projected, rotated or
    curvilinear grid has ``y`` and ``x``, two-dimensional ``latitude`` and ``longitude``, and the
    grid mapping :data:`MAPPING` if its projection is known. A grid without coordinates has none.
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
    """Returns the CF attributes of a variable of fields: units and ``grid_mapping``, if known."""
    attributes = {"units": unit} if unit else {}
    if getattr(grid, "projection", ""):
        attributes["grid_mapping"] = MAPPING
    return attributes
