"""Horizontal coordinates of xarray variables, found by names, CF attributes and projections."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields import units
from phire.fields.curvilinear import CurvilinearGrid

HORIZONTAL = {
    "latitude": ("latitude", "lat", "degrees_north", "degree_north"),
    "longitude": ("longitude", "lon", "degrees_east", "degree_east"),
}
"""Two names, then two units, by which a horizontal coordinate is recognised."""

PROJECTED = (
    ("projection_y_coordinate", "projection_x_coordinate"),
    ("grid_latitude", "grid_longitude"),
)
"""CF standard names of the coordinates of projected and of rotated grids."""

DEGREES = ("degrees", "degree", "degrees_north", "degrees_east")

PROJ_TEXT = ("proj4", "proj4_params", "proj4text", "crs_wkt", "spatial_ref")
"""Attributes of variables or files that may state a projection as text."""


def is_horizontal(array: xr.DataArray, kind: str) -> bool:
    """Returns True if a variable holds latitudes or longitudes, by name, standard name or units.

    Args:
        array: The variable.
        kind: ``latitude`` or ``longitude``.
    """
    attributes = array.attrs
    return (
        str(array.name).lower() in HORIZONTAL[kind][:2]
        or attributes.get("standard_name") == kind
        or str(attributes.get("units", "")).lower() in HORIZONTAL[kind][2:]
    )


def with_horizontal_coordinates(dataset: xr.Dataset) -> xr.Dataset:
    """Returns a dataset whose 2-D latitudes and longitudes and grid mappings are coordinates.

    xarray reads them as variables if the file does not list them in an attribute ``coordinates``.
    """
    mappings = {
        str({**array.encoding, **array.attrs}.get("grid_mapping", ""))
        for array in dataset.data_vars.values()
    }
    found = [
        name
        for name, array in dataset.data_vars.items()
        if (array.ndim == 2 and _is_point_coordinate(array)) or str(name) in mappings
    ]
    return dataset.set_coords(found) if found else dataset


def _is_point_coordinate(array: xr.DataArray) -> bool:
    return any(
        str(array.name).lower() in HORIZONTAL[kind][:2] or array.attrs.get("standard_name") == kind
        for kind in HORIZONTAL
    )


def projected_dimensions(array: xr.DataArray) -> tuple[Hashable, ...]:
    """Returns the row and column dimensions of a projected, rotated or curvilinear grid.

    The result is an empty tuple for a variable on another grid.
    """
    for names in PROJECTED:
        found = [
            dimension
            for name in names
            for dimension in array.dims
            if dimension in array.coords
            and array.coords[dimension].attrs.get("standard_name") == name
        ]
        if len(found) == 2:
            return tuple(found)
    points = _point_coordinates(array)
    return points[0].dims if points else ()


def _point_coordinates(array: xr.DataArray) -> list[xr.DataArray]:
    """Returns the two-dimensional latitudes and longitudes of a variable; else an empty list."""
    found = []
    for kind in HORIZONTAL:
        for coordinate in array.coords.values():
            if (
                coordinate.ndim == 2
                and is_horizontal(coordinate, kind)
                and set(coordinate.dims) <= set(array.dims)
            ):
                found.append(coordinate)
                break
    return found if len(found) == 2 else []


def curvilinear_grid(
    array: xr.DataArray, dimensions: tuple[Hashable, ...], attributes: Mapping[Hashable, Any]
) -> CurvilinearGrid | None:
    """Returns the grid of a variable without one-dimensional latitudes and longitudes.

    Args:
        array: The variable.
        dimensions: Its dimensions of rows and columns.
        attributes: Global attributes of its file.

    Returns:
        The grid in the file's order of rows and columns; None if the file has neither projected
        coordinates nor two-dimensional latitudes and longitudes.

    Raises:
        InputError: The coordinates do not form a grid, or the projection is invalid.
    """
    projection = _projection(array, attributes)
    points = _point_coordinates(array)
    axes = [_axis(array, dimension) for dimension in dimensions]
    if all(axis is not None for axis in axes):
        values, kinds = zip(*axes)
        # Rotated degrees without a stated pole do not locate the points. In that case the file's
        # two-dimensional latitudes and longitudes are used.
        if projection or not (points or "degrees" in kinds):
            return CurvilinearGrid.projected(*values, projection)
    if not points:
        return None
    return CurvilinearGrid.of_points(*(c.transpose(*dimensions).values for c in points))


def _axis(array: xr.DataArray, dimension: Hashable) -> tuple[np.ndarray, str] | None:
    """Returns a dimension's values in metres or rotated degrees, and the unit.

    Returns None if the dimension has no values, or values in another unit.
    """
    if dimension not in array.coords:
        return None
    coordinate = array.coords[dimension]
    unit = str(coordinate.attrs.get("units", ""))
    if unit in DEGREES:  # told without the registry of units, which takes half a second to load
        if coordinate.attrs.get("standard_name") not in PROJECTED[1]:
            return None
        return np.asarray(coordinate.values, np.float64), "degrees"
    metres = (1.0, 0.0) if unit == "m" else units.conversion(unit, "m") if unit else None
    if metres is None:
        return None
    return np.asarray(coordinate.values, np.float64) * metres[0], "m"


def _projection(array: xr.DataArray, attributes: Mapping[Hashable, Any]) -> Any:
    """Returns the projection of a variable: a pyproj CRS, or PROJ text; empty if none is stated.

    Raises:
        InputError: The variable names a grid mapping that does not exist or is not valid.
    """
    stated: dict[Hashable, Any] = {}
    name = str({**array.encoding, **array.attrs}.get("grid_mapping", "")).split(":")[0]
    if name:
        if name not in array.coords:
            raise InputError(
                f"{array.name} names the grid_mapping {name!r}, which the file does not have: add "
                "it, or remove the attribute."
            )
        import pyproj

        stated = dict(array.coords[name].attrs)
        if "grid_mapping_name" in stated or "crs_wkt" in stated:
            try:
                return pyproj.CRS.from_cf(stated)
            except (KeyError, pyproj.exceptions.CRSError) as error:
                raise InputError(
                    f"the grid_mapping {name!r} is not a valid projection: {error}"
                ) from None
    for place in (stated, array.attrs, attributes):
        for key in PROJ_TEXT:
            if place.get(key):
                return str(place[key])
    return ""
