"""Cells of time that aggregated fields stand for, as CF says them: bounds and ``cell_methods``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from phire.fields.aggregation import Aggregation
from phire.fields.time import TimeAxis

BOUNDS = "time_bnds"
VERTICES = "bnds"
"""Dimension of the two ends of a period."""

CF_METHODS = {"mean": "mean", "sum": "sum", "max": "maximum", "min": "minimum"}


@dataclasses.dataclass(frozen=True)
class TimeCells:
    """Periods and statistics of fields.

    Attributes:
        start, stop: The ends of each field's period.
        methods: CF ``cell_methods`` of each channel, such as ``time: mean``.
    """

    start: TimeAxis
    stop: TimeAxis
    methods: tuple[str, ...]

    @classmethod
    def of(cls, aggregation: Aggregation, channels: Sequence[str], time: TimeAxis) -> TimeCells:
        """Returns the periods of aggregated fields, labelled by their starts.

        Args:
            aggregation: Their periods and statistics.
            channels: Names of the channels.
            time: Times of the fields.
        """
        methods = (CF_METHODS[aggregation.statistic_of(channel)] for channel in channels)
        stop = TimeAxis(aggregation.stops(time.values, time), time.calendar)
        return cls(time, stop, tuple(f"time: {method}" for method in methods))

    def values(self) -> np.ndarray:
        """Returns the (n, 2) values of ``time_bnds``, in the units of the times."""
        return np.stack([self.start.values, self.stop.values], axis=1)

    def coordinate(self) -> np.ndarray:
        """Returns the (n, 2) dates of ``time_bnds``, for xarray."""
        return np.stack([self.start.to_coordinate(), self.stop.to_coordinate()], axis=1)
