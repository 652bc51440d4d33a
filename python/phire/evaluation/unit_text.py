"""Common units of several channels."""

from __future__ import annotations

from collections.abc import Sequence


def common(units: Sequence[str]) -> str:
    """Returns the units that all channels have; empty if they differ or there are no channels."""
    return units[0] if units and len(set(units)) == 1 else ""
