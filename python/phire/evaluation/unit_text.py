"""Units as text: their squares."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PART = re.compile(r"^([A-Za-zµ°%]+)(?:\*\*|\^)?(-?\d+)?$")


def squared(units: str) -> str:
    """The square of units: ``m s**-1`` → ``m2 s-2``; what cannot be read is put in brackets."""
    if not units or units == "1":
        return units
    above, *below = units.split("/")
    parts = []
    for sign, text in ((1, above), *((-1, part) for part in below)):
        for part in text.split():
            if part == "1":
                continue
            match = _PART.match(part)
            if match is None:
                return f"({units})2"
            parts.append(f"{match[1]}{2 * sign * int(match[2] or 1)}")
    return " ".join(parts)


def common(units: Sequence[str]) -> str:
    """The units that all channels share; empty where they differ."""
    return units[0] if units and len(set(units)) == 1 else ""
