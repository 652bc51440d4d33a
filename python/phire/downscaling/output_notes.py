"""Notes of a prediction's output, and the line that is printed at its end."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from phire import progress, value_text
from phire.fields.source import Source, Times, member_count, read_members


def notes(fill: str, minimum: float | None, trace: float | None, conserves: bool) -> dict[str, Any]:
    """Attributes of the output that say how missing input and a bound were dealt with.

    Args:
        fill: ``nearest`` or ``mean``.
        minimum: The least physical value, or None.
        trace: The least amount above it, or None.
        conserves: Block means are those of the coarse input.

    Returns:
        ``comment`` in words and, where there are bounds, the numbers ``minimum`` and ``trace``.
    """
    value = {"nearest": "nearest valid value", "mean": "channel's mean"}[fill]
    text = (
        f"Missing input was filled by the {value} for the network; blocks whose own input was "
        "missing are missing."
    )
    if conserves:
        text += " Block means are those of the coarse input."
    if minimum is None:
        return {"comment": text}
    text += f" Values below {minimum if trace is None else trace:g} were set to {minimum:g}."
    found = {"comment": text, "minimum": float(minimum)}
    return found if trace is None else {**found, "trace": float(trace)}


class CountedSource:
    """A source that counts what is read of it.

    Args:
        source: The source.

    Attributes:
        values: Number of values read.
        missing: Number of these that were missing.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.channels, self.units = source.channels, source.units
        self.grid, self.time = source.grid, source.time
        self.members = member_count(source)
        self.values = self.missing = 0

    def read(self, times: Times) -> np.ndarray:
        """Reads fields, of an ensemble their mean; see :class:`phire.fields.source.Source`."""
        return self.read_members(times).mean(1)

    def read_members(self, times: Times) -> np.ndarray:
        """Reads fields of all members; see :class:`phire.fields.source.MemberSource`."""
        fields = read_members(self.source, times)
        self.values += fields.size
        self.missing += int(np.isnan(fields).sum())
        return fields

    def say(self, output: str | os.PathLike) -> None:
        """Says what was written to a file; nothing where nothing was read."""
        if not self.values:
            return
        height, width = self.grid.shape
        count = len(self.time)
        members = "one member" if self.members == 1 else f"{self.members} members"
        share = self.missing / self.values
        progress.say(
            f"{output}: {value_text.counted(count, 'field')} of {height} × {width} points, "
            f"{', '.join(self.channels)}, {members}; "
            + (f"{100 * share:.3g} % of the values are missing." if share else "none missing.")
        )
