"""Aggregation in time against pandas and plain loops; calendars, offsets, incomplete periods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields import time_blocks
from phire.fields.aggregation import AggregatedSource, Aggregation
from phire.fields.source import ArraySource
from phire.fields.time_axis import TimeAxis

GRID = (3, 4)


def series(times: TimeAxis, channels: str = "ab", seed: int = 0) -> ArraySource:
    shape = (len(times), *GRID, len(channels))
    fields = np.random.default_rng(seed).normal(size=shape).astype("f4")
    return ArraySource(fields, channels=list(channels), time=times)


def hourly(start: str, count: int, freq: str = "h", calendar: str | None = None) -> TimeAxis:
    if calendar is None:
        return TimeAxis.from_coordinate(pd.date_range(start, periods=count, freq=freq).values)
    dates = xr.date_range(start, periods=count, freq=freq, calendar=calendar, use_cftime=True)
    return TimeAxis.from_coordinate(dates.values)


@settings(max_examples=30, deadline=None)
@given(
    start=st.integers(0, 30),
    count=st.integers(60, 120),
    every=st.sampled_from(["6h", "12h", "1D", "2D"]),
    statistic=st.sampled_from(["mean", "sum", "max", "min"]),
    offset=st.sampled_from([0, 6, 9]),
    interval_end=st.booleans(),
)
def test_equals_pandas(start, count, every, statistic, offset, interval_end):
    times = pd.date_range("1970-01-01", periods=count, freq="h") + pd.Timedelta(hours=start)
    source = series(TimeAxis.from_coordinate(times.values), "a")
    frame = pd.DataFrame(source.fields.reshape(count, -1).astype("f8"), index=times)
    bins = frame.resample(
        every.lower().replace("d", "D"),
        origin=pd.Timestamp("1970-01-01") + pd.Timedelta(hours=offset),
        closed="right" if interval_end else "left",
        label="left",
    )
    wanted = getattr(bins, statistic)()[bins.size() == pd.Timedelta(every) / pd.Timedelta("1h")]
    aggregation = Aggregation.parse(f"{every}:{statistic}", f"{offset}h" if offset else None)
    ends = ["a"] if interval_end else []
    if wanted.empty:
        with pytest.raises(InputError, match="no period of 2D is complete"):
            AggregatedSource(source, aggregation, interval_end=ends)
        return
    found = AggregatedSource(source, aggregation, interval_end=ends)
    np.testing.assert_array_equal(found.time.to_coordinate(), wanted.index.values)
    fields = found.read(slice(None)).reshape(len(wanted), -1)
    np.testing.assert_allclose(fields, wanted.values, rtol=1e-5, atol=1e-6)
    assert len(found.incomplete) == (bins.size() > 0).sum() - len(wanted)


def test_each_channel_has_its_statistic_and_its_side_of_the_interval():
    source = series(hourly("2000-01-01", 49), "tp")
    found = AggregatedSource(source, Aggregation.parse("1D:max,p=sum"), interval_end=["p"]).read(
        [1, 0, 1]
    )
    days = [slice(0, 24), slice(24, 48)]
    for place, day in zip((1, 0, 2), (0, 1, 1)):
        hours = source.fields[days[day]]
        np.testing.assert_array_equal(found[place, ..., 0], hours[..., 0].max(0))
        later = source.fields[days[day].start + 1 : days[day].stop + 1, ..., 1]
        np.testing.assert_allclose(found[place, ..., 1], later.sum(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("calendar", ["360_day", "noleap", "julian"])
@pytest.mark.parametrize("every", ["month", "season", "year"])
def test_months_seasons_and_years_of_any_calendar(calendar, every):
    times = hourly("1999-11-17", 900, "D", calendar)
    source = series(times, "a")
    found = AggregatedSource(source, Aggregation.parse(f"{every}:mean"))
    dates = times.dates()
    key = {
        "month": lambda d: (d.year, d.month),
        "season": lambda d: (d.year + (d.month == 12), d.month % 12 // 3),
        "year": lambda d: d.year,
    }[every]
    groups: dict = {}
    for date, field in zip(dates, source.fields):
        groups.setdefault(key(date), []).append((date, field))
    inner = list(groups.values())[1:-1]  # the first and the last are cut off
    assert [found.time.format(i) for i in range(len(found.time))] == [
        group[0][0].strftime("%Y-%m-%dT%H:%M") for group in inner
    ]
    wanted = [np.mean([field for _, field in group], axis=0) for group in inner]
    np.testing.assert_allclose(found.read(slice(None)), wanted, atol=1e-5)
    assert len(found.incomplete) == 2


def test_gaps_and_repetitions_make_periods_incomplete_and_are_named():
    times = hourly("2000-01-01", 96).values
    source = series(TimeAxis(np.r_[times[:30], times[31:60], times[59:]], "standard"))
    found = AggregatedSource(source, Aggregation.parse("1D:mean"))
    assert [found.time.format(i) for i in (0, 1)] == ["2000-01-01T00:00", "2000-01-04T00:00"]
    assert found.note() == (
        "2 of 4 periods of 1D are incomplete and left out (2000-01-02T00:00, 2000-01-03T00:00)"
    )


def test_missing_values_stay_missing_and_unsorted_times_are_sorted():
    source = series(hourly("2000-01-01", 48))
    source.fields[3, 1, 2, 0] = np.nan
    order = np.random.default_rng(1).permutation(48)
    shuffled = ArraySource(source.fields[order], channels="ab", time=source.time[order])
    for statistic in ("mean", "max"):
        rule = Aggregation.parse(f"1D:{statistic}")
        wanted = AggregatedSource(source, rule).read(slice(None))
        found = AggregatedSource(shuffled, rule).read(slice(None))
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
        assert np.argwhere(np.isnan(wanted)).tolist() == [[0, 1, 2, 0]]


def test_few_fields_are_held_at_once(monkeypatch):
    source = series(hourly("2000-01-01", 24 * 31))
    monkeypatch.setattr(time_blocks, "BLOCK_BYTES", 5 * source.fields[0].nbytes)
    asked, read = [], source.read
    monkeypatch.setattr(source, "read", lambda times: asked.append(len(times)) or read(times))
    AggregatedSource(source, Aggregation.parse("month:mean")).read([0])
    assert max(asked) == 5
    assert sum(asked) == 24 * 31


@pytest.mark.parametrize(
    ("text", "months"),
    [("1M", 1), ("1MS", 1), ("1ME", 1), ("MS", 1), ("1mo", 1), ("2mon", 2), ("3 Months", 3),
     ("season", 3), ("1Y", 12), ("1YS", 12), ("1y", 12), ("1yr", 12), ("1A", 12)],
)  # fmt: skip
def test_months_and_years_as_people_write_them(text, months):
    found = Aggregation.parse(f"{text}:mean")
    assert (found.seconds, found.months) == (0, months)


@pytest.mark.parametrize(("text", "seconds"), [("30min", 1800), ("90s", 90), ("2 d", 172800)])
def test_durations_are_no_months(text, seconds):
    found = Aggregation.parse(f"{text}:mean")
    assert (found.seconds, found.months) == (seconds, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1D", "PERIOD:STATISTIC"),
        ("1D:median", "mean, sum, max, min"),
        ("1D:mean,tp", "PERIOD:STATISTIC"),
        ("1D:mean,=sum", "PERIOD:STATISTIC"),
        ("soon:mean", "'soon' is not a period: .* or month, season or year"),
        ("1m:mean", r"min for minutes \(1min\) or month for months \(1month\)"),
        ("1W:mean", "'1W' is not a period"),
        ("5months:mean", "5 months do not divide a year"),
        ("0years:mean", "1 to 12 months"),
    ],
)
def test_texts_of_another_form_are_refused(text, said):
    with pytest.raises(InputError, match=said):
        Aggregation.parse(text)


@pytest.mark.parametrize(
    ("times", "every", "said"),
    [
        (TimeAxis.steps(9), "1D:mean", "needs dates"),
        (hourly("2000-01-01", 1), "1D:mean", "a single time"),
        (hourly("2000-01-01", 9, "D"), "6h:mean", "shorter than the step of the source, 24 h"),
        (hourly("2000-01-01", 9, "5h"), "1D:mean", "not a multiple of"),
        (hourly("2000-01-01T12", 23), "1D:mean", "no period of 1D is complete"),
    ],
)
def test_times_that_fill_no_period_are_refused(times, every, said):
    with pytest.raises(InputError, match=said):
        AggregatedSource(series(times), Aggregation.parse(every))
