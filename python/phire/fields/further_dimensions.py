"""Dimensions of a variable besides time, rows and columns: levels and ensemble members."""

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
    kept: Collection[Hashable],
    level: float | None,
    member: int | None,
    others: Sequence[str],
    name: str,
) -> tuple[xr.DataArray, set[str]]:
    """Takes one level and one member of an array; drops dimensions of one element.

    Args:
        array: A variable.
        kept: Its dimensions that stay.
        level: The value of the level coordinate; None where there is one level only.
        member: The number of the ensemble's member: the value of its coordinate, or counted from 0
            without one; None where there is one only.
        others: Variables of the file without further dimensions, for the message.
        name: What errors call the file.

    Returns:
        The array, and which of ``level`` and ``member`` there were to choose.

    Raises:
        InputError: A level or member must be chosen, or is not there.
    """
    found: set[str] = set()
    for dimension in array.dims:
        if dimension in kept:
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
        # One level, without a dimension: it must be the one asked for all the same.
        if (
            "level" not in found
            and coordinate in array.coords
            and not array.coords[coordinate].ndim
        ):
            found.add("level")
            _level_place(array, coordinate, level, others, name)
    return array, found


def has_further(array: xr.DataArray, kept: Collection[Hashable]) -> bool:
    """Returns True if an array has a dimension of several elements that is not in ``kept``."""
    return any(size > 1 for dimension, size in array.sizes.items() if dimension not in kept)


def _is_member(array: xr.DataArray, dimension: Hashable) -> bool:
    coordinate = array.coords.get(dimension)
    named = coordinate is not None and coordinate.attrs.get("standard_name") == "realization"
    return dimension in MEMBERS or named


def _member_place(array: xr.DataArray, dimension: Hashable, member: int | None, name: str) -> int:
    size = array.sizes[dimension]
    values = np.arange(size)
    if dimension in array.coords and array.coords[dimension].dtype.kind in "iuf":
        values = array.coords[dimension].values
    if member is None and size == 1:
        return 0
    hit = [] if member is None else np.flatnonzero(values == member)
    if len(hit):
        return int(hit[0])
    says = f"has no member {member}" if member is not None else f"holds {size} members"
    raise InputError(
        f"{name}: {array.name} {says} along {dimension}: choose one by --member, of "
        f"{_listed(values)}."
    )


def _level_place(
    array: xr.DataArray, dimension: Hashable, level: float | None, others: Sequence[str], name: str
) -> int:
    # xarray counts a dimension without a coordinate where it is asked for one.
    coordinate = array.coords[dimension] if dimension in array.coords else None
    size = array.sizes.get(dimension, 1)
    if level is None and size == 1:
        return 0
    values = None if coordinate is None else np.atleast_1d(coordinate.values)
    other = f" or choose {', '.join(others)} by --variables" if others else ""
    if values is None or values.dtype.kind not in "iuf" or np.isnan(values.astype(float)).any():
        without = "which has no coordinate" if values is None else "whose values are no numbers"
        raise InputError(
            f"{name}: {array.name} has {size} elements along {dimension}, {without} to choose by: "
            f"write the one you need to a file of its own{other}."
        )
    listed = _listed(values)
    if level is None:
        kind = "levels" if _is_level(coordinate, dimension) else "elements"
        raise InputError(
            f"{name}: {array.name} has {size} {kind} along {dimension}: choose one by --level, of "
            f"{listed}{',' * bool(other)}{other}."
        )
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
