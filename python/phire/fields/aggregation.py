"""Aggregation in time: means, sums and extremes over hours, days, months or years.

xarray and pandas resample arrays of all times; here only the fields of the periods being read are
in memory, in any calendar, and incomplete periods are left out.
``tests/fields/test_aggregation.py`` checks it against pandas, and by a plain loop.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import cftime
import numpy as np

from phire.errors import InputError
from phire.fields.source import Source, Times, close, indices
from phire.fields.time_axis import EPOCH, TimeAxis, duration_text, parse_duration
from phire.fields.time_blocks import blocks

STATISTICS = ("mean", "sum", "max", "min")

MONTHS = {"month": 1, "season": 3, "year": 12}
"""Number of months by calendar period; seasons begin in March, June, September and December."""

_PERIOD = re.compile(r"^(\d*)\s*(?:(month|season|year)s?|(M[SE]?|mon?)|([YA][SE]?|yr?))$")
"""Pattern of calendar periods, in words or as abbreviated by pandas and xarray (``1MS``)."""


@dataclasses.dataclass(frozen=True)
class Aggregation:
    """Length of the periods, and the statistic of each channel over them.

    Attributes:
        period: The period as text, such as ``1D`` or ``month``.
        seconds: Length of the period (s); 0 for periods of months.
        months: Length of the period in months; 0 for periods of seconds.
        statistic: One of :data:`STATISTICS`, for all channels not in ``channels``.
        channels: Statistics by channel name.
        offset: Start of the periods, in seconds after midnight.
    """

    period: str
    seconds: int
    months: int
    statistic: str
    channels: Mapping[str, str]
    offset: int = 0

    @classmethod
    def parse(cls, text: str, offset: str | None = None) -> Aggregation:
        """Parses ``PERIOD:STATISTIC``, with ``,NAME=STATISTIC`` for single channels.

        Args:
            text: Text such as ``1D:mean``, ``6h:mean,tp=sum`` or ``month:max``.
            offset: Duration between midnight and the start of the periods, such as ``6h``; none
                by default.

        Raises:
            InputError: The text has another form, or the period does not divide a year.
        """
        period, _, rest = str(text).partition(":")
        parts = [part.strip() for part in rest.split(",")]
        named = [part.partition("=") for part in parts[1:]]
        statistics = [parts[0], *(statistic for _, _, statistic in named)]
        if not set(statistics) <= set(STATISTICS) or not all(name for name, _, _ in named):
            raise InputError(
                f"--every {text} is not of the form PERIOD:STATISTIC,NAME=STATISTIC..., such as "
                f"1D:mean or 6h:mean,tp=sum; the statistics are {', '.join(STATISTICS)}."
            )
        shift = parse_duration(offset) if offset else 0
        period = period.strip()
        match = _PERIOD.match(period) or _PERIOD.match(period.lower())
        # Ambiguous: m abbreviates minutes, and is also the month M in lower case.
        if re.match(r"^\d+\s*m$", period):
            raise InputError(
                f"--every {text}: write min for minutes ({period}in) or month for months "
                f"({period}onth)."
            )
        if match:
            unit = match[2] or ("month" if match[3] else "year")
            seconds, months = 0, int(match[1] or 1) * MONTHS[unit]
        else:
            seconds, months = _seconds(period, text), 0
        if not 0 < months <= 12 and not seconds:
            raise InputError(f"--every {text}: a calendar period must have 1 to 12 months.")
        if months and 12 % months:
            raise InputError(f"--every {text}: {months} months do not divide a year.")
        channels = {name.strip(): statistic for name, _, statistic in named}
        return cls(period, seconds, months, parts[0], channels, shift)

    def statistic_of(self, channel: str) -> str:
        """Returns the statistic of a channel."""
        return self.channels.get(channel, self.statistic)

    def starts(self, time: TimeAxis, interval_end: bool = False) -> np.ndarray:
        """Returns the start of the period that each time belongs to: (n,) seconds as in ``time``.

        Args:
            time: The times.
            interval_end: True if each time is the end of its field's interval. A time on the
                boundary of two periods then belongs to the earlier one, otherwise to the later.
        """
        # Times are whole seconds, so a shift by one moves only the times on a boundary.
        shifted = time.values - self.offset - int(interval_end)
        if self.seconds:
            return shifted // self.seconds * self.seconds + self.offset
        dates = TimeAxis(shifted, time.calendar).dates()
        # Seasons begin a month before the quarters of the calendar year: December to February.
        early = int(self.months == 3)
        count = np.array([12 * d.year + d.month - 1 + early for d in dates])
        return _month_starts(count // self.months * self.months - early, time) + self.offset

    def stops(self, starts: np.ndarray, time: TimeAxis) -> np.ndarray:
        """Returns the ends of periods.

        Args:
            starts: (n,) starts of the periods, seconds as in ``time``.
            time: Times with the calendar to use.

        Returns:
            (n,) seconds.
        """
        if self.seconds:
            return starts + self.seconds
        dates = TimeAxis(starts - self.offset, time.calendar).dates()
        count = np.array([12 * d.year + d.month - 1 for d in dates]) + self.months
        return _month_starts(count, time) + self.offset


def _seconds(period: str, text: str) -> int:
    """Returns the length (s) of a period of fixed length, such as ``6h``."""
    try:
        return parse_duration(period)
    except InputError:
        raise InputError(
            f"--every {text}: {period!r} is not a period: write a number and d, h, min or s, such "
            "as 6h, or month, season or year."
        ) from None


def _month_starts(count: np.ndarray, time: TimeAxis) -> np.ndarray:
    """Returns the starts of months, in seconds as in ``time``.

    Args:
        count: (n,) months since January of the year 0.
        time: Times with the calendar to use.
    """
    unique, places = np.unique(count, return_inverse=True)
    dates = [
        cftime.datetime(int(c) // 12, int(c) % 12 + 1, 1, calendar=time.calendar) for c in unique
    ]
    seconds = cftime.date2num(dates, f"seconds since {EPOCH}", calendar=time.calendar)
    return np.rint(np.asarray(seconds, np.float64)).astype(np.int64)[places]


class AggregatedSource:
    """Source of means, sums or extremes of another source's fields over periods of time.

    The time of each aggregated field is the start of its period. A period is complete, and part of
    the source, if it has exactly one field at each time step. A value that is missing at any step
    of a period is missing in the result. A sum has the units of its fields, so it suits amounts
    per step, not rates.

    Args:
        source: Source with dates.
        aggregation: Periods and statistics.
        interval_end: Channels whose times are the end of the interval that a field covers, as for
            hourly amounts of rain. A day of such a channel consists of the fields after its start
            up to and including the one at its end.
        name: Name of the source in messages.

    Attributes:
        incomplete: Starts of the incomplete periods.

    Raises:
        InputError: The source has no dates or only one, its step does not divide the period, or
            no period is complete.
    """

    def __init__(
        self,
        source: Source,
        aggregation: Aggregation,
        *,
        interval_end: Sequence[str] = (),
        name: str = "the source",
    ) -> None:
        self.source = source
        self.aggregation = aggregation
        self.channels, self.units, self.grid = source.channels, source.units, source.grid
        self.standard_names = getattr(source, "standard_names", ("",) * len(self.channels))
        _check_step(source.time, aggregation, name)
        at_end = np.array([channel in interval_end for channel in self.channels])
        starts = {end: aggregation.starts(source.time, end) for end in map(bool, set(at_end))}
        found = np.unique(np.concatenate(list(starts.values())))
        whole = found
        # A period must be complete for the channels of both conventions.
        for end, period_starts in starts.items():
            complete = _complete(source.time, period_starts, aggregation, end)
            whole = np.intersect1d(whole, complete)
        self.incomplete = TimeAxis(np.setdiff1d(found, whole), source.time.calendar)
        self.time = TimeAxis(whole, source.time.calendar)
        if not len(whole):
            raise InputError(
                f"no period of {aggregation.period} is complete in {name}, which runs from "
                f"{source.time.format(0)} to {source.time.format(-1)} every "
                f"{source.time.step_text}."
            )
        # (fields, channels): index of the period of a channel's field, -1 if it is in no period.
        self._period = np.full((len(source.time), len(self.channels)), -1)
        for c, end in enumerate(at_end):
            place = np.searchsorted(whole, starts[bool(end)])
            place[place == len(whole)] = 0  # any valid index: ``inside`` excludes these fields
            inside = whole[place] == starts[bool(end)]
            self._period[inside, c] = place[inside]

    def read(self, times: Times) -> np.ndarray:
        """Reads aggregated fields; see :class:`phire.fields.source.Source`."""
        chosen = indices(times, len(self.time))
        slot = np.full(len(self.time) + 1, -1)  # the last entry serves period -1: no period
        slot[chosen] = np.arange(len(chosen))
        slots = slot[self._period]
        needed = np.flatnonzero((slots >= 0).any(1))
        total = np.zeros((len(chosen), *self.grid.shape, len(self.channels)))
        count = np.zeros((len(chosen), len(self.channels)), int)
        for block in blocks(self.source, len(needed)):
            fields = self.source.read(needed[block])
            for field, places in zip(fields, slots[needed[block]]):
                for c, place in enumerate(places):
                    if place >= 0:
                        self._add(total[place, ..., c], field[..., c], c, count[place, c])
                        count[place, c] += 1
        for c, channel in enumerate(self.channels):
            if self.aggregation.statistic_of(channel) == "mean":
                total[..., c] /= count[:, c, None, None]
        # A period that occurs several times in ``times`` was computed in one slot: copy that one.
        return total[slot[chosen]].astype(np.float32)

    def _add(self, total: np.ndarray, field: np.ndarray, c: int, count: int) -> None:
        """Updates the statistic of a period with one more field of a channel, in place.

        Args:
            total: (H, W) sum or extreme of the fields before this one.
            field: (H, W) field to add.
            c: Index of the channel.
            count: Number of fields before this one.
        """
        statistic = self.aggregation.statistic_of(self.channels[c])
        if count == 0:
            total[...] = field
        elif statistic in ("mean", "sum"):
            total += field
        else:
            (np.maximum if statistic == "max" else np.minimum)(total, field, out=total)

    def close(self) -> None:
        """Closes the source."""
        close(self.source)

    def note(self, most: int = 5) -> str | None:
        """Returns a clause on the incomplete periods; None if all are complete.

        Args:
            most: Number of periods to name.
        """
        count = len(self.incomplete)
        if not count:
            return None
        places = ", ".join(self.incomplete.format(i) for i in range(min(count, most)))
        return (
            f"{count} of {count + len(self.time)} periods of {self.aggregation.period} "
            f"{'are' if count > 1 else 'is'} incomplete and left out "
            f"({places}{' …' if count > most else ''})"
        )


def _check_step(time: TimeAxis, aggregation: Aggregation, name: str) -> None:
    """Raises InputError if the times have no dates, or a step that does not divide the period."""
    if not time.has_calendar:
        raise InputError(f"--every needs dates, but {name} only counts steps: leave it out.")
    step = time.step
    if step is None:
        raise InputError(f"--every: {name} has a single time and therefore no complete period.")
    if aggregation.seconds % step:
        relation = "shorter than" if aggregation.seconds < step else "not a multiple of"
        raise InputError(
            f"--every {aggregation.period} is {relation} the step of {name}, {duration_text(step)}."
        )


def _complete(
    time: TimeAxis, starts: np.ndarray, aggregation: Aggregation, interval_end: bool
) -> np.ndarray:
    """Returns the starts of the complete periods: one field at every time step.

    Args:
        time: Times of the fields.
        starts: (n,) start of the period of each field.
        aggregation: The periods.
        interval_end: See :meth:`Aggregation.starts`.
    """
    order = np.argsort(time.values, kind="stable")
    values, starts = time.values[order], starts[order]
    found, first, count = np.unique(starts, return_index=True, return_counts=True)
    stops = aggregation.stops(found, time)
    last = values[first + count - 1]
    # Complete: equal steps within the period, the first field within the first step of the
    # period, and the last field within the last step.
    irregular = np.zeros(len(values), bool)
    irregular[1:] = (np.diff(values) != time.step) & (starts[1:] == starts[:-1])
    regular = np.add.reduceat(irregular, first) == 0
    early = values[first] - found - int(interval_end) < time.step
    late = stops - last + int(interval_end) <= time.step
    return found[regular & early & late]
