"""Equality, conversion and powers of units, with pint and cf_xarray's registry of CF units.

The registry takes half a second to load and is loaded at the first comparison.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

WATER_DENSITY = 1000.0
"""Density of liquid water in kg m⁻³: 1 mm of rain is 1 kg m⁻²."""

ALIASES = {"mb": "millibar", "Kelvin": "kelvin", "deg C": "degC", "degrees C": "degC"}
"""Spellings in meteorological files that the registry lacks or misreads (mb as millibarn)."""

_TEMPERATURE = re.compile(r"\s*(°|deg(rees?)?[ _]?[cf]|[cf]\s*$|celsius|fahrenheit)", re.IGNORECASE)

WATER_EQUIVALENT = " of water equivalent"
"""Suffix of units of precipitation and snow depth in GRIB, which pint cannot parse."""

ACCUMULATED = re.compile(
    r"\s*(m|mm|kg\s*m(\*\*|\^)?-2|J\s*m(\*\*|\^)?-2|N\s*m(\*\*|\^)?-2\s*s|s)?\s*$"
)
"""Pattern of units of accumulations in GRIB: depth, time, or mass, energy, momentum per area."""


def instantaneous(step_type: Any, unit: str) -> bool:
    """Returns True if values are instantaneous, by GRIB's step type and their unit.

    Some centres write accumulations in GRIB 1 with the step type ``instant``. Therefore values in
    the unit of an accumulation never count as instantaneous.

    Args:
        step_type: GRIB's ``stepType``, such as ``instant`` or ``accum``; None if unknown.
        unit: Unit of the values.
    """
    amount = ACCUMULATED.match(unit.removesuffix(WATER_EQUIVALENT))
    return step_type == "instant" and not amount


def equal(first: str | None, second: str | None) -> bool:
    """Returns True if two units are the same in any spelling.

    ``m s-1``, ``m/s``, ``m s**-1`` and ``m.s-1`` are equal, and so are ``mm`` and ``kg m-2`` of
    water. An unknown unit (empty or None) is equal to any unit. Units that the registry lacks are
    compared as text.
    """
    if not first or not second or first.split() == second.split():
        return True
    found = conversion(first, second)
    return found is not None and abs(found[0] - 1) < 1e-9 and abs(found[1]) < 1e-9


@functools.cache
def conversion(first: str, second: str) -> tuple[float, float] | None:
    """Returns the linear conversion from one unit to another.

    A depth of water and its mass per area can be converted into each other.

    Returns:
        (scale, offset), with converted = value · scale + offset; None if the units measure
        different quantities, or one is not in the registry.
    """
    source, target = _parsed(first), _parsed(second)
    if source is None or target is None:
        return None
    registry = _registry()
    if source.dimensionality == target.dimensionality:
        zero, one = (registry.Quantity(v, source).to(target).magnitude for v in (0.0, 1.0))
        return float(one - zero), float(zero)
    water = registry.Quantity(WATER_DENSITY, "kg m-3")
    for density in (water, 1 / water):
        if (source * density.units).dimensionality == target.dimensionality:
            return float((registry.Quantity(1.0, source) * density).to(target).magnitude), 0.0
    return None


def difference(
    channels: Sequence[str], found: Sequence[str | None], wanted: Sequence[str | None]
) -> str | None:
    """Returns the first channel whose units differ, in words for a message.

    Args:
        channels: Names of the channels.
        found: Units of the channels.
        wanted: Units that they should have.

    Returns:
        Text such as ``pr in 'mm day-1', not in 'kg m-2 s-1' (1 mm day-1 is 1.15741e-05 kg m-2
        s-1)``; None if all units are equal.
    """
    for name, has, other in zip(channels, found, wanted):
        if equal(has, other):
            continue
        factors = conversion(has, other)
        hint = ""
        if factors is not None:
            hint = f" (1 {has} is {factors[0] + factors[1]:g} {other})"
        return f"{name} in {has!r}, not in {other!r}{hint}"
    return None


@dataclasses.dataclass(frozen=True)
class Conversion:
    """Linear conversion of a channel's values to other units.

    Attributes:
        units: Units after the conversion.
        scale, offset: converted = value · scale + offset.
    """

    units: str
    scale: float = 1.0
    offset: float = 0.0

    def apply(self, values: np.ndarray) -> None:
        """Converts an array in place."""
        if self.scale != 1:
            values *= self.scale
        if self.offset:
            values += self.offset


def in_kelvin(units: str, attributes: Mapping[str, Any] | None = None) -> Conversion:
    """Returns the conversion of a temperature to K; other units are not converted.

    Args:
        units: Units of a variable.
        attributes: CF attributes of the variable. Anomalies and differences of temperature,
            recognised by ``standard_name``, ``long_name`` or ``units_metadata``, have no offset.
    """
    if not _TEMPERATURE.match(units):
        return Conversion(units)  # without loading the registry
    found = conversion(units, "K")
    if found is None:
        return Conversion(units)
    attributes = attributes or {}
    described = " ".join(str(attributes.get(name, "")) for name in ("standard_name", "long_name"))
    is_difference = "anomaly" in described.lower() or "temperature: difference" in str(
        attributes.get("units_metadata", "")
    )
    return Conversion("K", found[0], 0.0 if is_difference else found[1])


def shared(units: Sequence[str]) -> str:
    """Returns the units that all channels share; empty if they differ or one is unknown."""
    if not units or not all(units):
        return ""
    return units[0] if all(equal(units[0], other) for other in units[1:]) else ""


def power(units: str, exponent: int) -> str:
    """Returns a power of units in CF's notation: ``m s**-1`` squared is ``m2 s-2``.

    Units that the registry lacks are put in parentheses, followed by the exponent.
    """
    if not units or units == "1":
        return units
    parsed = _parsed(units)
    if parsed is None:
        return f"({units}){exponent}"
    if conversion(units, "K") is not None:
        parsed = _registry().Unit("K")  # powers of °C are powers of differences
    return f"{parsed**exponent:cf}"


@functools.cache
def _registry() -> Any:
    from cf_xarray.units import units

    return units


@functools.cache
def _parsed(text: str) -> Any:
    """Returns the pint unit of a text; None if the registry lacks it."""
    text = text.strip().removesuffix(WATER_EQUIVALENT)
    registry = _registry()
    try:
        return registry.parse_units(ALIASES.get(text, text))
    except Exception:  # pint raises many types on free text, from AssertionError to TokenError
        return None
