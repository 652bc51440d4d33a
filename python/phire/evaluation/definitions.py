"""Definitions of the numbers in the results: formula, units, source, better direction."""

from __future__ import annotations

import dataclasses

LOWER, HIGHER, ZERO, ONE = "lower", "higher", "zero", "one"

CHANNEL = "of the channel"
"""Units that are those of each channel."""

SQUARED = "of the channel, squared"
"""Units that are the square of those of each channel."""


@dataclasses.dataclass(frozen=True)
class Definition:
    """The meaning of a number.

    Attributes:
        name: The variable's name in the results.
        title: What people call it.
        formula: How it is computed, in plain text; x is the candidate, y the truth, w the area
            weights of mean 1, ⟨·⟩ the mean over the field with these weights.
        units: As in the results, :data:`CHANNEL` or :data:`SQUARED`.
        better: ``lower``, ``higher``, ``zero`` (nearest to 0), ``one`` (nearest to 1), or empty
            where no direction is better.
        source: Where it comes from.
    """

    name: str
    title: str
    formula: str
    units: str = ""
    better: str = ""
    source: str = ""

    @property
    def direction(self) -> str:
        """An arrow or a number that tells which direction is better; empty if none is."""
        return {LOWER: "↓", HIGHER: "↑", ZERO: "→ 0", ONE: "→ 1"}.get(self.better, "")
