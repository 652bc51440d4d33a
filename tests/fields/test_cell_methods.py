"""Bounds and cell_methods of aggregated output, as xarray and cf_xarray read them."""

from __future__ import annotations

import cf_xarray  # noqa: F401  registers the accessor `cf`
import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from phire.fields import convert, regrid
from phire.fields.description import describe_store
from phire.fields.store import FieldStore


def hourly(path, calendar="standard", freq="6h", count=200):
    times = xr.date_range(
        "2001-01-01", periods=count, freq=freq, calendar=calendar,
        use_cftime=calendar != "standard",
    )  # fmt: skip
    values = np.random.default_rng(0).random((count, 3, 4)).astype("f4")
    dimensions = ("time", "latitude", "longitude")
    variables = {
        name: (dimensions, values, {"units": unit}) for name, unit in (("t2m", "K"), ("tp", "mm"))
    }
    coordinates = {"time": times, "latitude": [50.0, 49, 48], "longitude": [1.0, 2, 3, 4]}
    xr.Dataset(variables, coordinates).to_netcdf(path)
    return path


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_every_variable_states_its_statistic_and_each_time_its_period(tmp_path, suffix):
    source, output = hourly(tmp_path / "a.nc"), tmp_path / f"b.{suffix}"
    convert(source, output, every="1D:mean,tp=sum", offset="6h", time="2001-01-03,2001-02-01")
    opened = xr.open_zarr(output) if suffix == "zarr" else xr.open_dataset(output)
    with opened as found:
        assert found["t2m"].attrs["cell_methods"] == "time: mean"
        assert found["tp"].attrs["cell_methods"] == "time: sum"
        bounds = found.cf.get_bounds("time")
        np.testing.assert_array_equal(bounds[:, 0], found["time"])
        assert (bounds[:, 1] - bounds[:, 0] == np.timedelta64(1, "D")).all()
        assert str(bounds.values[0, 0])[:13] == "2001-01-03T06"
        assert set(found.data_vars) - {"time_bnds"} == {"t2m", "tp"}


def test_months_of_another_calendar_end_where_the_next_ones_begin(tmp_path):
    source = hourly(tmp_path / "a.nc", "360_day", "D", 120)
    convert(source, tmp_path / "b.nc", every="month:max")
    with xr.open_dataset(tmp_path / "b.nc") as found:
        assert found["tp"].attrs["cell_methods"] == "time: maximum"
        bounds = found.cf.get_bounds("time").values
        assert bounds[1].tolist() == [
            cftime.Datetime360Day(2001, 2, 1), cftime.Datetime360Day(2001, 3, 1)
        ]  # fmt: skip


def test_a_store_keeps_them_per_channel_and_reads_as_before(tmp_path):
    source, output = hourly(tmp_path / "a.nc"), tmp_path / "b.h5"
    convert(source, output, every="1D:min,tp=sum")
    with FieldStore(output) as store:
        assert store.cell_methods == ("time: minimum", "time: sum")
        assert store.channels == ("t2m", "tp") and len(store.time) == 50
    assert describe_store(output)["cell methods"] == "t2m time: minimum, tp time: sum"
    import hdf5plugin  # noqa: F401  registers Blosc

    with xr.open_dataset(output, engine="h5netcdf") as found:
        assert found["time"].attrs["bounds"] == "time_bnds"
        assert (np.diff(found["time_bnds"].values) == np.timedelta64(1, "D")).all()
    # What is made of it states them, too.
    convert(output, tmp_path / "c.nc", variables=["rain=tp"], time="2001-01-03,2001-01-05")
    regrid(output, tmp_path / "d.nc", grid="degrees:2")
    with xr.open_dataset(tmp_path / "c.nc") as cut, xr.open_dataset(tmp_path / "d.nc") as coarse:
        assert cut["rain"].attrs["cell_methods"] == "time: sum"
        assert str(cut["time_bnds"].values[1, 1])[:10] == "2001-01-05"
        assert coarse["t2m"].attrs["cell_methods"] == "time: minimum"
        assert coarse.sizes["time"] == len(coarse["time_bnds"]) == 50
    convert(output, tmp_path / "e.nc", every="10D:sum")
    with xr.open_dataset(tmp_path / "e.nc") as found:
        assert found["t2m"].attrs["cell_methods"] == "time: sum"


def test_fields_that_are_not_aggregated_have_none(tmp_path):
    convert(hourly(tmp_path / "a.nc"), tmp_path / "b.nc")
    convert(tmp_path / "a.nc", tmp_path / "b.h5")
    with xr.open_dataset(tmp_path / "b.nc") as found:
        assert "time_bnds" not in found and "cell_methods" not in found["tp"].attrs
    with FieldStore(tmp_path / "b.h5") as store:
        assert store.cell_methods == ()
    assert "cell methods" not in describe_store(tmp_path / "b.h5")


def accumulations(path, hours):
    """Rain and pressure of a forecast: rain accumulates anew each day."""
    times = pd.date_range("2001-01-01", periods=49, freq="h")[hours]
    rain = (np.asarray(hours) - 1) % 24 + 1.0
    dimensions = ("time", "latitude", "longitude")
    shape = np.ones((len(hours), 3, 4), "f4")
    variables = {
        "tp": (dimensions, rain[:, None, None] * shape, {"units": "mm"}),
        "msl": (dimensions, 1e5 * shape, {"units": "Pa"}),
    }
    coordinates = {"time": times, "latitude": [50.0, 49, 48], "longitude": [1.0, 2, 3, 4]}
    xr.Dataset(variables, coordinates).to_netcdf(path)
    return path


@pytest.mark.parametrize("suffix", ["nc", "zarr", "h5"])
def test_rates_state_the_intervals_that_they_are_means_of(tmp_path, suffix):
    hours = [1, 2, 4, 7, 24, 25, 30]  # the interval before each time, but for the day's first
    source, output = accumulations(tmp_path / "a.nc", hours), tmp_path / f"b.{suffix}"
    convert(source, output, deaccumulate=["tp=24h"])
    if suffix == "h5":
        with FieldStore(output) as store:
            assert dict(zip(store.channels, store.cell_methods)) == {"tp": "time: mean", "msl": ""}
        assert describe_store(output)["cell methods"] == "tp time: mean"
        regrid(output, tmp_path / "c.nc", grid="degrees:0.5", method="bilinear")
        output = tmp_path / "c.nc"
    opened = xr.open_zarr(output) if suffix == "zarr" else xr.open_dataset(output)
    with opened as found:
        assert found["tp"].attrs["cell_methods"] == "time: mean"
        assert "cell_methods" not in found["msl"].attrs
        bounds = found.cf.get_bounds("time")
        np.testing.assert_array_equal(bounds[:, 1], found["time"])
        lengths = (bounds[:, 1] - bounds[:, 0]) / np.timedelta64(1, "h")
        np.testing.assert_array_equal(lengths, [1, 1, 2, 3, 17, 1, 5])
        np.testing.assert_allclose(found["tp"] * 3600, 1, rtol=1e-5)


def test_rates_over_different_intervals_have_no_common_bounds(tmp_path):
    source = accumulations(tmp_path / "a.nc", [1, 2, 4])
    with xr.open_dataset(source) as data:
        data.assign(ssr=data.tp.assign_attrs(units="J m-2")).to_netcdf(tmp_path / "two.nc")
    convert(tmp_path / "two.nc", tmp_path / "b.nc", deaccumulate=["tp=24h", "ssr=1h"])
    with xr.open_dataset(tmp_path / "b.nc") as found:
        assert "time_bnds" not in found and "bounds" not in found["time"].attrs
