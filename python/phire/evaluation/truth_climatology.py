"""Climatology from a file: fields for the whole year, for months or for days of the year."""

from __future__ import annotations

from typing import Any

import numpy as np

from phire.errors import InputError
from phire.evaluation.pairing import align
from phire.fields.source import Source
from phire.fields.time_axis import TimeAxis


def climatology_of(climatology: Source, truth: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the fields of a climatology on the truth's grid, and the field for each time.

    Args:
        climatology: One field for all times, 12 for the months, or 365 or 366 for the days of the
            year.
        truth: The truth, aligned with the candidates.

    Returns:
        (G, C, H, W) float64 fields, and (T,) the index of the field of each of the truth's times.

    Raises:
        InputError: The climatology has another number of fields or other channels or grid points
            than the truth, or the truth has no dates to choose months or days by.
    """
    count = len(climatology.time)
    if count not in (1, 12, 365, 366):
        raise InputError(
            f"--climatology holds {count} fields: it must hold 1 (for all times), 12 (for the "
            "months), or 365 or 366 (for the days of the year)."
        )
    if count > 1 and not truth.time.has_calendar:
        raise InputError(
            f"--climatology holds {count} fields, but the truth has no dates: give one field."
        )
    groups = np.zeros(len(truth.time), dtype=np.int64)
    if count == 12:
        groups = truth.time.months() - 1
    elif count > 12:
        days = np.array([date.dayofyr for date in truth.time.dates()])
        groups = np.minimum(days - 1, count - 1)
    placed = align(_Timeless(truth), {"climatology": _Timeless(climatology)}, np.array([0]))[1]
    fields = placed["climatology"].select(climatology.read(np.arange(count)))
    return np.moveaxis(fields, -1, 1).astype(np.float64), groups


class _Timeless:
    """Source with a single time, for the alignment of grids and channels without times."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.channels, self.units, self.grid = source.channels, source.units, source.grid
        self.time = TimeAxis.steps(1)

    def read(self, times: Any) -> np.ndarray:
        """Reads the first field."""
        return self.source.read([0])
