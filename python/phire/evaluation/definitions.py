"""Definitions of the variables of the results: formula, units, source, better direction."""

from __future__ import annotations

import dataclasses

LOWER, HIGHER, ZERO, ONE = "lower", "higher", "zero", "one"

CHANNEL = "of the channel"
"""Value of ``units`` for variables in the units of each channel."""

SQUARED = "of the channel, squared"
"""Value of ``units`` for variables in the squared units of each channel."""


@dataclasses.dataclass(frozen=True)
class Definition:
    """Definition of a variable of the results.

    Attributes:
        name: Name of the variable in the results.
        title: Name in words, for tables and figures.
        formula: Formula in plain text; x is the candidate, y the truth, w the area weights of mean
            1, ⟨·⟩ the mean over the field.
        units: Units as text, :data:`CHANNEL` or :data:`SQUARED`.
        better: ``lower``, ``higher``, ``zero`` (nearest to 0), ``one`` (nearest to 1), or empty
            where no direction is better.
        source: Publication, with its DOI.
    """

    name: str
    title: str
    formula: str
    units: str = ""
    better: str = ""
    source: str = ""

    @property
    def direction(self) -> str:
        """Symbol of the better direction (↓, ↑, → 0, → 1); empty if no direction is better."""
        return {LOWER: "↓", HIGHER: "↑", ZERO: "→ 0", ONE: "→ 1"}.get(self.better, "")
