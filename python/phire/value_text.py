"""Values in words: counts, sizes, lists and channels, for messages and descriptions of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Stated(str):
    """A fact in words for people, with the number or list that programs read.

    Args:
        text: The words.
        value: The value, in a form that JSON has.
    """

    value: Any

    def __new__(cls, text: str, value: Any) -> Stated:
        stated = super().__new__(cls, text)
        stated.value = value
        return stated


def list_stated(items: Sequence[str]) -> Stated:
    """Names after one another: ``a, b``."""
    return Stated(", ".join(map(str, items)), [str(item) for item in items])


def channels_stated(channels: Sequence[str], units: Sequence[str]) -> Stated:
    """Channels with their units: ``u (m s-1), v (m s-1)``; units that are not known are null."""
    units = [*units, *[""] * (len(channels) - len(units))]
    return Stated(
        ", ".join(f"{name} ({unit or 'units unknown'})" for name, unit in zip(channels, units)),
        [{"name": str(name), "units": unit or None} for name, unit in zip(channels, units)],
    )


def size_stated(sizes: Sequence[int]) -> Stated:
    """Sizes of an array: ``32 × 32``."""
    return Stated(" × ".join(map(str, sizes)), [int(size) for size in sizes])


def counted(count: int, noun: str) -> str:
    """Returns a number with its noun: ``1 field``, ``2 fields``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def size_text(count: int) -> str:
    """Returns a number of bytes for people: ``6.29 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
