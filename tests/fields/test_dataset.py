"""Datasets of all habits: names, orders, levels, forecast steps, calendars, packed integers."""

import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields import DatasetSource, open_source

RANDOM = np.random.default_rng(0)
TIMES = pd.date_range("2000-01-01", periods=4, freq="6h")
LATITUDES = np.linspace(60, 40, 5)
LONGITUDES = np.linspace(-10, 10, 6)
VALUES = RANDOM.normal(size=(4, 5, 6)).astype("f4")


def dataset(values=VALUES, dimensions=("time", "latitude", "longitude"), **coordinates):
    found = {"time": TIMES, "latitude": LATITUDES, "longitude": LONGITUDES, **coordinates}
    found = {n: c for n, c in found.items() if n in dimensions or not np.ndim(c)}
    return xr.Dataset({"t": (dimensions, values, {"units": "K"})}, found)


def read(data, **options):
    source = DatasetSource(data, **options)
    return source, source.read(slice(None))[..., 0]


def test_values_units_and_times():
    source, fields = read(dataset())
    np.testing.assert_array_equal(fields, VALUES)
    assert (source.channels, source.units) == (("t",), ("K",))
    assert source.time.format(1) == "2000-01-01T06:00"
    np.testing.assert_array_equal(source.read([2, 0])[..., 0], VALUES[[2, 0]])
    window = source.read_window([1], slice(1, 3), slice(2, None))
    np.testing.assert_array_equal(window[0, ..., 0], VALUES[1, 1:3, 2:])


@pytest.mark.parametrize(
    "names", [{"latitude": "lat", "longitude": "lon"}, {"latitude": "y", "longitude": "x"}]
)
def test_other_names_of_the_coordinates(names):
    data = dataset().rename(names)
    data[names["latitude"]].attrs["units"] = "degrees_north"
    data[names["longitude"]].attrs["standard_name"] = "longitude"
    source, fields = read(data)
    np.testing.assert_array_equal(fields, VALUES)
    np.testing.assert_allclose(source.grid.latitudes, LATITUDES)


def test_dimensions_in_another_order_and_rows_northward():
    data = dataset().transpose("longitude", "time", "latitude").sortby("latitude")
    source, fields = read(data)
    np.testing.assert_array_equal(fields, VALUES)
    assert source.grid.descending


@pytest.mark.parametrize("name", ["valid_time", "time"])
def test_a_time_axis_of_either_name(name):
    _, fields = read(dataset().rename({"time": name} if name != "time" else {}))
    np.testing.assert_array_equal(fields, VALUES)


def test_forecast_steps_from_one_start():
    data = dataset(dimensions=("step", "latitude", "longitude"), step=[0, 6, 12, 18])
    data = data.assign_coords(time=TIMES[0])
    data["step"].attrs["units"] = "hours"
    source, fields = read(data)
    assert source.time.format(3) == "2000-01-01T18:00"
    np.testing.assert_array_equal(fields, VALUES)


@pytest.mark.parametrize("with_valid_time", [False, True])
def test_starts_and_steps_are_laid_out_as_one_axis(with_valid_time):
    values = RANDOM.normal(size=(2, 3, 5, 6)).astype("f4")
    data = dataset(
        values.transpose(1, 0, 2, 3),
        ("step", "time", "latitude", "longitude"),
        time=TIMES[:2],
        step=np.array([0, 2, 4], "timedelta64[h]").astype("timedelta64[ns]"),
    )
    if with_valid_time:
        data = data.assign_coords(valid_time=data["time"] + data["step"])
    source = DatasetSource(data)
    hours = (source.time.values - source.time.values[0]) // 3600
    np.testing.assert_array_equal(np.sort(hours), [0, 2, 4, 6, 8, 10])
    order = np.argsort(hours)
    np.testing.assert_array_equal(source.read(order)[..., 0], values.reshape(6, 5, 6))


def test_time_counts_valid_time_where_it_is_given():
    data = dataset().assign_coords(valid_time=("time", TIMES + pd.Timedelta("1h")))
    assert DatasetSource(data).time.format(0) == "2000-01-01T01:00"


@pytest.mark.parametrize("calendar", ["360_day", "365_day", "standard"])
def test_calendars_survive_a_file(tmp_path, calendar):
    times = xr.date_range("2000-02-27", periods=4, freq="D", calendar=calendar, use_cftime=True)
    dataset(time=times).to_netcdf(tmp_path / "a.nc")
    with open_source(tmp_path / "a.nc") as source:
        assert source.time.step == 86400
        expected = {"360_day": "2000-02-30", "365_day": "2000-03-02", "standard": "2000-03-01"}
        assert source.time.format(3) == f"{expected[calendar]}T00:00"


@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF4"])
def test_packed_integers_with_missing_values(tmp_path, kind):
    values = VALUES.copy()
    values[1, 2, 3] = np.nan
    packing = {"dtype": "i2", "scale_factor": 1e-3, "add_offset": 0.5, "_FillValue": -32767}
    dataset(values).to_netcdf(tmp_path / "a.nc", format=kind, encoding={"t": packing})
    with open_source(tmp_path / "a.nc") as source:
        fields = source.read(slice(None))[..., 0]
    assert np.isnan(fields[1, 2, 3])
    np.testing.assert_allclose(fields, values, atol=6e-4)


def test_zarr_and_pickles(tmp_path):
    dataset().chunk({"time": 2}).to_zarr(tmp_path / "a.zarr", consolidated=False)
    with open_source(tmp_path / "a.zarr") as source:
        assert source.time_chunk == 2
        again = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(again.read([3, 1])[..., 0], VALUES[[3, 1]])
    source = DatasetSource(dataset())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).read([1]), source.read([1]))


class TestLevels:
    VALUES = RANDOM.normal(size=(4, 3, 5, 6)).astype("f4")

    def data(self, name="level", values=(500, 700, 850), units="hPa"):
        data = dataset(self.VALUES, ("time", name, "latitude", "longitude"), **{name: list(values)})
        data[name].attrs["units"] = units
        data["msl"] = (("time", "latitude", "longitude"), VALUES)
        return data

    @pytest.mark.parametrize("name", ["level", "isobaricInhPa", "pressure_level", "model_level"])
    def test_a_level_is_chosen_by_its_value(self, name):
        source = DatasetSource(self.data(name), level=700)
        np.testing.assert_array_equal(source.read(slice(None))[..., 0], self.VALUES[:, 1])
        np.testing.assert_array_equal(source.read(slice(None))[..., 1], VALUES)

    def test_hectopascal_find_pascal(self):
        data = self.data("plev", (50000.0, 70000.0, 85000.0), "Pa")
        _, fields = read(data, level=850)
        np.testing.assert_array_equal(fields, self.VALUES[:, 2])

    def test_a_level_must_be_chosen_and_be_there(self):
        with pytest.raises(InputError, match="500, 700, 850"):
            DatasetSource(self.data())
        with pytest.raises(InputError, match="no level 300"):
            DatasetSource(self.data(), level=300)
        assert DatasetSource(self.data(), variables=["msl"]).channels == ("msl",)

    def test_one_level_is_taken_unless_another_is_asked_for(self):
        for data in (self.data().isel(level=[1]), self.data().isel(level=1)):
            _, fields = read(data, variables=["t"])
            np.testing.assert_array_equal(fields, self.VALUES[:, 1])
            with pytest.raises(InputError, match="no level 850"):
                DatasetSource(data, level=850)

    def test_levels_without_values(self):
        data = dataset(self.VALUES, ("time", "sigma", "latitude", "longitude"))
        with pytest.raises(InputError, match="sigma"):
            DatasetSource(data, level=1)


def test_era5_and_its_preliminary_side_by_side():
    values = np.full((4, 2, 5, 6), np.nan, "f4")
    values[:3, 0], values[3:, 1] = VALUES[:3], VALUES[3:]
    data = dataset(values, ("time", "expver", "latitude", "longitude"), expver=[1, 5])
    np.testing.assert_array_equal(read(data)[1], VALUES)


def test_a_mask_without_time_is_left_out_beside_fields_with_time():
    data = dataset().assign(lsm=(("latitude", "longitude"), VALUES[0]))
    assert DatasetSource(data).channels == ("t",)


def test_a_single_time_without_a_dimension():
    source, fields = read(dataset().isel(time=2))
    assert source.time.format(0) == "2000-01-01T12:00"
    np.testing.assert_array_equal(fields, VALUES[[2]])


def test_steps_without_dates():
    data = dataset().assign_coords(time=[3.0, 5.0, 7.0, 9.0])
    assert DatasetSource(data).time.step_text == "2 steps"
    assert DatasetSource(data.drop_vars("time")).time.step_text == "1 step"


def test_pixels():
    data = xr.Dataset({"t": (("time", "y", "x"), VALUES)}, {"time": TIMES})
    source, fields = read(data)
    assert source.grid.kind == "pixels"
    np.testing.assert_array_equal(fields, VALUES)


MEMBERS = RANDOM.normal(size=(4, 10, 5, 6)).astype("f4")


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (dataset(), {"variables": ["u"]}, "no variable 'u'"),
        (xr.Dataset({"a": ("x", [1.0])}), {}, "rows and columns"),
        (dataset(MEMBERS, ("time", "number", "latitude", "longitude")), {}, "10 members"),
        (dataset(latitude=[1.0, 3, 2, 4, 5]), {}, "monotonic"),
        (dataset().drop_vars("latitude"), {}, "latitude"),
        (
            dataset().assign(u=(("other", "latitude", "longitude"), VALUES[:2]), other=TIMES[:2]),
            {},
            "different times",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(data, options, said):
    with pytest.raises(InputError, match=said):
        DatasetSource(data, name="a.nc", **options)
