"""Which channels are wind: what kinetic energy can be had from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

VORTICITY = ("vorticity", "relative_vorticity", "vo", "vor", "vrt", "zeta")
DIVERGENCE = ("divergence", "d", "div", "delta")
EASTWARD = ("u", "ua", "u10", "10u", "u100", "u_component_of_wind", "eastward_wind", "ugrd")
NORTHWARD = ("v", "va", "v10", "10v", "v100", "v_component_of_wind", "northward_wind", "vgrd")


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


def find_wind(channels: Sequence[str]) -> WindChannels | None:
    """Finds wind among channels by the names that are common for it.

    Names may end in a level, such as ``u_850``; the first pair with one and the same ending is
    taken, vorticity and divergence before components.

    Args:
        channels: Names of the channels.

    Returns:
        The two channels, or None where there are none.
    """
    for kind, firsts, seconds in (
        ("derivatives", VORTICITY, DIVERGENCE),
        ("components", EASTWARD, NORTHWARD),
    ):
        endings = {_ending(name, seconds): c for c, name in reversed(list(enumerate(channels)))}
        for c, name in enumerate(channels):
            ending = _ending(name, firsts)
            if ending is not None and ending in endings:
                return WindChannels(kind, c, endings[ending])
    return None


def is_component(channel: str) -> bool:
    """Whether a channel is a component of wind, by its name."""
    return any(_ending(channel, known) is not None for known in (EASTWARD, NORTHWARD))


def _ending(name: str, known: Sequence[str]) -> str | None:
    """What follows a known name: "" or a level; with the place of the name among its kin."""
    lowered = name.lower()
    for place, stem in enumerate(known):
        rest = lowered.removeprefix(stem)
        if rest != lowered and (not rest or (rest[0] in "_-" and rest[1:].isdigit())):
            # u10 goes with v10 and not with v: the lists are in the same order.
            return f"{place if known in (EASTWARD, NORTHWARD) else ''}{rest}"
    return None
