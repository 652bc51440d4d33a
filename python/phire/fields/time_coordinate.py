"""Times of xarray variables, from coordinates of valid time, reference time and lead time."""

from __future__ import annotations

from collections.abc import Hashable

import cftime
import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields import units
from phire.fields.time_axis import TimeAxis, float_precision
from phire.fields.units import instantaneous

LEAD_TIMES = ("step", "leadtime", "lead_time", "prediction_timedelta")


def _validity(array: xr.DataArray) -> tuple[xr.DataArray | None, xr.DataArray | None]:
    """Returns the coordinate of time, and that of the lead time, which is added to it.

    Each is None if the array does not have it.
    """
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


def time_dimensions(array: xr.DataArray) -> tuple[Hashable, ...]:
    """Returns the dimensions of a variable's times, outermost first; two for forecasts."""
    valid, lead = _validity(array)
    found: list[Hashable] = []
    for coordinate in (valid, lead):
        for dimension in () if coordinate is None else coordinate.dims:
            if dimension not in found and dimension in array.dims:
                found.append(dimension)
    if not found:
        found = [d for d in array.dims if str(d).lower() in ("time", "valid_time")]
    return tuple(found)


def times_of(array: xr.DataArray) -> tuple[tuple[Hashable, ...], TimeAxis]:
    """Returns the time dimensions of a variable, and its times in the order of these dimensions.

    A variable without times has a single step. Times stored as 32-bit floating-point numbers are
    inexact and are rounded (:meth:`TimeAxis.rounded`).
    """
    dimensions = time_dimensions(array)
    valid, lead = _validity(array)
    if valid is None:
        if dimensions:  # a dimension of time without values: fields are numbered
            return dimensions, TimeAxis.steps(array.sizes[dimensions[0]])
        return (), TimeAxis.steps(1)
    shape = tuple(array.sizes[dimension] for dimension in dimensions)
    axis = TimeAxis.from_coordinate(_whole(valid.values).ravel())
    precision = _precision(valid, axis)
    if precision:
        axis = axis.rounded(precision)
    seconds = xr.DataArray(axis.values.reshape(valid.shape), dims=valid.dims)
    if lead is not None:
        seconds = seconds + xr.DataArray(_lead_seconds(lead), dims=lead.dims)
    layout = xr.DataArray(np.zeros(shape, np.int64), dims=dimensions)
    return dimensions, TimeAxis((layout + seconds).transpose(*dimensions).values.ravel(),
                                axis.calendar)  # fmt: skip


def interval_starts_of(array: xr.DataArray, bounds: xr.DataArray | None) -> np.ndarray | None:
    """Returns the time at which the accumulation of each field begins.

    Args:
        array: The variable.
        bounds: CF bounds of its times; None if the file has none.

    Returns:
        (n,) seconds, in the order of :func:`times_of`: the lower bounds of the times, or else the
        starts of the forecasts; for instantaneous fields (by GRIB's step type) their times. None
        if the file states neither.
    """
    dimensions = time_dimensions(array)
    if not dimensions:
        return None
    if instantaneous(array.attrs.get("GRIB_stepType"), str(array.attrs.get("units", ""))):
        return times_of(array)[1].values
    stated = None
    if bounds is not None and bounds.ndim == 2:
        stated = bounds[:, 0]
    else:
        valid, lead = _validity(array)
        if lead is not None:
            stated = valid
        elif "valid_time" in array.coords:
            stated = next(
                (
                    array.coords[name]
                    for name in ("forecast_reference_time", "time")
                    if name in array.coords and array.coords[name].dtype == valid.dtype
                ),
                None,
            )
    if stated is None or not set(stated.dims) <= set(dimensions):
        return None
    try:
        axis = TimeAxis.from_coordinate(np.ravel(stated.values))
    except InputError:
        return None
    seconds = xr.DataArray(axis.values.reshape(stated.shape), dims=stated.dims)
    shape = tuple(array.sizes[dimension] for dimension in dimensions)
    layout = xr.DataArray(np.zeros(shape, np.int64), dims=dimensions)
    return (layout + seconds).transpose(*dimensions).values.ravel()


def time_bounds(array: xr.DataArray, dataset: xr.Dataset) -> xr.DataArray | None:
    """Returns the CF bounds of a variable's times; None if the file has none."""
    valid, lead = _validity(array)
    if valid is None or lead is not None:
        return None
    name = valid.attrs.get("bounds", valid.encoding.get("bounds"))
    return dataset[name] if name in dataset.variables else None


def _whole(values: np.ndarray) -> np.ndarray:
    """Returns step numbers stored as floating-point numbers as integers."""
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all():
        return values.astype(np.int64)
    return values


def _lead_seconds(lead: xr.DataArray) -> np.ndarray:
    """Returns a lead time in whole seconds."""
    if lead.dtype.kind == "m":
        return lead.values.astype("timedelta64[s]").astype(np.int64)
    stated = str(lead.attrs.get("units", "")).lower()
    # Months and years have no fixed length; the registry would convert them by their mean.
    has_fixed_length = stated and not any(word in stated for word in ("month", "year"))
    found = units.conversion(stated, "s") if has_fixed_length else None
    if found is None:
        raise InputError(
            f"the lead time {lead.name} has the units {stated or 'none'!r}: give units of time, "
            "such as hours."
        )
    return np.rint(np.asarray(lead.values, np.float64) * found[0]).astype(np.int64)


def _precision(coordinate: xr.DataArray, axis: TimeAxis) -> float:
    """Returns the precision (s) of a decoded time coordinate; 0 if its values were exact.

    Args:
        coordinate: The coordinate, with xarray's encoding.
        axis: Its times.
    """
    encoding = coordinate.encoding
    if encoding.get("dtype") != np.float32 or not axis.has_calendar:
        return 0.0
    units = str(encoding.get("units", ""))
    stored = cftime.date2num(axis[[0, -1]].dates(), units, calendar=axis.calendar)
    return float_precision(np.asarray(stored, np.float32), units)
