"""Time axis of a series of fields: whole seconds in any CF calendar, or step numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import cftime
import numpy as np

from phire import value_text
from phire.errors import InputError

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SEASONS = ("DJF", "MAM", "JJA", "SON")
"""Meteorological seasons; the season of a month (1…12) is ``SEASONS[month % 12 // 3]``."""

EPOCH = "1970-01-01 00:00:00"
ROUND_UNITS = (86400, 43200, 21600, 10800, 3600, 1800, 900, 600, 300, 60, 1)
"""Units (s) to which inexact times are rounded, from a day to a second."""
UNKNOWN = int(np.iinfo(np.int64).min)
"""Value of a time that a file does not state."""
SHORTEST_MONTH = 28 * 86400
"""Length (s) of the shortest month; longer steps are months, seasons or years."""

STANDARD = ("standard", "gregorian", "proleptic_gregorian")


@dataclasses.dataclass(frozen=True, eq=False)
class TimeAxis:
    """Times of a series of fields.

    Attributes:
        values: (n,) int64 seconds since 1970-01-01 in ``calendar``; step numbers without one.
        calendar: CF calendar; None for a series without dates.
    """

    values: np.ndarray
    calendar: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, dtype=np.int64))

    @classmethod
    def steps(cls, count: int) -> TimeAxis:
        """Returns an axis that counts ``count`` steps from 0, for a store without times."""
        return cls(np.arange(count), None)

    @classmethod
    def from_coordinate(cls, coordinate: Any, calendar: str | None = None) -> TimeAxis:
        """Returns the axis of a time coordinate.

        Args:
            coordinate: datetime64 values, cftime objects, or integers.
            calendar: Calendar of integers that are seconds since 1970-01-01; None for step
                numbers.

        Raises:
            InputError: A time is missing, or the values have another type.
        """
        values = np.atleast_1d(np.asarray(coordinate))
        if np.issubdtype(values.dtype, np.datetime64):
            if np.isnat(values).any():
                raise InputError("the time coordinate has missing times: drop these fields.")
            return cls(values.astype("datetime64[s]").astype(np.int64), "proleptic_gregorian")
        if values.dtype == object and len(values) and isinstance(values.flat[0], cftime.datetime):
            calendar = values.flat[0].calendar
            seconds = cftime.date2num(values, f"seconds since {EPOCH}", calendar=calendar)
            return cls(np.rint(np.asarray(seconds, dtype=np.float64)).astype(np.int64), calendar)
        if np.issubdtype(values.dtype, np.integer):
            return cls(values, calendar)
        raise InputError(
            f"the time coordinate has the type {values.dtype}: it must have dates or step numbers."
        )

    @classmethod
    def from_cf(cls, values: Any, units: str, calendar: str = "standard") -> TimeAxis:
        """Returns the axis of a CF time variable.

        Args:
            values: Values of the variable; 32-bit floating-point numbers are rounded, see
                :meth:`rounded`.
            units: CF units, such as ``hours since 1900-01-01``.
            calendar: CF calendar.
        """
        dates = cftime.num2date(
            np.asarray(values), units, calendar=calendar, only_use_cftime_datetimes=True
        )
        axis = cls.from_coordinate(dates)
        precision = float_precision(np.asarray(values), units)
        return axis.rounded(precision) if precision else axis

    @classmethod
    def concatenate(cls, parts: Sequence[TimeAxis]) -> TimeAxis:
        """Returns the times of several axes, one after another.

        Raises:
            InputError: The calendars differ.
        """
        if not all(part.shares_calendar(parts[0]) for part in parts):
            names = ", ".join(sorted({str(part.calendar) for part in parts}))
            raise InputError(
                f"the times have different calendars ({names}): convert them separately."
            )
        return cls(np.concatenate([part.values for part in parts]), parts[0].calendar)

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TimeAxis)
            and self.shares_calendar(other)
            and np.array_equal(self.values, other.values)
        )

    __hash__ = None

    def __getitem__(self, index: Any) -> TimeAxis:
        return TimeAxis(np.atleast_1d(self.values[index]), self.calendar)

    def shares_calendar(self, other: TimeAxis) -> bool:
        """Returns True if equal values of the two axes are equal dates."""
        return _canonical(self.calendar) == _canonical(other.calendar)

    @property
    def has_calendar(self) -> bool:
        """True if the values are dates."""
        return self.calendar is not None

    def rounded(self, precision: float) -> TimeAxis:
        """Rounds inexact times to the largest unit that fits all of them.

        A file with days since 1900 as 32-bit floating-point numbers, for example, is exact to a few
        minutes: the steps of its hourly fields are read as 3375 s and 3713 s.

        Args:
            precision: Precision of the values, s.

        Returns:
            The times rounded to days, 12, 6 or 3 hours, … or seconds. The axis is returned
            unchanged if no unit clearly above ``precision`` fits, or if two times would become
            equal.
        """
        count = len(np.unique(self.values))
        for unit in ROUND_UNITS:
            rounded = np.rint(self.values / unit).astype(np.int64) * unit
            # Well above the precision, so that a rounded time cannot be the wrong multiple.
            if (
                unit >= 4 * precision
                and np.abs(rounded - self.values).max() <= precision + 1
                and len(np.unique(rounded)) == count
            ):
                if (rounded != self.values).any():
                    from phire import progress

                    progress.say_once(
                        "Note: times are stored as 32-bit floating-point numbers, exact to "
                        f"{precision:.0f} s: they are rounded to multiples of "
                        f"{duration_text(unit)}."
                    )
                return TimeAxis(rounded, self.calendar)
        return self

    @property
    def step(self) -> int | None:
        """Most common difference of consecutive times, in seconds or steps; None for one time.

        If several differences are equally common, it is the smallest.
        """
        distances = np.diff(np.unique(self.values))
        if not len(distances):
            return None
        found, counts = np.unique(distances, return_counts=True)
        return int(found[np.argmax(counts)])

    @property
    def step_text(self) -> value_text.Stated:
        """Step as text, such as ``3 h`` or ``1 step``, with the ISO 8601 duration as value."""
        step = self.step
        if step is None:
            return value_text.Stated("a single time", None)
        if self.has_calendar:
            return duration_stated(step)
        return value_text.Stated(f"{step} step{'s' * (step != 1)}", step)

    def gaps(self) -> list[tuple[int, int]]:
        """Returns the gaps: index of the field before each gap, and number of missing steps.

        A difference of two times that is not a multiple of the step is rounded up to one. Lengths
        of months, seasons and years vary, so their differences are rounded to the nearest multiple.
        """
        step = self.step
        if step is None:
            return []
        distances = np.diff(self.values)
        if self.has_calendar and step >= SHORTEST_MONTH:
            missing = np.rint(distances / step).astype(int) - 1
            return [(int(i), int(missing[i])) for i in np.flatnonzero(missing > 0)]
        return [
            (int(i), max(int(-(-distances[i] // step)) - 1, 1))
            for i in np.flatnonzero(distances > step)
        ]

    def repeated(self) -> np.ndarray:
        """Returns the indices of the fields whose time occurs more than once."""
        _, inverse, counts = np.unique(self.values, return_inverse=True, return_counts=True)
        return np.flatnonzero(counts[inverse] > 1)

    def require_unique(self, name: str) -> None:
        """Checks that no time is repeated, so that fields can be matched with another series.

        Args:
            name: Name of the series in the message.

        Raises:
            InputError: A time occurs more than once.
        """
        repeated = self.repeated()
        if len(repeated):
            raise InputError(
                f"{name} has the time {self.format(int(repeated[0]))} more than once, so its "
                "fields cannot be matched: drop the repetition."
            )

    def find(self, wanted: TimeAxis) -> np.ndarray:
        """Finds the times of another axis in this one. Both may be unsorted.

        Args:
            wanted: Axis of the m times to find.

        Returns:
            (m,) index of the first field at each time; −1 if there is none. All are −1 if the
            calendars differ.
        """
        if not len(self) or not self.shares_calendar(wanted):
            return np.full(len(wanted), -1, dtype=np.int64)
        # np.unique sorts, as searchsorted requires, and gives the first of repeated times.
        values, first = np.unique(self.values, return_index=True)
        place = np.clip(np.searchsorted(values, wanted.values), 0, len(values) - 1)
        return np.where(values[place] == wanted.values, first[place], -1)

    @property
    def increasing(self) -> bool:
        """True if each time is later than the one before."""
        return bool((np.diff(self.values) > 0).all())

    def partner(self, lag: int) -> np.ndarray:
        """Returns, for each field, the index of the field exactly ``lag`` steps later; −1 for none.

        Fields whose time occurs more than once are ambiguous: they have no partner and are the
        partner of none.
        """
        step = self.step
        if step is None:
            return np.full(len(self), -1, dtype=np.int64)
        found = self.find(TimeAxis(self.values + lag * step, self.calendar))
        repeated = self.repeated()
        found[repeated] = -1
        found[np.isin(found, repeated)] = -1
        return found

    def parse(self, text: str) -> int:
        """Parses an ISO date, a date and time, or a step number to a value.

        Raises:
            InputError: The text is not a date, time or step number.
        """
        text = str(text).strip()
        try:
            if not self.has_calendar:
                return int(text)
            date, _, clock = text.replace("T", " ").rstrip("Z").partition(" ")
            numbers = [int(part) for part in date.split("-")] + [
                int(part) for part in clock.split(":") if part
            ]
            if not 1 <= len(numbers) <= 6 or numbers[0] == 0:  # CF has no year 0
                raise ValueError
            numbers[len(numbers) :] = [1, 1, 1, 0, 0, 0][len(numbers) :]
            moment = cftime.datetime(*numbers, calendar=self.calendar)
        except ValueError:
            kind = (
                f"an ISO date ({self.calendar} calendar) such as 2000-01-31 or 2000-01-31T06:00"
                if self.has_calendar
                else "a step number (this series has no dates)"
            )
            raise InputError(f"{text!r} is not a time: give {kind}.") from None
        seconds = cftime.date2num(moment, f"seconds since {EPOCH}", calendar=self.calendar)
        return round(float(seconds))

    def select(self, start: str | None, stop: str | None) -> np.ndarray:
        """Returns the indices of the fields in the half-open range [start, stop).

        Args:
            start, stop: Dates or step numbers as text; None or empty for no bound.

        Raises:
            InputError: A bound is not a time, or no field lies between them.
        """
        first, end = (self.parse(bound) if bound else None for bound in (start, stop))
        if first is not None and end is not None and first >= end:
            raise InputError(f"--time {start},{stop} ends before it begins: give START,STOP.")
        inside = np.ones(len(self), dtype=bool)
        if first is not None:
            inside &= self.values >= first
        if end is not None:
            inside &= self.values < end
        if not inside.any():
            raise InputError(
                f"--time {start or ''},{stop or ''} contains none of the fields, which run from "
                f"{self.format(0)} to {self.format(-1)}: the range is half-open, START,STOP."
                if len(self)
                else "there are no fields to select from."
            )
        return np.flatnonzero(inside)

    def select_range(self, text: str | tuple[str | None, str | None] | None) -> np.ndarray:
        """Returns the indices of the fields in a range of times.

        Args:
            text: ``START,STOP`` or a pair of both, of which either may be empty; None for all.

        Raises:
            InputError: The text has another form, a bound is not a time, or no field lies between
                them.
        """
        if text is None:
            return np.arange(len(self))
        parts = text.split(",") if isinstance(text, str) else list(text)
        if len(parts) != 2:
            raise InputError(f"--time {text} is not of the form START,STOP.")
        return self.select(*parts)

    def dates(self) -> np.ndarray:
        """Returns the times as cftime objects; the axis must have a calendar."""
        return cftime.num2date(
            self.values,
            f"seconds since {EPOCH}",
            calendar=self.calendar,
            only_use_cftime_datetimes=True,
        )

    def format(self, index: int) -> str:
        """Returns one time as text: ``2000-01-31T06:00`` or ``step 7``."""
        if not self.has_calendar:
            return f"step {int(self.values[index])}"
        date = self[index].dates()[0]
        return date.strftime("%Y-%m-%dT%H:%M:%S" if date.second else "%Y-%m-%dT%H:%M")

    def months(self) -> np.ndarray:
        """Returns the months (n,) of the year, 1…12; the axis must have a calendar."""
        return np.array([date.month for date in self.dates()])

    def hours(self) -> np.ndarray:
        """Returns the hours (n,) of the day, 0…23; the axis must have a calendar."""
        return self.values % 86400 // 3600

    def to_coordinate(self) -> np.ndarray:
        """Returns the times for xarray: datetime64[ns], cftime objects, or int64 steps."""
        if not self.has_calendar:
            return self.values
        # datetime64[ns] ends in 2262, 9.2e9 s after 1970, and has the proleptic Gregorian
        # calendar, which agrees with the standard one after 1582.
        if self.calendar in STANDARD and (np.abs(self.values) < 9e9).all():
            return self.values.astype("datetime64[s]").astype("datetime64[ns]")
        return self.dates()

    def to_cf(self) -> tuple[np.ndarray, dict[str, str]]:
        """Returns the values and attributes of a CF time variable."""
        if not self.has_calendar:
            return self.values, {"long_name": "step", "units": "1"}
        attributes = {
            "standard_name": "time",
            "units": f"seconds since {EPOCH}",
            "calendar": self.calendar,
        }
        return self.values, attributes

    def to_dict(self) -> dict[str, Any]:
        """Returns values and calendar as a dictionary that JSON can hold."""
        return {"values": self.values.tolist(), "calendar": self.calendar}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> TimeAxis:
        """Returns the axis that :meth:`to_dict` stored in a dictionary."""
        return cls(np.asarray(value["values"], dtype=np.int64), value["calendar"])


def _canonical(calendar: str | None) -> str | None:
    return "standard" if calendar in STANDARD else calendar


def float_precision(values: np.ndarray, units: str) -> float:
    """Returns the precision (s) of times stored as 32-bit numbers; 0 for other types.

    Args:
        values: Values as stored in the file.
        units: CF units, such as ``days since 1900-01-01``.
    """
    unit = units.partition(" since ")[0].strip().lower().removesuffix("s")
    length = {"day": 86400, "d": 86400, "hour": 3600, "h": 3600, "hr": 3600, "minute": 60,
              "min": 60, "second": 1, "": 1, "sec": 1}.get(unit)  # fmt: skip
    if values.dtype != np.float32 or length is None or not values.size:
        return 0.0
    return float(np.spacing(np.abs(values).max())) * length


def duration_text(seconds: int) -> str:
    """Returns a duration in the largest unit that divides it: ``3 h``, ``30 min``."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        # A day is written as 24 h, the usual name of such a step.
        if seconds % length == 0 and (unit != "d" or seconds > 86400):
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def duration_stated(seconds: int) -> value_text.Stated:
    """Returns a duration as the text ``3 h`` with the ISO 8601 duration ``PT3H`` as value."""
    text = duration_text(seconds)
    number, unit = text.split()
    code = f"P{number}D" if unit == "d" else f"PT{number}{unit[0].upper()}"
    return value_text.Stated(text, code)


def parse_duration(text: str) -> int:
    """Returns a duration such as ``3h``, ``30min``, ``2d`` or ``600s`` in seconds.

    Raises:
        InputError: The text is not a duration, or is ``1M``, which means a month in pandas.
    """
    lengths = {"d": 86400, "h": 3600, "min": 60, "m": 60, "s": 1}
    stripped = str(text).replace(" ", "").lower()
    for unit in sorted(lengths, key=len, reverse=True):
        number = stripped.removesuffix(unit)
        if number != stripped and number.isdigit() and int(number) > 0:
            if str(text).rstrip().endswith("M"):
                break
            return int(number) * lengths[unit]
    raise InputError(f"{text!r} is not a duration: write a number and d, h, min or s, such as 3h.")
