"""Units as text: those that channels share."""

from __future__ import annotations

from collections.abc import Sequence


def common(units: Sequence[str]) -> str:
    """The units that all channels share; empty where they differ."""
    return units[0] if units and len(set(units)) == 1 else ""
