"""xarray datasets read as sources, with coordinates found by name and by CF attributes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields import units
from phire.fields.further_dimensions import choose, has_further
from phire.fields.grid import Grid
from phire.fields.horizontal_coordinates import (
    HORIZONTAL,
    curvilinear_grid,
    is_horizontal,
    projected_dimensions,
    with_horizontal_coordinates,
)
from phire.fields.orientation import Orientation
from phire.fields.source import WIND_DIRECTION, Times, indices
from phire.fields.time_axis import UNKNOWN
from phire.fields.time_coordinate import (
    interval_starts_of,
    time_bounds,
    time_dimensions,
    times_of,
)

PIXELS = (("row", "column"), ("y", "x"))
"""Names of horizontal dimensions without coordinates."""

WIND_DIRECTIONS = {
    "x_wind": "grid", "y_wind": "grid", "grid_eastward_wind": "grid", "grid_northward_wind": "grid",
    "eastward_wind": "east", "northward_wind": "east",
}  # fmt: skip
"""Axes of wind components by CF standard name: those of the grid, or east and north."""

VERSIONS = "expver"
"""Dimension of ERA5 and preliminary ERA5T: each time has values in one and NaN in the other."""


class DatasetSource:
    """Source of the variables of an xarray dataset.

    Rows are read from north to south and columns eastward, whatever their order in the dataset.
    The time of a forecast field is ``valid_time``, or ``time`` plus ``step``; its two dimensions
    become one.

    Args:
        dataset: The dataset, lazy or in memory.
        variables: Variables to read, one channel each; by default all that are fields.
        level: Value of the level coordinate to read, for variables with levels.
        member: Number of the ensemble member to read, for variables with members.
        name: Name of the dataset in messages.

    Attributes:
        channels, units, grid, time: See :class:`phire.fields.source.Source`.
        standard_names: CF standard name of each channel, empty if unknown.
        has_levels: True if a variable has levels to choose from.
        has_members: True if a variable has members to choose from.

    Raises:
        InputError: A variable, level or time axis does not exist; grids or times differ between
            variables; or a level or member must be chosen.
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        *,
        variables: Sequence[str] | None = None,
        level: float | None = None,
        member: int | None = None,
        name: str = "the dataset",
    ) -> None:
        self.dataset = dataset = with_horizontal_coordinates(dataset)
        self.name = name
        found = field_variables(dataset, variables)
        self.channels = _channels(dataset, found, variables, name)
        field_dimensions = {
            v: (*time_dimensions(dataset[v]), *horizontal_dimensions(dataset[v]), VERSIONS)
            for v in found
        }
        others = [v for v in found if not has_further(dataset[v], field_dimensions[v])]
        choices = {"level": level, "member": member, "others": others, "name": name}
        chosen = [
            choose(dataset[v], field_dimensions=field_dimensions[v], **choices)
            for v in self.channels
        ]
        self._arrays = [array for array, _ in chosen]
        self.has_levels = any("level" in found for _, found in chosen)
        self.has_members = any("member" in found for _, found in chosen)
        self._read_as = [
            units.in_kelvin(str(array.attrs.get("units", "")), array.attrs)
            for array in self._arrays
        ]
        self.units = tuple(rule.units for rule in self._read_as)
        self.standard_names = tuple(
            str(array.attrs.get("standard_name", "")) for array in self._arrays
        )
        first = self._arrays[0]
        try:
            self._time_dimensions, self.time = times_of(first)
            self._orientation = orientation_of(first, dataset.attrs)
            for array in self._arrays[1:]:
                if times_of(array)[1] != self.time:
                    raise InputError(
                        f"{first.name} and {array.name} have different times: choose --variables "
                        "with the same times."
                    )
                if not orientation_of(array, dataset.attrs).grid.equals(self.grid):
                    raise InputError(
                        f"{first.name} and {array.name} are on different grids: choose "
                        "--variables of one grid."
                    )
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        self._refuse_further_dimensions()

    def _refuse_further_dimensions(self) -> None:
        """Raises an InputError for a variable with other dimensions than time and horizontal."""
        for array in self._arrays:
            expected = {*self._time_dimensions, *horizontal_dimensions(array), VERSIONS}
            further = set(array.dims) - expected
            if further:
                raise InputError(
                    f"{self.name}: {array.name} has the further dimension "
                    f"{', '.join(sorted(map(str, further)))}: select one element of it first."
                )

    @property
    def wind_directions(self) -> tuple[str, ...]:
        """Axes of wind components, by attribute or standard name.

        See :func:`phire.fields.source.wind_directions`.
        """
        return tuple(
            str(array.attrs.get(WIND_DIRECTION) or WIND_DIRECTIONS.get(name, ""))
            for array, name in zip(self._arrays, self.standard_names)
        )

    @property
    def interval_starts(self) -> np.ndarray:
        """Seconds at which the accumulation of each field begins: (n, C), UNKNOWN if not stated."""
        starts = [interval_starts_of(a, time_bounds(a, self.dataset)) for a in self._arrays]
        unknown = np.full(len(self.time), UNKNOWN)
        return np.stack([unknown if s is None else s for s in starts], axis=1)

    @property
    def grid(self) -> Grid:
        """Grid of the fields as read: rows from north to south."""
        return self._orientation.grid

    @property
    def time_chunk(self) -> int:
        """Number of fields in one compressed chunk of the file; reading fewer takes as long."""
        sizes = self._arrays[0].encoding.get("preferred_chunks", {})
        return int(sizes.get(self._time_dimensions[-1], 1)) if self._time_dimensions else 1

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        return self.read_window(times, slice(None), slice(None))

    def read_window(self, times: Times, rows: slice, columns: slice) -> np.ndarray:
        """Reads a window of fields.

        Args:
            times: Indices of the times.
            rows, columns: The window, in the order of :attr:`grid`.

        Returns:
            (n, h, w, C) float32.
        """
        chosen = indices(times, len(self.time))
        height, width = self.grid.shape
        shape = (len(chosen), len(range(height)[rows]), len(range(width)[columns]))
        fields = np.empty((*shape, len(self._arrays)), np.float32)
        for c, array in enumerate(self._arrays):
            down, across = horizontal_dimensions(array)
            window = array.isel(
                {
                    down: self._orientation.file_rows(rows, array.sizes[down]),
                    across: self._orientation.file_columns(columns, array.sizes[across]),
                }
            )
            for place, part in self._at(window, chosen):
                values = part.transpose(VERSIONS, ..., down, across, missing_dims="ignore").values
                if VERSIONS in part.dims:
                    values = _first_present(values)
                fields[place, ..., c] = self._orientation.turned(values)
            self._read_as[c].apply(fields[..., c])  # temperatures to K
        return fields

    def _at(self, array: xr.DataArray, chosen: np.ndarray) -> Any:
        """Yields positions in the result of a read, and the array at the times of these positions.

        Args:
            array: A variable.
            chosen: (n,) indices of the times.
        """
        dimensions = self._time_dimensions
        if not dimensions:
            yield slice(None), array
            return
        if len(dimensions) == 1:
            yield slice(None), array.isel({dimensions[0]: _as_slice(chosen)})
            return
        # Forecasts: the times are numbered start by start, within a start step by step.
        outer, inner = np.divmod(chosen, array.sizes[dimensions[1]])
        for i in np.unique(outer):
            place = np.flatnonzero(outer == i)
            at = {dimensions[0]: int(i), dimensions[1]: _as_slice(inner[place])}
            yield place, array.isel(at)

    def close(self) -> None:
        """Closes the dataset's file."""
        self.dataset.close()

    def __enter__(self) -> DatasetSource:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _channels(
    dataset: xr.Dataset, found: Sequence[str], wanted: Sequence[str] | None, name: str
) -> tuple[str, ...]:
    """Returns the names of the variables to read, in the wanted order.

    Args:
        dataset: The dataset.
        found: Its variables that are fields.
        wanted: Names given by the caller; None for all fields.
        name: Name of the dataset in messages.

    Raises:
        InputError: A wanted variable is not a field of the dataset, or the dataset has no field.
    """
    for variable in wanted or ():
        if variable not in found:
            raise InputError(
                f"{name} has no variable {variable!r} of fields; its fields are "
                f"{', '.join(found) or 'none'}."
            )
    channels = tuple(wanted or found)
    if not channels:
        raise InputError(
            f"{name} has no variable with rows and columns (it has "
            f"{', '.join(map(str, dataset.variables)) or 'no variables'}): name a file of "
            "gridded fields."
        )
    return channels


def _first_present(versions: np.ndarray) -> np.ndarray:
    """Returns the first valid value along the first axis, NaN if all are missing."""
    merged = versions[0]
    for other in versions[1:]:
        merged = np.where(np.isnan(merged), other, merged)
    return merged


def field_variables(dataset: xr.Dataset, wanted: Sequence[str] | None = None) -> list[str]:
    """Returns the names of the variables that are fields: numbers over rows, columns and time.

    Variables without a time dimension, such as a land–sea mask, count only if no other variable
    has one, or if all wanted variables are without time.

    Args:
        dataset: The dataset.
        wanted: Names of the variables that are to be read; None if not known.
    """
    dataset = with_horizontal_coordinates(dataset)
    fields = [
        str(name)
        for name, array in dataset.data_vars.items()
        if array.dtype.kind in "fiu" and len(horizontal_dimensions(array)) == 2
    ]
    # A mask beside winds is not a channel of fields.
    with_time = [name for name in fields if time_dimensions(dataset[name])]
    static = [name for name in fields if name not in with_time]
    if wanted and set(wanted) <= set(static):
        return static
    return with_time or fields


def horizontal_dimensions(array: xr.DataArray) -> tuple[Hashable, ...]:
    """Returns the dimensions of rows and columns; an empty tuple if the array lacks one."""
    found = []
    for kind in HORIZONTAL:
        for dimension in array.dims:
            coordinate = array.coords.get(dimension)
            named = str(dimension).lower() in HORIZONTAL[kind][:2]
            if (coordinate is not None and is_horizontal(coordinate, kind)) or named:
                found.append(dimension)
                break
    if len(found) == 2:
        return tuple(found)
    pair = projected_dimensions(array)
    if pair:
        return pair
    for pair in PIXELS:
        if set(pair) <= set(array.dims):
            return pair
    return ()


def _located(array: xr.DataArray, dimensions: tuple[Hashable, ...]) -> bool:
    """Returns True if the two dimensions are those of one-dimensional latitude and longitude."""
    return all(
        (dimension in array.coords and is_horizontal(array.coords[dimension], kind))
        or str(dimension).lower() in HORIZONTAL[kind][:2]
        for kind, dimension in zip(HORIZONTAL, dimensions)
    )


def orientation_of(array: xr.DataArray, attributes: Mapping[Hashable, Any]) -> Orientation:
    """Returns the grid of a variable with the order of rows and columns in its file.

    Args:
        array: The variable.
        attributes: Global attributes of its file, which may state a projection.

    Raises:
        InputError: The coordinates do not form a grid.
    """
    down, across = horizontal_dimensions(array)
    if not _located(array, (down, across)):
        grid = curvilinear_grid(array, (down, across), attributes)
        if grid is None:
            return Orientation(Grid.pixels(array.sizes[down], array.sizes[across]))
        return Orientation.of_curvilinear(grid)
    for dimension in (down, across):
        if dimension not in array.coords:
            raise InputError(
                f"{array.name}: the dimension {dimension} has no coordinate values, so its grid "
                "is unknown: add the coordinate to the file."
            )
    return Orientation.of_coordinates(array.coords[down].values, array.coords[across].values)


def dataset_grid(dataset: xr.Dataset) -> Grid | None:
    """Returns the grid of a dataset's fields, or else of its coordinates; None if it has neither.

    Raises:
        InputError: The coordinates do not form a grid.
    """
    dataset = with_horizontal_coordinates(dataset)
    for name in field_variables(dataset):
        return orientation_of(dataset[name], dataset.attrs).grid
    axes = [
        next((c for c in dataset.coords.values() if c.ndim == 1 and is_horizontal(c, kind)), None)
        for kind in HORIZONTAL
    ]
    if any(axis is None for axis in axes):
        return None
    return Orientation.of_coordinates(*(axis.values for axis in axes)).grid


def _as_slice(chosen: np.ndarray) -> slice | np.ndarray:
    """Returns consecutive indices as a slice, which file libraries read faster than a list."""
    if len(chosen) and (np.diff(chosen) == 1).all():
        return slice(int(chosen[0]), int(chosen[-1]) + 1)
    return chosen
