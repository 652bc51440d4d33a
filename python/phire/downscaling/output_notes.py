"""Attributes of a prediction's output, and the summary printed at its end."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from phire import progress, value_text
from phire.fields.source import ALL, Source, Times, member_count, read_members


def notes(fill: str, minimum: float | None, trace: float | None, conserves: bool) -> dict[str, Any]:
    """Returns attributes that document the treatment of missing input and bounds.

    Args:
        fill: Way in which missing input was filled, ``nearest`` or ``mean``.
        minimum: Lower bound that was applied to the output; None if there was no bound.
        trace: Smallest amount above ``minimum`` in the output; None if there was no such limit.
        conserves: True if block means equal the coarse input.

    Returns:
        ``comment`` as text and, if they are given, the numbers ``minimum`` and ``trace``.
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
    """Source that counts the values read from it and the missing ones among them.

    Args:
        source: Source to read from.

    Attributes:
        values: Number of values read so far.
        missing: Number of missing values among them.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.channels, self.units = source.channels, source.units
        self.grid, self.time = source.grid, source.time
        self.members = member_count(source)
        self.values = self.missing = 0

    def read(self, times: Times) -> np.ndarray:
        """Reads fields, (n, H, W, C); those of an ensemble are averaged over the members."""
        return self.read_members(times).mean(1)

    def read_members(self, times: Times, members: slice = ALL) -> np.ndarray:
        """Reads fields of members; see :class:`phire.fields.source.MemberSource`."""
        fields = read_members(self.source, times, members)
        self.values += fields.size
        self.missing += int(np.isnan(fields).sum())
        return fields

    def say(self, output: str | os.PathLike) -> None:
        """Prints a summary of the fields written to ``output``; nothing if none were read."""
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
