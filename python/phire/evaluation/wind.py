"""Detection of the channels that are wind, for kinetic energy."""

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
"""CF standard names of the two channels of each kind."""

SPEED = "m s-1"

_LEVEL = re.compile(r"[_\-. ]*\d*(\.\d+)?[_\-. ]*(h?pa|mb|m)?$")
"""Suffixes of a name: a level, such as ``_850``, ``500`` or ``-10m``."""


@dataclasses.dataclass(frozen=True)
class WindChannels:
    """Two channels from which the kinetic energy is computed.

    Attributes:
        kind: ``components`` (eastward and northward wind) or ``derivatives`` (vorticity and
            divergence).
        first: Index of the eastward wind, or of vorticity.
        second: Index of the northward wind, or of divergence.
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
    """Finds the two channels of the wind; of several levels, those of the first.

    Vorticity and divergence are preferred to the components u and v. Both channels must have the
    same level. They are recognised, in this order, by

    1. CF standard names,
    2. common names with or without a level (``u_850``, ``U500``, ``10u``, ``uwnd``),
    3. for components in m/s, names that differ in one letter, ``u`` and ``v``, only.

    Args:
        channels: Names of the channels.
        units: Units of the channels, empty where unknown; components must be in m/s.
        standard_names: CF standard names of the channels, empty where unknown.
        named: Names of the eastward and the northward component, which replace the search.

    Returns:
        The two channels; None if there is no wind.

    Raises:
        InputError: A channel of ``named`` does not exist, or is not in m/s.
    """
    units = units or [""] * len(channels)
    if named is not None:
        return named_wind(channels, units, named)
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


def named_wind(channels: Sequence[str], units: Sequence[str], named: Sequence[str]) -> WindChannels:
    """Returns the two components named by the user; see :func:`find_wind`.

    Raises:
        InputError: A name is no channel, there are not two of them, or one is not in m/s.
    """
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
    """Returns True if a channel's name is that of a component of the wind."""
    return any(_ending(channel, known) is not None for known in (EASTWARD, NORTHWARD))


def _ending(name: str, known: Sequence[str]) -> tuple[int, str] | None:
    """Returns the index of the known name in a channel's name, and the rest of it, its level.

    Returns None if the channel's name neither begins nor ends with a known name.
    """
    lowered = name.lower()
    for place, stem in enumerate(known):
        rest = lowered.removeprefix(stem)
        if rest != lowered and _LEVEL.match(rest):
            return place, rest
        # Names of GRIB have the level in front, such as 10u.
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
    """Finds the channels whose names have a word that begins with a letter, such as ``u`` or ``v``.

    Channels without units are left out. An empty ``letter`` finds none.

    Returns:
        Names by the index of the channel, with the letter replaced by ``?``: ``u850`` and ``v850``
        both become ``?850``.
    """
    found = {}
    for c, name in enumerate(channels):
        match = re.match(rf"(.*[_\W])?{letter}", name, re.IGNORECASE) if letter else None
        if match is not None and units[c]:
            found[c] = f"{name[: match.end() - 1]}?{name[match.end() :]}".lower()
    return found


def _are_speeds(first: str, second: str) -> bool:
    """Returns True if both units are equal to m/s."""
    return equal(first, SPEED) and equal(second, SPEED)
