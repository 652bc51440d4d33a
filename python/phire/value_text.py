"""Texts of counts, sizes, lists and channels, for messages and descriptions of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Stated(str):
    """Text for people that carries the same fact as a number or list for programs.

    Args:
        text: The text.
        value: The same fact as a value that JSON can hold.
    """

    value: Any

    def __new__(cls, text: str, value: Any) -> Stated:
        stated = super().__new__(cls, text)
        stated.value = value
        return stated


def list_stated(items: Sequence[str]) -> Stated:
    """Returns names as the text ``a, b`` with the list as value."""
    return Stated(", ".join(map(str, items)), [str(item) for item in items])


def channels_stated(channels: Sequence[str], units: Sequence[str]) -> Stated:
    """Returns channels and units as the text ``u (m s-1), v (m s-1)`` with a list as value.

    Args:
        channels: Names.
        units: Units by channel, empty if unknown (null in the list); may be shorter.
    """
    units = [*units, *[""] * (len(channels) - len(units))]
    return Stated(
        ", ".join(f"{name} ({unit or 'units unknown'})" for name, unit in zip(channels, units)),
        [{"name": str(name), "units": unit or None} for name, unit in zip(channels, units)],
    )


def size_stated(sizes: Sequence[int]) -> Stated:
    """Returns the sizes of an array as the text ``32 × 32`` with the list as value."""
    return Stated(" × ".join(map(str, sizes)), [int(size) for size in sizes])


def counted(count: int, noun: str) -> str:
    """Returns a number with its noun: ``1 field``, ``2 fields``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def size_text(count: int) -> str:
    """Returns a number of bytes with a decimal unit: ``6.29 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
