"""Choice of a level and an ensemble member of variables with further dimensions."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence

import numpy as np
import xarray as xr

from phire.errors import InputError

LEVELS = (
    "level", "lev", "plev", "pressure", "pressure_level", "model_level", "hybrid", "isobaricInhPa",
    "height", "heightAboveGround", "depth", "altitude",
)  # fmt: skip

PRESSURE_LEVELS = LEVELS[:8]

MEMBERS = ("number", "member", "realization", "ensemble")


def choose(
    array: xr.DataArray,
    *,
    field_dimensions: Collection[Hashable],
    level: float | None,
    member: int | None,
    others: Sequence[str],
    name: str,
) -> tuple[xr.DataArray, set[str]]:
    """Selects one level and one member of an array, and drops dimensions of size 1.

    Args:
        array: A variable.
        field_dimensions: Dimensions that are not reduced: time, rows and columns.
        level: Value of the level coordinate; None if there is only one level.
        member: Number of the ensemble member: the value of its coordinate, or its index from 0 if
            it has no coordinate; None if there is only one member.
        others: Variables of the file without further dimensions, for the message.
        name: Name of the file in messages.

    Returns:
        The array; and a set with ``"level"`` if it has levels, and ``"member"`` if it has members.

    Raises:
        InputError: A level or member has to be chosen, or the chosen one does not exist.
    """
    found: set[str] = set()
    for dimension in array.dims:
        if dimension in field_dimensions:
            continue
        size = array.sizes[dimension]
        if _is_member(array, dimension):
            found.add("member")
            array = array.isel({dimension: _member_place(array, dimension, member, name)})
        elif size == 1 and dimension not in LEVELS:
            array = array.isel({dimension: 0})
        else:
            found.add("level")
            array = array.isel({dimension: _level_place(array, dimension, level, others, name)})
    for coordinate in PRESSURE_LEVELS:
        # A scalar level coordinate: the level must be equal to the one requested.
        if (
            "level" not in found
            and coordinate in array.coords
            and not array.coords[coordinate].ndim
        ):
            found.add("level")
            _level_place(array, coordinate, level, others, name)
    return array, found


def has_further(array: xr.DataArray, field_dimensions: Collection[Hashable]) -> bool:
    """Returns True if an array has several elements along a dimension not listed."""
    return any(
        size > 1 for dimension, size in array.sizes.items() if dimension not in field_dimensions
    )


def _is_member(array: xr.DataArray, dimension: Hashable) -> bool:
    coordinate = array.coords.get(dimension)
    named = coordinate is not None and coordinate.attrs.get("standard_name") == "realization"
    return dimension in MEMBERS or named


def _member_place(array: xr.DataArray, dimension: Hashable, member: int | None, name: str) -> int:
    """Returns the index of a member along a dimension.

    Raises:
        InputError: A member has to be chosen, or the chosen one does not exist.
    """
    size = array.sizes[dimension]
    values = np.arange(size)
    if dimension in array.coords and array.coords[dimension].dtype.kind in "iuf":
        values = array.coords[dimension].values
    if member is None and size == 1:
        return 0
    hit = [] if member is None else np.flatnonzero(values == member)
    if len(hit):
        return int(hit[0])
    says = f"has no member {member}" if member is not None else f"has {size} members"
    raise InputError(
        f"{name}: {array.name} {says} along {dimension}: choose --member among {_listed(values)}."
    )


def _level_place(
    array: xr.DataArray, dimension: Hashable, level: float | None, others: Sequence[str], name: str
) -> int:
    """Returns the index of a level along a dimension, or 0 for a scalar coordinate.

    Raises:
        InputError: A level has to be chosen, or the chosen one does not exist.
    """
    # array.coords[dimension] of a dimension without coordinate would return its indices.
    coordinate = array.coords[dimension] if dimension in array.coords else None
    size = array.sizes.get(dimension, 1)
    if level is None and size == 1:
        return 0
    values = None if coordinate is None else np.atleast_1d(coordinate.values)
    other = f" or name {', '.join(others)} by --variables" if others else ""
    if values is None or values.dtype.kind not in "iuf" or np.isnan(values.astype(float)).any():
        without = "which has no coordinate" if values is None else "whose values are not numbers"
        raise InputError(
            f"{name}: {array.name} has {size} elements along {dimension}, {without}, so none can "
            f"be chosen: write the one you need to a separate file{other}."
        )
    listed = _listed(values)
    if level is None:
        kind = "levels" if _is_level(coordinate, dimension) else "elements"
        raise InputError(
            f"{name}: {array.name} has {size} {kind} along {dimension}: choose --level among "
            f"{listed}{',' * bool(other)}{other}."
        )
    # A level in hPa, as GRIB states it, also matches a coordinate in Pa.
    factor = 100 if coordinate.attrs.get("units") == "Pa" else 1
    for wanted in (level, level * factor):
        hit = np.flatnonzero(np.isclose(values.astype(float), wanted, rtol=1e-6))
        if len(hit):
            return int(hit[0])
    raise InputError(
        f"{name}: {array.name} has no level {level:g} along {dimension}, only {listed}."
    )


def _is_level(coordinate: xr.DataArray, dimension: Hashable) -> bool:
    attributes = coordinate.attrs
    return dimension in LEVELS or "positive" in attributes or attributes.get("axis") == "Z"


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in values)
