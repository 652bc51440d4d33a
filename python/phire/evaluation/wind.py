"""Detection of the wind's channels, for kinetic energy."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from phire.errors import InputError
from phire.fields.units import equal

VORTICITY = ("vorticity", "relative_vorticity", "vo", "vor", "vort", "vrt", "zeta", "relv")
DIVERGENCE = ("divergence", "d", "div", "delta", "reld")
EASTWARD = (
    "u", "ua", "uas", "ugrd", "uwnd", "uwind", "u_wind", "wind_u", "u_component_of_wind",
    "eastward_wind", "zonal_wind",
)  # fmt: skip
NORTHWARD = (
    "v", "va", "vas", "vgrd", "vwnd", "vwind", "v_wind", "wind_v", "v_component_of_wind",
    "northward_wind", "meridional_wind",
)  # fmt: skip

STANDARD_NAMES = {
    "derivatives": ("atmosphere_relative_vorticity", "divergence_of_wind"),
    "components": ("eastward_wind", "northward_wind"),
}
"""CF's names of the two channels of each kind."""

SPEED = "m s-1"

_LEVEL = re.compile(r"[_\-. ]*\d*(\.\d+)?[_\-. ]*(h?pa|mb|m)?$")
"""Suffixes of a name: a level, such as ``_850``, ``500`` or ``-10m``."""


@dataclasses.dataclass(frozen=True)
class WindChannels:
    """Two channels that give kinetic energy.

    Attributes:
        kind: ``components`` (eastward and northward wind) or ``derivatives`` (vorticity and
            divergence).
        first: Place of the eastward wind, or of vorticity.
        second: Place of the northward wind, or of divergence.
    """

    kind: str
    first: int
    second: int


def find_wind(
    channels: Sequence[str],
    units: Sequence[str] | None = None,
    standard_names: Sequence[str] | None = None,
    named: Sequence[str] | None = None,
) -> WindChannels | None:
    """Finds the first two channels of one level that make a wind.

    Vorticity and divergence are looked for before components; each by CF's standard names, then by
    common names with or without a level behind them (``u_850``, ``U500``, ``10u``, ``uwnd``), and
    components at last as channels in m/s whose names differ by ``u`` and ``v`` alone.

    Args:
        channels: Names of the channels.
        units: Units of the channels, empty where not known; components in others than m/s are
            passed over.
        standard_names: CF standard names of the channels, empty where not known.
        named: The eastward and the northward component; nothing is looked for then.

    Returns:
        The two channels, or None where there are none.

    Raises:
        InputError: A channel of ``named`` is not there, or not in m/s.
    """
    units = units or [""] * len(channels)
    if named is not None:
        return _named_wind(channels, units, named)
    standard_names = standard_names or [""] * len(channels)
    for kind, known in (
        ("derivatives", (VORTICITY, DIVERGENCE)),
        ("components", (EASTWARD, NORTHWARD)),
    ):
        for keys in (
            [_standard_keys(channels, standard_names, one) for one in STANDARD_NAMES[kind]],
            [{c: _ending(name, one) for c, name in enumerate(channels)} for one in known],
            [_letter_keys(channels, units, one if kind == "components" else "") for one in "uv"],
        ):
            for first, key in keys[0].items():
                matching = [c for c, other in keys[1].items() if key is not None and other == key]
                if not matching:
                    continue
                second = matching[0]
                if kind == "derivatives" or _are_speeds(units[first], units[second]):
                    return WindChannels(kind, first, second)
    return None


def is_like_wind(channel: str, units: str) -> bool:
    """Returns True for a channel in units of speed, or named as wind, vorticity or divergence."""
    known = (VORTICITY, DIVERGENCE, EASTWARD, NORTHWARD)
    return bool(units and equal(units, SPEED)) or any(
        _ending(channel, names) is not None for names in known
    )


def _named_wind(
    channels: Sequence[str], units: Sequence[str], named: Sequence[str]
) -> WindChannels:
    missing = [name for name in named if name not in channels]
    if missing or len(named) != 2:
        raise InputError(
            f"--wind {','.join(named)}: name the eastward and the northward component among the "
            f"channels {', '.join(channels)}."
        )
    first, second = (list(channels).index(name) for name in named)
    for place in (first, second):
        if not equal(units[place], SPEED):
            raise InputError(
                f"--wind {','.join(named)}: {channels[place]} is in {units[place]!r}, kinetic "
                "energy needs m s-1: convert it."
            )
    return WindChannels("components", first, second)


def is_component(channel: str) -> bool:
    """Tells whether a channel is a component of wind, by its name."""
    return any(_ending(channel, known) is not None for known in (EASTWARD, NORTHWARD))


def _ending(name: str, known: Sequence[str]) -> tuple[int, str] | None:
    """Place of the known name that a channel's begins with, and the level behind or before it."""
    lowered = name.lower()
    for place, stem in enumerate(known):
        rest = lowered.removeprefix(stem)
        if rest != lowered and _LEVEL.match(rest):
            return place, rest
        # GRIB's 10u.
        rest = lowered.removesuffix(stem)
        if rest != lowered and rest.isdigit():
            return place, rest
    return None


def _standard_keys(
    channels: Sequence[str], standard_names: Sequence[str], wanted: str
) -> dict[int, str]:
    """Returns the level (digits in the name) of each channel with a standard name, by index."""
    return {
        c: "".join(re.findall(r"\d+", name))
        for c, (name, standard) in enumerate(zip(channels, standard_names))
        if standard == wanted
    }


def _letter_keys(channels: Sequence[str], units: Sequence[str], letter: str) -> dict[int, str]:
    """By place of the channels with units that have a word with a letter in front, their names
    with that letter left open."""
    found = {}
    for c, name in enumerate(channels):
        match = re.match(rf"(.*[_\W])?{letter}", name, re.IGNORECASE) if letter else None
        if match is not None and units[c]:
            found[c] = f"{name[: match.end() - 1]}?{name[match.end() :]}".lower()
    return found


def _are_speeds(first: str, second: str) -> bool:
    return equal(first, SPEED) and equal(second, SPEED)
