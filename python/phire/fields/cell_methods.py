"""Cells of time that aggregated fields and rates stand for: CF bounds and ``cell_methods``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from phire.fields.aggregation import Aggregation
from phire.fields.deaccumulation import RateSource
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
        methods: CF ``cell_methods`` of each channel, such as ``time: mean``; empty of a channel
            whose relation to the periods is not known.
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

    @classmethod
    def of_rates(
        cls, rates: Sequence[RateSource], channels: Sequence[str], time: TimeAxis
    ) -> TimeCells | None:
        """Returns the intervals of rates, labelled by their ends; None where they are not one.

        Args:
            rates: The sources of rates.
            channels: Names of all channels.
            time: Times of the fields.
        """
        if not rates or any(source.starts is None for source in rates):
            return None
        places = [np.searchsorted(source.time.values, time.values) for source in rates]
        starts = [source.starts[place] for source, place in zip(rates, places)]
        if any(not np.array_equal(start, starts[0]) for start in starts):
            return None
        means = {channel for source in rates for channel in source.interval_end}
        methods = tuple("time: mean" if channel in means else "" for channel in channels)
        return cls(TimeAxis(starts[0], time.calendar), time, methods)

    def values(self) -> np.ndarray:
        """Returns the (n, 2) values of ``time_bnds``, in the units of the times."""
        return np.stack([self.start.values, self.stop.values], axis=1)

    def coordinate(self) -> np.ndarray:
        """Returns the (n, 2) dates of ``time_bnds``, for xarray."""
        return np.stack([self.start.to_coordinate(), self.stop.to_coordinate()], axis=1)
