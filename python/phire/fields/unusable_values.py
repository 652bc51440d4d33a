"""Counts of missing and infinite values of fields, and notes on them."""

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
    """Yields a list to which each regridding in the block appends its number of infinite values.

    A context variable serves for this because regridding may be wrapped by any number of sources.
    """
    counts: list[int] = []
    token = _REGRIDDED.set(counts)
    try:
        yield counts
    finally:
        _REGRIDDED.reset(token)


def count_infinite(fields: np.ndarray) -> None:
    """Appends the number of infinite values to the list of an enclosing :func:`counting_infinite`.

    Does nothing outside of such a block.
    """
    counts = _REGRIDDED.get()
    if counts is not None:
        counts.append(int(np.isinf(fields).sum()))


def infinite_note(count: int, what: str = "") -> str:
    """Returns a clause on infinite values in the input of a regridding.

    Args:
        count: Number of infinite values.
        what: Text before the number, such as ``FILE: ``.
    """
    verb = "counts" if count == 1 else "count"
    return f"{what}{count:,} infinite value{'s' * (count != 1)} {verb} as missing in regridding"


@dataclasses.dataclass
class UnusableValues:
    """Numbers of missing and infinite values of fields.

    Attributes:
        values: Number of all values.
        missing: Number of missing values (NaN, ``_FillValue``, or absent from GRIB's bitmap).
        wholly: Number of fields in which every point lacks at least one channel.
        infinite: Number of infinite values.
        regridded: Number of infinite values in the input of a regridding, which treated them as
            missing.
    """

    values: int = 0
    missing: int = 0
    wholly: int = 0
    infinite: int = 0
    regridded: int = 0

    def add(self, fields: np.ndarray) -> None:
        """Adds the values of fields (..., H, W, C) to the counts."""
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
        """Returns one clause for each kind of unusable value that occurs."""
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
