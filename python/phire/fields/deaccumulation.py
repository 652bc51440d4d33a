"""Rates of what forecasts accumulate since their start, such as rain and radiation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from phire import value_text
from phire.errors import InputError
from phire.fields.source import Source, Times, close, indices
from phire.fields.time import UNKNOWN, duration_text, parse_duration
from phire.fields.units import WATER_EQUIVALENT

PACKING = 0.01
"""Share of a field's maximum by which packing may lower amounts."""


class RateSource:
    """Source of mean rates per second, from channels that accumulate.

    The rate at a time is the difference to the previous field of the same accumulation, divided by
    the time between both; for the first field, its value divided by the time since the start. It
    holds for the interval that ends at its time. Rates may be slightly negative where a file packs
    values coarsely.

    Args:
        source: Any source with dates.
        channels: The channels that accumulate, each with the seconds after which its accumulation
            begins anew, counted from 00 UTC (86400 for ERA5-Land); None takes the starts that the
            file states: forecast times of GRIB, lead times or bounds of times of NetCDF.
        name: What errors call the source.

    Attributes:
        interval_end: The channels of rates, whose times end their interval.
        left_out: Number of fields that are left out because no interval ends at them.
        starts: (n,) seconds at which the intervals of the rates begin; None where those of the
            channels differ.

    Raises:
        InputError: A channel is not there or is instantaneous, the file states no start, or there
            are no dates.
    """

    def __init__(
        self, source: Source, channels: Mapping[str, int | None], *, name: str = "the source"
    ) -> None:
        for channel in channels:
            if channel not in source.channels:
                raise InputError(
                    f"--deaccumulate {channel}: {name} has no such channel; it has "
                    f"{', '.join(source.channels)}."
                )
        if not source.time.has_calendar:
            raise InputError(f"--deaccumulate needs dates, but {name} only counts steps.")
        self.source, self.grid = source, source.grid
        self.channels = source.channels
        self.units = tuple(
            _rate_units(unit) if channel in channels else unit
            for channel, unit in zip(source.channels, source.units)
        )
        self.interval_end = tuple(channels)
        self._places = [source.channels.index(channel) for channel in channels]
        begins = [
            _starts(source, c, reset, name) for c, reset in zip(self._places, channels.values())
        ]
        spans = [_intervals(source.time.values, starts) for starts in begins]
        # An accumulation of no length, as at step 0 of a forecast, has no rate.
        kept = np.flatnonzero(np.all([length > 0 for _, length in spans], axis=0))
        if not len(kept):
            raise InputError(f"--deaccumulate: no interval of time ends at a field of {name}.")
        self.left_out = len(source.time) - len(kept)
        self._times = kept
        self._before = [before[kept] for before, _ in spans]
        self._previous = [
            _ends_before(source.time.values, starts, before)[kept]
            for starts, (before, _) in zip(begins, spans)
        ]
        self._resets = dict(channels)
        self._misfits: dict[tuple[str, str], set[int]] = {}
        self._length = [length[kept] for _, length in spans]
        self.time = source.time[kept]
        common = all(np.array_equal(length, self._length[0]) for length in self._length)
        self.starts = self.time.values - self._length[0] if common else None
        self.time_chunk = getattr(source, "time_chunk", 1)

    def read(self, times: Times) -> np.ndarray:
        """Reads fields; see :class:`phire.fields.source.Source`."""
        chosen = indices(times, len(self.time))
        own = self._times[chosen]
        earlier = [before[chosen] for before in self._before]
        compared = [
            before if reset is None else np.where(before >= 0, before, previous[chosen])
            for before, previous, reset in zip(earlier, self._previous, self._resets.values())
        ]
        needed = np.unique(np.concatenate([own, *compared]))
        needed = needed[needed >= 0]
        read = self.source.read(needed)
        fields = read[np.searchsorted(needed, own)]
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
        """Returns a sentence for each way in which fields read so far contradict a duration."""
        lines = []
        for (channel, found), times in self._misfits.items():
            others = value_text.counted(len(times) - 1, "other time")
            lines.append(
                f"{channel} {found} at {self.time.format(min(times))}"
                f"{f' and {others}' if len(times) > 1 else ''}, which contradicts --deaccumulate: "
                f"it was stated that {channel} begins anew every "
                f"{duration_text(self._resets[channel])} from 00 UTC, and rates are wrong if not"
            )
        return lines

    def _compare(
        self, channel: str, time: int, former: np.ndarray, amount: np.ndarray, same: bool
    ) -> None:
        """Records a field that contradicts a stated duration; amounts with negative values do not.

        Args:
            channel: The channel.
            time: Index of the field's time.
            former: (H, W) the field before.
            amount: (H, W) the field.
            same: True if both are stated to be of one accumulation.
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
    """Reads the channels that accumulate, each given as ``NAME`` or ``NAME=DURATION``.

    Returns:
        Seconds after which an accumulation begins anew, by channel; None where the file states it.

    Raises:
        InputError: A text has another form.
    """
    found: dict[str, int | None] = {}
    for text in texts:
        name, equals, duration = (part.strip() for part in text.partition("="))
        if not name or name in found:
            raise InputError(f"--deaccumulate {','.join(texts)}: name each channel once.")
        found[name] = parse_duration(duration) if equals else None
    return found


def _starts(source: Source, c: int, reset: int | None, name: str) -> np.ndarray:
    """Returns (n,) seconds at which the accumulation of a channel's fields begins."""
    stated = getattr(source, "interval_starts", None)
    channel = source.channels[c]
    if stated is not None and np.array_equal(stated[:, c], source.time.values):
        raise InputError(
            f"--deaccumulate {channel}: {name} states instantaneous values of {channel}, which "
            "accumulate nothing: leave it out."
        )
    if reset is not None:
        return (source.time.values - 1) // reset * reset
    if stated is None or (stated[:, c] == UNKNOWN).any():
        raise InputError(
            f"--deaccumulate {channel}: {name} does not state when the accumulation begins (it has "
            "no forecast steps and no bounds of time): give the time after which it begins anew, "
            f"counted from 00 UTC, such as {channel}=24h."
        )
    return stated[:, c]


def _intervals(times: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the field before each in its accumulation (−1: its start), and the seconds since."""
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
    """Returns the index of the field at the start of each field's accumulation; −1: none.

    It ends the accumulation before, which must have two fields or more: amounts of one step each
    may well grow everywhere from one to the next.
    """
    order = np.argsort(times, kind="stable")
    place = order[np.minimum(np.searchsorted(times[order], starts), len(times) - 1)]
    return np.where((times[place] == starts) & (before[place] >= 0), place, -1)


def _rate_units(unit: str) -> str:
    """Units per second; unknown ones stay unknown."""
    return f"{unit.removesuffix(WATER_EQUIVALENT)} s-1" if unit else ""
