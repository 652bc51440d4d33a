"""Rates of accumulations: forecasts of every format, starts that are stated, given or unknown."""

from __future__ import annotations

import re

import eccodes
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields import convert, open_source, open_store
from phire.fields.deaccumulation import RateSource, parse_deaccumulation
from phire.fields.source import ArraySource
from phire.fields.time_axis import TimeAxis

START = pd.Timestamp("2000-01-01")
RATES = np.random.default_rng(0).gamma(0.5, 1e-4, (2, 6, 4, 5))
"""Two forecasts of six hours each, a rate an hour."""

COORDINATES = {"lat": [40.0, 30, 20, 10], "lon": np.arange(5.0)}


def check(source):
    found = RateSource(source, {"tp": None})
    assert found.units[0] == "mm s-1"
    assert found.interval_end == ("tp",)
    assert [found.time.format(i) for i in (0, -1)] == ["2000-01-01T01:00", "2000-01-01T12:00"]
    fields = found.read(slice(None))[..., found.channels.index("tp")]
    np.testing.assert_allclose(fields, RATES.reshape(12, 4, 5), rtol=1e-3, atol=1e-8)
    shuffled = found.read([7, 2, 7])[..., found.channels.index("tp")]
    np.testing.assert_array_equal(shuffled, fields[[7, 2, 7]])
    return found


def amounts(steps):
    """Accumulations (2, steps, H, W) in mm since the start of each forecast."""
    sums = np.concatenate([np.zeros((2, 1, 4, 5)), RATES.cumsum(1) * 3600], axis=1)
    return sums[:, steps]


@pytest.mark.parametrize("first", [0, 1])
def test_forecasts_by_start_and_lead_time(tmp_path, first):
    steps = np.arange(first, 7)
    data = xr.Dataset(
        {
            "tp": (("time", "step", "lat", "lon"), amounts(steps), {"units": "mm"}),
            "t": (("time", "step", "lat", "lon"), amounts(steps) + 280, {"units": "K"}),
        },
        {
            "time": [START, START + pd.Timedelta("6h")],
            "step": ("step", steps, {"units": "hours"}),
            **COORDINATES,
        },
    )
    data.to_netcdf(tmp_path / "a.nc")
    with open_source(tmp_path / "a.nc") as source:
        found = check(source)
        assert found.left_out == 2 * (1 - first)
        np.testing.assert_allclose(found.read([8])[0, ..., 1], amounts([3])[1, 0] + 280, rtol=1e-6)


def test_forecasts_of_grib_in_two_files(tmp_path):
    for f in range(2):
        with open(tmp_path / f"{f}.grib", "wb") as file:
            for step in range(1, 7):
                handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
                keys = {
                    "dataDate": 20000101, "dataTime": 600 * f, "shortName": "tp", "Ni": 5, "Nj": 4,
                    "stepRange": f"0-{step}", "bitsPerValue": 24,
                    "latitudeOfFirstGridPointInDegrees": 40, "latitudeOfLastGridPointInDegrees": 10,
                    "longitudeOfFirstGridPointInDegrees": 0, "longitudeOfLastGridPointInDegrees": 4,
                    "iDirectionIncrementInDegrees": 1, "jDirectionIncrementInDegrees": 10,
                }  # fmt: skip
                for key, value in keys.items():
                    eccodes.codes_set(handle, key, value)
                # GRIB's tp is in m.
                eccodes.codes_set_values(handle, amounts([step])[f].ravel() / 1e3)
                eccodes.codes_write(handle, file)
                eccodes.codes_release(handle)
    with open_source(f"{tmp_path}/*.grib") as source:
        found = RateSource(source, {"tp": None})
        assert found.units == ("m s-1",)
        np.testing.assert_allclose(
            found.read(slice(None))[..., 0] * 1e3, RATES.reshape(12, 4, 5), rtol=2e-3, atol=1e-7
        )


def hourly(values, times, bounds=None):
    data = xr.Dataset(
        {"tp": (("time", "lat", "lon"), values, {"units": "mm"})}, {"time": times, **COORDINATES}
    )
    if bounds is not None:
        data["time_bounds"] = (("time", "two"), bounds)
        data["time"].attrs["bounds"] = "time_bounds"
    return data


def test_bounds_of_time_state_the_interval(tmp_path):
    times = pd.date_range(START, periods=12, freq="h") + pd.Timedelta("1h")
    begins = np.repeat([START, START + pd.Timedelta("6h")], 6)
    bounds = np.stack([begins, times.values], axis=1).astype("datetime64[ns]")
    data = hourly(amounts(np.arange(1, 7)).reshape(12, 4, 5), times, bounds)
    data.to_netcdf(tmp_path / "a.nc")
    with open_source(tmp_path / "a.nc") as source:
        check(source)


def test_a_given_time_of_beginning_anew():
    times = pd.date_range(START, periods=12, freq="h") + pd.Timedelta("1h")
    source = ArraySource(
        amounts(np.arange(1, 7)).reshape(12, 4, 5, 1), channels=["tp"], units=["mm"],
        time=TimeAxis.from_coordinate(times.values),
    )  # fmt: skip
    found = RateSource(source, {"tp": 6 * 3600}).read(slice(None))
    np.testing.assert_allclose(found[..., 0], RATES.reshape(12, 4, 5), rtol=1e-3, atol=1e-8)


def test_steps_that_are_not_there_lengthen_the_interval():
    """The rate over two hours is the mean of theirs; nothing is taken across two forecasts."""
    times = START + pd.to_timedelta([1, 3, 4, 6, 8], "h")
    sums = amounts(np.arange(7))
    fields = np.stack([sums[0, 1], sums[0, 3], sums[0, 4], sums[0, 6], sums[1, 2]])
    source = ArraySource(
        fields[..., None], channels=["tp"], units=[""], time=TimeAxis.from_coordinate(times.values)
    )
    found = RateSource(source, {"tp": 6 * 3600})
    assert found.units == ("",)
    wanted = [RATES[0, 0], RATES[0, 1:3].mean(0), RATES[0, 3], RATES[0, 4:].mean(0),
              RATES[1, :2].mean(0)]  # fmt: skip
    np.testing.assert_allclose(found.read(slice(None))[..., 0], wanted, rtol=1e-3, atol=1e-8)


def test_mistakes_are_named():
    times = TimeAxis.from_coordinate(pd.date_range(START, periods=3, freq="h").values)
    source = ArraySource(np.zeros((3, 4, 5, 1)), channels=["tp"], time=times)
    with pytest.raises(InputError, match="such as tp=24h"):
        RateSource(source, {"tp": None}, name="a.nc")
    with pytest.raises(InputError, match=r"a\.nc has no channel .*; it has tp"):
        RateSource(source, {"pr": None}, name="a.nc")
    with pytest.raises(InputError, match="needs dates"):
        RateSource(ArraySource(np.zeros((3, 4, 5, 1)), channels=["tp"]), {"tp": None})
    with pytest.raises(InputError, match="name each channel once"):
        parse_deaccumulation(["tp", "tp=24h"])
    with pytest.raises(InputError, match="not a duration"):
        parse_deaccumulation(["tp=daily"])
    assert parse_deaccumulation(["tp", "ssr=24h"]) == {"tp": None, "ssr": 86400}


@pytest.mark.parametrize("given", [None, 86400])
def test_instantaneous_variables_are_refused(tmp_path, given):
    times = pd.date_range(START, periods=3, freq="h")
    data = hourly(np.zeros((3, 4, 5)), times)
    data["t2m"] = data.tp.assign_attrs(units="K", GRIB_stepType="instant")
    data["tp"].attrs["GRIB_stepType"] = "instant"  # as GRIB 1 writes amounts of some centres
    data.to_netcdf(tmp_path / "a.nc")
    with open_source(tmp_path / "a.nc") as source:
        with pytest.raises(InputError, match=r"a\.nc states that t2m is instantaneous"):
            RateSource(source, {"t2m": given}, name="a.nc")
        assert RateSource(source, {"tp": 86400}).channels == ("tp", "t2m")


def test_instantaneous_messages_are_refused(tmp_path):
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    for key, value in {"shortName": "2t", "dataDate": 20000101, "step": 3}.items():
        eccodes.codes_set(handle, key, value)
    with open(tmp_path / "a.grib", "wb") as file:
        eccodes.codes_write(handle, file)
    eccodes.codes_release(handle)
    with open_source(tmp_path / "a.grib") as source:
        with pytest.raises(InputError, match="t2m is instantaneous"):
            RateSource(source, {"t2m": None})


@pytest.mark.parametrize(
    "stated, found",
    [
        (6, []),
        (3, ["tp falls nowhere at the beginning of an interval at 2000-01-01T04:00 and 1 other"]),
        (24, ["tp falls within an interval at 2000-01-01T07:00, which .* every 24 h from"]),
    ],
)
def test_durations_that_the_amounts_contradict_are_noted(stated, found):
    times = pd.date_range(START, periods=12, freq="h") + pd.Timedelta("1h")
    source = ArraySource(
        amounts(np.arange(1, 7)).reshape(12, 4, 5, 1), channels=["tp"], units=["mm"],
        time=TimeAxis.from_coordinate(times.values),
    )  # fmt: skip
    rates = RateSource(source, {"tp": stated * 3600})
    for block in (slice(0, 5), slice(5, 12)):
        rates.read(block)
    assert len(rates.notes()) == len(found)
    for line, pattern in zip(rates.notes(), found):
        assert re.match(pattern, line)


def test_sums_of_rates_are_refused(tmp_path):
    times = pd.date_range(START, periods=12, freq="h") + pd.Timedelta("1h")
    hourly(amounts(np.arange(1, 7)).reshape(12, 4, 5), times).to_netcdf(tmp_path / "a.nc")
    given = {"deaccumulate": ["tp=6h"]}
    with pytest.raises(InputError, match=r"tp is a rate after deaccumulate.*\(tp=mean\)"):
        convert(tmp_path / "a.nc", tmp_path / "a.h5", every="6h:sum", **given)
    convert(tmp_path / "a.nc", tmp_path / "b.h5", every="6h:sum,tp=mean", **given)
    with open_store(tmp_path / "b.h5") as store:
        np.testing.assert_allclose(store.read([1])[0, ..., 0], RATES[1].mean(0), rtol=1e-3)
