"""Rates of quantities that forecasts accumulate from their start, such as rain and radiation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from phire import value_text
from phire.errors import InputError
from phire.fields.source import Source, Times, close, indices
from phire.fields.time_axis import UNKNOWN, duration_text, parse_duration
from phire.fields.units import WATER_EQUIVALENT

PACKING = 0.01
"""Tolerance of comparisons, as a share of a field's maximum: packing may lower values by it."""


class RateSource:
    """Source of mean rates per second, computed from accumulating channels.

    A rate is the difference between a field and the previous field of the same accumulation,
    divided by the time between both. For the first field of an accumulation it is the value
    divided by the time since the start. The rate is the mean over the interval that ends at its
    time. It may be slightly negative if the file packs values coarsely.

    Args:
        source: Source with dates.
        channels: Accumulating channels. For each, the period in seconds, counted from 00 UTC,
            after which the accumulation restarts at zero (86400 for ERA5-Land); or None to use
            the starts stated by the file: forecast times of GRIB, lead times or time bounds of
            NetCDF.
        name: Name of the source in messages.

    Attributes:
        interval_end: The channels of rates; their times are the ends of their intervals.
        left_out: Number of fields left out because no interval ends at their time.
        starts: (n,) seconds at which the intervals of the rates begin; None if they differ
            between channels.

    Raises:
        InputError: A channel does not exist or is instantaneous, the file does not state the
            starts, or the source has no dates.
    """

    def __init__(
        self, source: Source, channels: Mapping[str, int | None], *, name: str = "the source"
    ) -> None:
        for channel in channels:
            if channel not in source.channels:
                raise InputError(
                    f"--deaccumulate {channel}: {name} has no channel {channel}; it has "
                    f"{', '.join(source.channels)}."
                )
        if not source.time.has_calendar:
            raise InputError(
                f"--deaccumulate needs dates, but {name} only counts steps: leave it out."
            )
        self.source, self.grid = source, source.grid
        self.channels = source.channels
        self.units = tuple(
            _rate_units(unit) if channel in channels else unit
            for channel, unit in zip(source.channels, source.units)
        )
        self.interval_end = tuple(channels)
        self._places = [source.channels.index(channel) for channel in channels]
        starts_by_channel = [
            _starts(source, c, reset, name) for c, reset in zip(self._places, channels.values())
        ]
        spans = [_intervals(source.time.values, starts) for starts in starts_by_channel]
        # An accumulation of zero length, as at step 0 of a forecast, has no rate.
        valid = np.flatnonzero(np.all([length > 0 for _, length in spans], axis=0))
        if not len(valid):
            raise InputError(
                f"--deaccumulate: no interval of time ends at a field of {name}: check its times."
            )
        self.left_out = len(source.time) - len(valid)
        self._times = valid
        self._before = [before[valid] for before, _ in spans]
        self._previous = [
            _ends_before(source.time.values, starts, before)[valid]
            for starts, (before, _) in zip(starts_by_channel, spans)
        ]
        self._resets = dict(channels)
        self._misfits: dict[tuple[str, str], set[int]] = {}
        self._length = [length[valid] for _, length in spans]
        self.time = source.time[valid]
        common = all(np.array_equal(length, self._length[0]) for length in self._length)
        self.starts = self.time.values - self._length[0] if common else None
        self.time_chunk = getattr(source, "time_chunk", 1)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        chosen = indices(times, len(self.time))
        current = self._times[chosen]
        earlier = [before[chosen] for before in self._before]
        # With a period stated by the user, each field is compared with the one before it, also
        # across the start of an accumulation, to notice a wrong period.
        compared = [
            before if reset is None else np.where(before >= 0, before, previous[chosen])
            for before, previous, reset in zip(earlier, self._previous, self._resets.values())
        ]
        needed = np.unique(np.concatenate([current, *compared]))
        needed = needed[needed >= 0]
        read = self.source.read(needed)
        fields = read[np.searchsorted(needed, current)]
        for k, (c, before, length) in enumerate(zip(self._places, earlier, self._length)):
            for i in np.flatnonzero(compared[k] >= 0):
                former = read[np.searchsorted(needed, compared[k][i]), ..., c]
                self._compare(self.channels[c], int(chosen[i]), former, fields[i, ..., c],
                              before[i] >= 0)  # fmt: skip
            amount = fields[..., c].astype(np.float64)
            later = before >= 0
            amount[later] -= read[np.searchsorted(needed, before[later]), ..., c]
            fields[..., c] = amount / length[chosen][:, None, None]
        return fields

    def notes(self) -> list[str]:
        """Returns one sentence for each way in which fields read so far contradict a period."""
        lines = []
        for (channel, found), times in self._misfits.items():
            others = value_text.counted(len(times) - 1, "other time")
            lines.append(
                f"{channel} {found} at {self.time.format(min(times))}"
                f"{f' and {others}' if len(times) > 1 else ''}, which contradicts --deaccumulate: "
                f"rates are right only if {channel} restarts at zero every "
                f"{duration_text(self._resets[channel])} from 00 UTC"
            )
        return lines

    def _compare(
        self, channel: str, time: int, former: np.ndarray, amount: np.ndarray, same: bool
    ) -> None:
        """Records a field that contradicts the period after which its accumulation restarts.

        Within one accumulation amounts must not fall, and at a restart they must fall somewhere.
        Quantities with negative values are not checked: they may do both.

        Args:
            channel: The channel.
            time: Index of the field's time.
            former: (H, W) previous field.
            amount: (H, W) field.
            same: True if both belong to one accumulation by the stated period.
        """
        both = np.isfinite(former) & np.isfinite(amount)
        former, amount = former[both], amount[both]
        if self._resets[channel] is None or not both.any() or min(former.min(), amount.min()) < 0:
            return
        present = former > PACKING * former.max()
        falls = amount[present] < former[present] - PACKING * former.max()
        if same and falls.any():
            self._misfits.setdefault((channel, "falls within an interval"), set()).add(time)
        elif not same and present.any() and (amount[present] >= former[present]).all():
            found = "falls nowhere at the beginning of an interval"
            self._misfits.setdefault((channel, found), set()).add(time)

    def close(self) -> None:
        """Closes the source."""
        close(self.source)


def parse_deaccumulation(texts: Sequence[str]) -> dict[str, int | None]:
    """Parses accumulating channels, each given as ``NAME`` or ``NAME=DURATION``.

    Returns:
        Period (s) after which the accumulation restarts, by channel; None without a duration.

    Raises:
        InputError: A name is empty or repeated, or a duration has another form.
    """
    found: dict[str, int | None] = {}
    for text in texts:
        name, equals, duration = (part.strip() for part in text.partition("="))
        if not name or name in found:
            raise InputError(f"--deaccumulate {','.join(texts)}: name each channel once.")
        found[name] = parse_duration(duration) if equals else None
    return found


def _starts(source: Source, c: int, reset: int | None, name: str) -> np.ndarray:
    """Returns the start of the accumulation of each field of a channel: (n,) seconds.

    Args:
        source: The source.
        c: Index of the channel.
        reset: Period (s) after which the accumulation restarts; None uses the stated starts.
        name: Name of the source in messages.
    """
    stated = getattr(source, "interval_starts", None)
    channel = source.channels[c]
    if stated is not None and np.array_equal(stated[:, c], source.time.values):
        raise InputError(
            f"--deaccumulate {channel}: {name} states that {channel} is instantaneous, not "
            "accumulated: leave it out."
        )
    if reset is not None:
        # A field at the time of a restart holds the full amount of the period that ends there.
        return (source.time.values - 1) // reset * reset
    if stated is None or (stated[:, c] == UNKNOWN).any():
        raise InputError(
            f"--deaccumulate {channel}: {name} does not state when the accumulation begins (it has "
            "no forecast steps and no time bounds): give the period after which it restarts at "
            f"zero, counted from 00 UTC, such as {channel}=24h."
        )
    return stated[:, c]


def _intervals(times: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the previous field of each field's accumulation, and the length of the interval.

    Args:
        times: (n,) seconds.
        starts: (n,) seconds at which each field's accumulation begins.

    Returns:
        (n,) index of the previous field, −1 for the first field of an accumulation; (n,) seconds
        since that field, or since the start.
    """
    order = np.lexsort((times, starts))
    before = np.full(len(times), -1)
    length = times - starts
    same = starts[order][1:] == starts[order][:-1]
    later, earlier = order[1:][same], order[:-1][same]
    positive = times[earlier] > starts[earlier]
    later, earlier = later[positive], earlier[positive]
    before[later] = earlier
    length[later] = times[later] - times[earlier]
    return before, length


def _ends_before(times: np.ndarray, starts: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Returns the index of the field at which the accumulation before each field's own ends.

    It is −1 if no field is valid at the start of the field's accumulation. Accumulations of a
    single field are ignored: their amounts may grow everywhere from one to the next, which would be
    mistaken for a wrong period.

    Args:
        times: (n,) times of the fields.
        starts: (n,) starts of their accumulations.
        before: (n,) index of the previous field of the same accumulation; −1 for the first.
    """
    order = np.argsort(times, kind="stable")
    place = order[np.minimum(np.searchsorted(times[order], starts), len(times) - 1)]
    return np.where((times[place] == starts) & (before[place] >= 0), place, -1)


def _rate_units(unit: str) -> str:
    """Returns the units of a rate: those of the amount per second, empty if unknown."""
    return f"{unit.removesuffix(WATER_EQUIVALENT)} s-1" if unit else ""
