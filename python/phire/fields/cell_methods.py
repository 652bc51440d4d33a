"""CF time bounds and ``cell_methods`` of aggregated fields and rates."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from phire.fields.aggregation import Aggregation
from phire.fields.deaccumulation import RateSource
from phire.fields.time_axis import TimeAxis

BOUNDS = "time_bnds"
VERTICES = "bnds"
"""Dimension of the two ends of an interval."""

CF_METHODS = {"mean": "mean", "sum": "sum", "max": "maximum", "min": "minimum"}


@dataclasses.dataclass(frozen=True)
class TimeCells:
    """Time interval of each field, and statistic of each channel over it.

    Attributes:
        start, stop: Starts and ends of the fields' intervals.
        methods: CF ``cell_methods`` of each channel, such as ``time: mean``; empty if the
            channel's relation to the interval is unknown.
    """

    start: TimeAxis
    stop: TimeAxis
    methods: tuple[str, ...]

    @classmethod
    def of(cls, aggregation: Aggregation, channels: Sequence[str], time: TimeAxis) -> TimeCells:
        """Returns the intervals of aggregated fields.

        Args:
            aggregation: Periods and statistics.
            channels: Names of the channels.
            time: Times of the fields, which are the starts of their periods.
        """
        methods = (CF_METHODS[aggregation.statistic_of(channel)] for channel in channels)
        stop = TimeAxis(aggregation.stops(time.values, time), time.calendar)
        return cls(time, stop, tuple(f"time: {method}" for method in methods))

    @classmethod
    def of_rates(
        cls, rates: Sequence[RateSource], channels: Sequence[str], time: TimeAxis
    ) -> TimeCells | None:
        """Returns the intervals of rates; None if they are unknown or differ between channels.

        Args:
            rates: Sources of the rates.
            channels: Names of all channels, rates or not.
            time: Times of the fields, which are the ends of their intervals.
        """
        if not rates or any(source.starts is None for source in rates):
            return None
        places = [np.searchsorted(source.time.values, time.values) for source in rates]
        starts = [source.starts[place] for source, place in zip(rates, places)]
        # A file has one variable of time bounds for all its channels: starts that differ cannot
        # be written.
        if any(not np.array_equal(start, starts[0]) for start in starts):
            return None
        means = {channel for source in rates for channel in source.interval_end}
        methods = tuple("time: mean" if channel in means else "" for channel in channels)
        return cls(TimeAxis(starts[0], time.calendar), time, methods)

    def values(self) -> np.ndarray:
        """Returns the values of ``time_bnds``, (n, 2) seconds as in ``start``."""
        return np.stack([self.start.values, self.stop.values], axis=1)

    def coordinate(self) -> np.ndarray:
        """Returns ``time_bnds`` for xarray: (n, 2) dates."""
        return np.stack([self.start.to_coordinate(), self.stop.to_coordinate()], axis=1)
