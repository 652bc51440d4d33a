"""Units: equality, conversion and powers, by pint with cf_xarray's registry of CF units.

Importing this module is cheap; the registry is loaded when units are first compared.
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
"""Spellings of meteorology that the registry lacks, or takes for something else (millibarn)."""

_TEMPERATURE = re.compile(r"\s*(°|deg(rees?)?[ _]?[cf]|[cf]\s*$|celsius|fahrenheit)", re.IGNORECASE)

WATER_EQUIVALENT = " of water equivalent"
"""Suffix of the units of precipitation and snow depth in GRIB."""

ACCUMULATED = re.compile(
    r"\s*(m|mm|kg\s*m(\*\*|\^)?-2|J\s*m(\*\*|\^)?-2|N\s*m(\*\*|\^)?-2\s*s|s)?\s*$"
)
"""Units in which GRIB accumulates: depth, mass, energy or momentum per area, or time."""


def instantaneous(step_type: Any, unit: str) -> bool:
    """Returns True if values stand for an instant, by GRIB's step type and their unit.

    GRIB 1 writes accumulations of some centres as ``instant``, so that those in the unit of an
    amount do not count.
    """
    amount = ACCUMULATED.match(unit.removesuffix(WATER_EQUIVALENT))
    return step_type == "instant" and not amount


def equal(first: str | None, second: str | None) -> bool:
    """Returns True if two units are the same, however they are spelt.

    ``m s-1``, ``m/s``, ``m s**-1`` and ``m.s-1`` are equal; so are ``mm`` and ``kg m-2`` of water.
    Units that are not known (empty) equal any; units that the registry lacks are compared as text.
    """
    if not first or not second or first.split() == second.split():
        return True
    found = conversion(first, second)
    return found is not None and abs(found[0] - 1) < 1e-9 and abs(found[1]) < 1e-9


@functools.cache
def conversion(first: str, second: str) -> tuple[float, float] | None:
    """Scale and offset that convert values in ``first`` to ``second``.

    A depth of water and its mass per area are converted into one another.

    Returns:
        (scale, offset), with converted = value · scale + offset; None where the two measure
        different things, or one is not in the registry.
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
    """Names the first channel whose units differ, for the message of an error.

    Args:
        channels: Names of the channels.
        found: Their units.
        wanted: The units that they should have.

    Returns:
        Text such as ``pr in 'mm day-1', not in 'kg m-2 s-1' (1 mm day-1 is 1.15741e-05 kg m-2
        s-1)``; None where all units are equal.
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
    """A linear conversion of a channel's values to other units.

    Attributes:
        units: The units after it.
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
    """Returns the conversion of temperatures to K; other units are unchanged.

    Args:
        units: Units of a variable.
        attributes: Its CF attributes. An anomaly or a difference (told by ``standard_name``,
            ``long_name``, ``units_metadata``) is scaled only.
    """
    if not _TEMPERATURE.match(units):
        return Conversion(units)  # decided without the registry, which takes half a second to load
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
    """Returns the units that all channels share; empty where they differ or one is not known."""
    if not units or not all(units):
        return ""
    return units[0] if all(equal(units[0], other) for other in units[1:]) else ""


def power(units: str, exponent: int) -> str:
    """Returns a power of units, as CF writes it: ``m s**-1`` squared is ``m2 s-2``.

    Units that the registry lacks are put in brackets.
    """
    if not units or units == "1":
        return units
    parsed = _parsed(units)
    if parsed is None:
        return f"({units}){exponent}"
    if conversion(units, "K") is not None:
        parsed = _registry().Unit("K")  # differences of degC are K
    return f"{parsed**exponent:cf}"


@functools.cache
def _registry() -> Any:
    from cf_xarray.units import units

    return units


@functools.cache
def _parsed(text: str) -> Any:
    """Returns the unit that a text means; None where the registry knows none."""
    text = text.strip().removesuffix(WATER_EQUIVALENT)
    registry = _registry()
    try:
        return registry.parse_units(ALIASES.get(text, text))
    except Exception:  # pint raises anything from AssertionError to tokenize's errors on free text
        return None
