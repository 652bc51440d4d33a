"""Counts of the missing and infinite values of fields, and notes on them."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator

import numpy as np

_REGRIDDED: contextvars.ContextVar[list[int] | None] = contextvars.ContextVar(
    "infinite values that regridding left out", default=None
)


@contextlib.contextmanager
def counting_infinite() -> Iterator[list[int]]:
    """Yields a list to which each regridding within the block adds its number of infinite values.

    Fields are regridded on workers and behind other sources; a context reaches all of them.
    """
    counts: list[int] = []
    token = _REGRIDDED.set(counts)
    try:
        yield counts
    finally:
        _REGRIDDED.reset(token)


def count_infinite(fields: np.ndarray) -> None:
    """Adds the infinite values of fields that are regridded to the count of the block around."""
    counts = _REGRIDDED.get()
    if counts is not None:
        counts.append(int(np.isinf(fields).sum()))


def infinite_note(count: int, what: str = "") -> str:
    """Returns a sentence on infinite values that regridding left out."""
    verb = "counts" if count == 1 else "count"
    return f"{what}{count:,} infinite value{'s' * (count != 1)} {verb} as missing in regridding"


@dataclasses.dataclass
class UnusableValues:
    """Numbers of values of fields that nothing can use.

    Attributes:
        values: All values.
        missing: Missing values (NaN, ``_FillValue``, points without a bit in GRIB's bitmap).
        wholly: Fields of which each point misses a channel.
        infinite: Infinite values.
        regridded: Infinite values of an input that regridding took for missing.
    """

    values: int = 0
    missing: int = 0
    wholly: int = 0
    infinite: int = 0
    regridded: int = 0

    def add(self, fields: np.ndarray) -> None:
        """Counts the values of fields (..., H, W, C)."""
        self.values += fields.size
        if fields.dtype.kind != "f":
            return
        finite = np.isfinite(fields)
        if not finite.all():
            missing = np.isnan(fields)
            self.missing += int(missing.sum())
            self.wholly += int(missing.any(-1).all((-2, -1)).sum())
            self.infinite += int((~finite & ~missing).sum())

    def notes(self) -> list[str]:
        """Returns a sentence for each kind of values that there are."""
        lines = []
        if self.regridded:
            lines.append(infinite_note(self.regridded))
        if self.missing:
            lines.append(
                f"{self.missing:,} value{'s are' if self.missing > 1 else ' is'} missing (NaN), "
                f"{self.wholly:,} field{'s' * (self.wholly != 1)} wholly"
            )
        if self.infinite:
            lines.append(
                f"{self.infinite:,} value{'s are' if self.infinite > 1 else ' is'} infinite: no "
                "training, statistic or score can use them"
            )
        return lines
