"""The time axis: exact integers in any calendar, gaps, repetitions and partners."""

import cftime
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phire import progress
from phire.errors import InputError
from phire.fields.time_axis import EPOCH, TimeAxis, duration_text, parse_duration

pytestmark = pytest.mark.versions

HOUR = 3600


def axis(*hours, calendar="standard"):
    return TimeAxis(np.array(hours) * HOUR, calendar)


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day", "julian", "all_leap"])
@given(days=st.lists(st.integers(0, 40000), min_size=1, max_size=5))
def test_dates_of_any_calendar_come_back(calendar, days):
    times = TimeAxis(np.array(days) * 86400 + 3 * HOUR, calendar)
    assert TimeAxis.from_coordinate(times.dates()) == times
    values, attributes = times.to_cf()
    assert TimeAxis.from_cf(values, attributes["units"], attributes["calendar"]) == times
    assert TimeAxis.from_dict(times.to_dict()) == times
    assert TimeAxis.from_coordinate(times.to_coordinate()) == times


def test_seconds_agree_with_cftime_and_numpy():
    dates = np.array(["1999-12-31T21", "2000-02-29T00"], "datetime64[h]")
    times = TimeAxis.from_coordinate(dates)
    np.testing.assert_array_equal(times.values, dates.astype("datetime64[s]").astype(int))
    leapless = TimeAxis.from_coordinate([cftime.DatetimeNoLeap(2001, 1, 1)])
    assert leapless.values[0] == 31 * 365 * 86400
    year_of_360_days = TimeAxis.from_coordinate([cftime.Datetime360Day(1971, 1, 1)])
    assert year_of_360_days.values[0] == 360 * 86400


def test_the_step_is_the_most_common_distance():
    assert axis(0, 3, 6, 12, 15).step == 3 * HOUR
    assert axis(0, 3, 6).step_text == "3 h"
    assert TimeAxis.steps(4).step_text == "1 step"
    assert axis(5).step is None


def test_gaps_name_the_field_before_and_the_steps_missing():
    assert axis(0, 3, 6).gaps() == []
    assert axis(0, 3, 12, 15, 18, 24).gaps() == [(1, 2), (4, 1)]


@pytest.mark.parametrize(("period", "step"), [("MS", "31 d"), ("QS-DEC", "92 d"), ("YS", "365 d")])
def test_months_seasons_and_years_of_other_lengths_are_no_gaps(period, step):
    dates = pd.date_range("1991-01-01", "2012-01-01", freq=period).values
    times = TimeAxis.from_coordinate(dates)
    assert (times.step_text, times.gaps()) == (step, [])
    assert TimeAxis.from_coordinate(np.delete(dates, [6, 7, 11])).gaps() == [(5, 2), (8, 1)]


def test_repeated_times_are_named_and_have_no_partners():
    times = axis(0, 3, 3, 6, 9)
    np.testing.assert_array_equal(times.repeated(), [1, 2])
    assert not times.increasing
    np.testing.assert_array_equal(times.partner(1), [-1, -1, -1, 4, -1])


@given(
    st.lists(st.integers(0, 30), min_size=2, max_size=20),
    st.integers(1, 5),
)
def test_partners_agree_with_a_search_by_hand(hours, lag):
    times = axis(*hours)
    step = times.step
    expected = []
    for value in times.values:
        same = np.flatnonzero(times.values == value)
        later = np.flatnonzero(times.values == value + lag * (step or 0))
        alone = step is not None and len(same) == 1 and len(later) == 1
        expected.append(later[0] if alone else -1)
    np.testing.assert_array_equal(times.partner(lag), expected)


@given(st.lists(st.integers(0, 20), min_size=1), st.lists(st.integers(0, 20), min_size=1))
def test_times_found_agree_with_a_search_by_hand(held, wanted):
    expected = [held.index(hour) if hour in held else -1 for hour in wanted]
    np.testing.assert_array_equal(axis(*held).find(axis(*wanted)), expected)


def test_no_time_is_found_in_another_calendar():
    assert axis(0, 3).find(axis(0, 3, calendar="360_day")).tolist() == [-1, -1]
    with pytest.raises(InputError, match=r"^a\.h5 has the time 1970-01-01T03:00 more than once"):
        axis(0, 3, 3).require_unique("a.h5")


def test_ranges_are_half_open():
    times = TimeAxis.from_coordinate(np.arange("2000-01-01", "2000-01-11", dtype="datetime64[D]"))
    np.testing.assert_array_equal(times.select("2000-01-03", "2000-01-05"), [2, 3])
    np.testing.assert_array_equal(times.select_range("2000-01-09,"), [8, 9])
    np.testing.assert_array_equal(times.select_range(",2000-01-02T00:00"), [0])
    np.testing.assert_array_equal(times.select_range(None), np.arange(10))
    np.testing.assert_array_equal(TimeAxis.steps(9).select_range("3,5"), [3, 4])


@pytest.mark.parametrize("text", ["2001-01-01,2002-01-01", "2000-01-03", "yesterday,", "1,2,3",
                                  "2000-01-05,2000-01-02", "2000-01-05,2000-01-05"])  # fmt: skip
def test_ranges_that_hold_nothing_or_are_none_are_refused(text):
    times = TimeAxis.from_coordinate(np.arange("2000-01-01", "2000-01-11", dtype="datetime64[D]"))
    with pytest.raises(InputError) as refused:
        times.select_range(text)
    assert text.split(",")[0] in str(refused.value)


def test_a_date_that_the_calendar_lacks_is_refused():
    with pytest.raises(InputError, match="noleap"):
        axis(0, calendar="noleap").parse("2000-02-29")
    with pytest.raises(InputError, match="'0' is not a time: give an ISO date"):
        axis(0, calendar="standard").parse("0")
    assert axis(0, calendar="360_day").parse("1970-02-30") == 59 * 86400


def test_times_of_different_calendars_cannot_be_put_together():
    with pytest.raises(InputError, match="360_day"):
        TimeAxis.concatenate([axis(0), axis(3, calendar="360_day")])
    together = TimeAxis.concatenate([axis(0), axis(3, calendar="proleptic_gregorian")])
    assert together == axis(0, 3)


def test_dates_of_people_and_months_and_hours():
    times = TimeAxis.from_coordinate(np.array(["2000-05-31T18:30:00"], "datetime64[s]"))
    assert times.format(0) == "2000-05-31T18:30"
    assert TimeAxis.steps(3).format(-1) == "step 2"
    np.testing.assert_array_equal(times.months(), [5])
    np.testing.assert_array_equal(times.hours(), [18])


@pytest.mark.parametrize("bad", [np.array([np.datetime64("NaT")]), np.array([0.5]), ["a"]])
def test_what_is_no_time_is_refused(bad):
    with pytest.raises(InputError, match="time coordinate"):
        TimeAxis.from_coordinate(bad)


def test_durations_are_read_and_written():
    assert parse_duration("3h") == 3 * HOUR
    assert parse_duration("90 min") == 5400
    assert [duration_text(s) for s in (10800, 1800, 172800, 45)] == ["3 h", "30 min", "2 d", "45 s"]
    for text in ("3", "h", "-3h", "0h"):
        with pytest.raises(InputError, match="duration"):
            parse_duration(text)
    assert EPOCH.startswith("1970")


@pytest.mark.parametrize("unit, seconds", [("days", 86400), ("hours", 3600)])
@pytest.mark.parametrize("step", [3600, 10800, 86400])
def test_times_of_few_digits_are_rounded_to_what_they_mean(unit, seconds, step):
    exact = step * np.arange(200) + 3600 * 24 * 365 * 110
    values = (exact / seconds).astype("f4")
    axis = TimeAxis.from_cf(values, f"{unit} since 1900-01-01", "noleap")
    assert axis.step == step
    assert not axis.gaps()
    assert set(np.diff(axis.values)) == {step}


def test_times_of_few_digits_stay_where_no_step_is_plausible():
    values = np.cumsum(np.random.default_rng(0).uniform(0.05, 0.2, 50)).astype("f4") + 40000
    axis = TimeAxis.from_cf(values, "days since 1900-01-01", "standard")
    exact = TimeAxis.from_cf(values.astype("f8"), "days since 1900-01-01", "standard")
    assert axis == exact


def test_times_in_a_file_of_32_bit_days(tmp_path, capsys):
    import xarray as xr

    from phire.fields import open_source

    hours = np.arange(48) / 24 + 40000
    dataset = xr.Dataset(
        {"t": (("time", "latitude", "longitude"), np.zeros((48, 3, 4), "f4"))},
        {
            "time": ("time", hours.astype("f4"), {"units": "days since 1900-01-01"}),
            "latitude": [2.0, 1, 0],
            "longitude": [0.0, 1, 2, 3],
        },
    )
    dataset.to_netcdf(tmp_path / "a.nc")
    progress.say_once.cache_clear()
    with open_source(tmp_path / "a.nc") as source:
        assert (source.time.step, source.time.gaps()) == (3600, [])
    assert "rounded to multiples of 1 h" in " ".join(capsys.readouterr().err.split())
