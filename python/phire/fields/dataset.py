"""xarray datasets as sources: which coordinate is which, by name and by CF attributes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields import units
from phire.fields.grid import Grid
from phire.fields.horizontal_coordinates import (
    HORIZONTAL,
    curvilinear_grid,
    is_horizontal,
    projected_dimensions,
    with_horizontal_coordinates,
)
from phire.fields.orientation import Orientation
from phire.fields.source import Times, indices
from phire.fields.time import TimeAxis

PIXELS = (("row", "column"), ("y", "x"))
"""Names of horizontal dimensions without coordinates."""

LEVELS = (
    "level", "lev", "plev", "pressure", "pressure_level", "model_level", "hybrid", "isobaricInhPa",
    "height", "heightAboveGround", "depth", "altitude",
)  # fmt: skip

PRESSURE_LEVELS = LEVELS[:8]

VERSIONS = "expver"
"""ERA5 and its preliminary ERA5T side by side: where one has values, the other has none."""

MEMBERS = ("number", "member", "realization", "ensemble")

LEAD_TIMES = ("step", "leadtime", "lead_time", "prediction_timedelta")

SECONDS = {
    "days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0, "milliseconds": 1e-3,
    "microseconds": 1e-6, "nanoseconds": 1e-9,
}  # fmt: skip


class DatasetSource:
    """Variables of an xarray dataset as a :class:`phire.fields.source.Source`.

    Rows are read from north to south and columns eastward, however the dataset orders them. Of the
    times, ``valid_time`` counts, or ``time`` plus ``step``; both axes are laid out as one.

    Args:
        dataset: Anything ``xarray.open_dataset`` gives, lazy or not.
        variables: The variables to read, a channel each; by default all that are fields.
        level: The value of the level coordinate to read, where variables have one.
        name: What errors call the dataset.

    Attributes:
        channels, units, grid, time: See :class:`phire.fields.source.Source`.
        standard_names: CF standard name of each channel; empty where it has none.
        has_levels: Whether a variable has a level that could be chosen.

    Raises:
        InputError: A variable, level or time axis is not there; the variables differ in grid or
            times; a level or member must be chosen.
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        *,
        variables: Sequence[str] | None = None,
        level: float | None = None,
        name: str = "the dataset",
    ) -> None:
        self.dataset = dataset = with_horizontal_coordinates(dataset)
        self.name = name
        found = field_variables(dataset)
        for variable in variables or ():
            if variable not in found:
                raise InputError(
                    f"{name} has no variable {variable!r} of fields; it has "
                    f"{', '.join(found) or 'none at all'}."
                )
        self.channels = tuple(variables or found)
        if not self.channels:
            raise InputError(
                f"{name} holds no variable with rows and columns (it has "
                f"{', '.join(map(str, dataset.variables)) or 'no variables'}): name a file of "
                "gridded fields."
            )
        self.has_levels = False
        self._arrays: list[xr.DataArray] = []
        for variable in self.channels:
            self._arrays.append(self._chosen(dataset[variable], level))
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
            self._time_dimensions, self.time = _times(first)
            self._orientation = orientation_of(first, dataset.attrs)
            for array in self._arrays[1:]:
                if _times(array)[1] != self.time:
                    raise InputError(f"{first.name} and {array.name} have different times.")
                if not orientation_of(array, dataset.attrs).grid.equals(self.grid):
                    raise InputError(f"{first.name} and {array.name} are on different grids.")
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        for array in self._arrays:
            left = set(array.dims) - {*self._time_dimensions, *_horizontal(array), VERSIONS}
            if left:
                raise InputError(
                    f"{name}: {array.name} has the further dimension {sorted(map(str, left))}."
                )

    @property
    def grid(self) -> Grid:
        """The grid, from north to south."""
        return self._orientation.grid

    @property
    def time_chunk(self) -> int:
        """Fields that lie in one compressed chunk of the file: reading fewer costs as much."""
        sizes = self._arrays[0].encoding.get("preferred_chunks", {})
        return int(sizes.get(self._time_dimensions[-1], 1)) if self._time_dimensions else 1

    def _chosen(self, array: xr.DataArray, level: float | None) -> xr.DataArray:
        """The array at one level, without dimensions of one element."""
        kept = (*_time_dimensions(array), *_horizontal(array), VERSIONS)
        levels = False
        for dimension in array.dims:
            if dimension in kept:
                continue
            values = array.coords[dimension].values if dimension in array.coords else None
            size = array.sizes[dimension]
            if dimension in MEMBERS or (size == 1 and dimension not in LEVELS):
                if size > 1:
                    raise InputError(
                        f"{self.name}: {array.name} holds {size} members along {dimension}: write "
                        "one of them to a file of its own first."
                    )
                array = array.isel({dimension: 0})
            else:
                levels = True
                place = self._level_place(array, dimension, values, level)
                array = array.isel({dimension: place})
        for name in PRESSURE_LEVELS:
            # One level, without a dimension: it must be the one asked for all the same.
            if not levels and name in array.coords and array.coords[name].ndim == 0:
                levels = True
                self._level_place(array, name, array.coords[name].values[None], level)
        self.has_levels |= levels
        return array

    def _level_place(
        self, array: xr.DataArray, dimension: Hashable, values: Any, level: float | None
    ) -> int:
        size = 1 if values is None else len(values)
        if level is None and size == 1:
            return 0
        if values is None:
            size = array.sizes[dimension]
            raise InputError(
                f"{self.name}: {array.name} has {size} elements along {dimension}, which has no "
                "coordinate to choose by: write the one you need to a file of its own first."
            )
        listed = ", ".join(f"{value:g}" for value in values)
        if level is None:
            raise InputError(
                f"{self.name}: {array.name} has {size} levels along {dimension}: choose one by "
                f"--level, of {listed}."
            )
        factor = 100 if array.coords[dimension].attrs.get("units") == "Pa" else 1
        for wanted in (level, level * factor):
            hit = np.flatnonzero(np.isclose(values.astype(float), wanted, rtol=1e-6))
            if len(hit):
                return int(hit[0])
        raise InputError(
            f"{self.name}: {array.name} has no level {level:g} along {dimension}, only {listed}."
        )

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        return self.read_window(times, slice(None), slice(None))

    def read_window(self, times: Times, rows: slice, columns: slice) -> np.ndarray:
        """Reads a window of fields: (n, h, w, C) float32."""
        chosen = indices(times, len(self.time))
        height, width = self.grid.shape
        shape = (len(chosen), len(range(height)[rows]), len(range(width)[columns]))
        fields = np.empty((*shape, len(self._arrays)), np.float32)
        for c, array in enumerate(self._arrays):
            down, across = _horizontal(array)
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
            self._read_as[c].apply(fields[..., c])
        return fields

    def _at(self, array: xr.DataArray, chosen: np.ndarray) -> Any:
        """Yields (places in the result, array at these times)."""
        dimensions = self._time_dimensions
        if not dimensions:
            yield slice(None), array
            return
        if len(dimensions) == 1:
            yield slice(None), array.isel({dimensions[0]: _as_slice(chosen)})
            return
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


def _first_present(versions: np.ndarray) -> np.ndarray:
    """Along the first axis, the first value that is not missing."""
    merged = versions[0]
    for other in versions[1:]:
        merged = np.where(np.isnan(merged), other, merged)
    return merged


def field_variables(dataset: xr.Dataset) -> list[str]:
    """The names of the variables that are fields: numbers over rows, columns and time.

    A variable without time is left out where others have one (a land–sea mask beside winds).
    """
    dataset = with_horizontal_coordinates(dataset)
    fields = [
        str(name)
        for name, array in dataset.data_vars.items()
        if array.dtype.kind in "fiu" and len(_horizontal(array)) == 2
    ]
    moving = [name for name in fields if _time_dimensions(dataset[name])]
    return moving or fields


def _horizontal(array: xr.DataArray) -> tuple[Hashable, ...]:
    """The dimensions of rows and columns; fewer than two where the array has none."""
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
    """Whether dimensions have latitudes and longitudes of their own."""
    return all(
        (dimension in array.coords and is_horizontal(array.coords[dimension], kind))
        or str(dimension).lower() in HORIZONTAL[kind][:2]
        for kind, dimension in zip(HORIZONTAL, dimensions)
    )


def orientation_of(array: xr.DataArray, attributes: Mapping[Hashable, Any]) -> Orientation:
    """Finds the grid of a variable, and how its file orders rows and columns.

    Args:
        array: The variable.
        attributes: Those of its file, which may state a projection.

    Raises:
        InputError: The coordinates make no grid.
    """
    down, across = _horizontal(array)
    if not _located(array, (down, across)):
        grid = curvilinear_grid(array, (down, across), attributes)
        if grid is None:
            return Orientation(Grid.pixels(array.sizes[down], array.sizes[across]))
        return Orientation.of_curvilinear(grid)
    for dimension in (down, across):
        if dimension not in array.coords:
            raise InputError(f"{array.name} has the dimension {dimension} without values.")
    return Orientation.of_coordinates(array.coords[down].values, array.coords[across].values)


def dataset_grid(dataset: xr.Dataset) -> Grid | None:
    """Returns the grid of a dataset's fields, else of its coordinates; None where it has neither.

    Raises:
        InputError: The coordinates make no grid.
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


def _validity(array: xr.DataArray) -> tuple[xr.DataArray | None, xr.DataArray | None]:
    """The coordinates of valid time and of the lead time to add to it; None where there is none."""
    coordinates = array.coords
    if "valid_time" in coordinates:
        return coordinates["valid_time"], None
    lead = next(
        (
            c
            for name, c in coordinates.items()
            if name in LEAD_TIMES or c.attrs.get("standard_name") == "forecast_period"
        ),
        None,
    )
    for standard in ("time", "forecast_reference_time"):
        for coordinate in coordinates.values():
            if coordinate.attrs.get("standard_name") == standard and coordinate.ndim < 3:
                return coordinate, lead
    for name in ("time", "t", "forecast_reference_time"):
        if name in coordinates:
            return coordinates[name], lead
    for dimension in array.dims:
        if dimension in coordinates and coordinates[dimension].dtype.kind in "M":
            return coordinates[dimension], lead
    return None, lead


def _time_dimensions(array: xr.DataArray) -> tuple[Hashable, ...]:
    valid, lead = _validity(array)
    found: list[Hashable] = []
    for coordinate in (valid, lead):
        for dimension in () if coordinate is None else coordinate.dims:
            if dimension not in found and dimension in array.dims:
                found.append(dimension)
    if not found:
        found = [d for d in array.dims if str(d).lower() in ("time", "valid_time")]
    return tuple(found)


def _times(array: xr.DataArray) -> tuple[tuple[Hashable, ...], TimeAxis]:
    """The dimensions along time, outermost first, and the times laid out along them."""
    dimensions = _time_dimensions(array)
    valid, lead = _validity(array)
    if valid is None:
        if dimensions:  # a dimension by the name of time, without values: its fields are counted
            return dimensions, TimeAxis.steps(array.sizes[dimensions[0]])
        raise InputError(
            f"{array.name} has no time axis (its dimensions are "
            f"{', '.join(map(str, array.dims))}): give it a coordinate `time`."
        )
    shape = tuple(array.sizes[dimension] for dimension in dimensions)
    axis = TimeAxis.from_coordinate(_whole(valid.values).ravel())
    seconds = xr.DataArray(axis.values.reshape(valid.shape), dims=valid.dims)
    if lead is not None:
        seconds = seconds + xr.DataArray(_lead_seconds(lead), dims=lead.dims)
    layout = xr.DataArray(np.zeros(shape, np.int64), dims=dimensions)
    return dimensions, TimeAxis((layout + seconds).transpose(*dimensions).values.ravel(),
                                axis.calendar)  # fmt: skip


def _whole(values: np.ndarray) -> np.ndarray:
    """Step numbers that a file keeps as floating-point numbers, as integers."""
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all():
        return values.astype(np.int64)
    return values


def _lead_seconds(lead: xr.DataArray) -> np.ndarray:
    """A lead time in whole seconds."""
    if lead.dtype.kind == "m":
        return lead.values.astype("timedelta64[s]").astype(np.int64)
    units = str(lead.attrs.get("units", "")).lower()
    for name, length in SECONDS.items():
        if units in (name, name[:-1], {"hours": "h", "seconds": "s"}.get(name)):
            return np.rint(np.asarray(lead.values, np.float64) * length).astype(np.int64)
    raise InputError(
        f"the lead time {lead.name} has the units {units or 'none'!r}: it must be in one of "
        f"{', '.join(SECONDS)}."
    )


def _as_slice(chosen: np.ndarray) -> slice | np.ndarray:
    """A run of indices as a slice, which files read faster than a list of indices."""
    if len(chosen) and (np.diff(chosen) == 1).all():
        return slice(int(chosen[0]), int(chosen[-1]) + 1)
    return chosen
