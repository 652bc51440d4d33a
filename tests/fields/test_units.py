"""Units are equal by what they measure, not by their spelling."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields import convert, open_source, open_store, units
from phire.fields.dataset import DatasetSource

pytestmark = pytest.mark.versions

SAME = [
    ("m s-1", "m/s", "m s**-1", "m.s-1", "m s^-1", "meters/second"),
    ("mm", "kg m-2", "kg m**-2"),
    ("mm/s", "kg m-2 s-1", "kg m**-2 s**-1"),
    ("mm day-1", "mm/day", "mm d-1", "kg m-2 d-1"),
    ("m2 s-2", "m**2 s**-2", "J kg-1"),
    ("hPa", "mb", "mbar", "millibars"),
    ("K", "kelvin", "Kelvin", "degK"),
    ("degC", "Celsius", "degree_Celsius", "deg C"),
    ("m", "m of water equivalent"),
    ("1", "kg kg-1", "dimensionless"),
    ("dBZ", " dBZ "),
    ("something odd", "", None),
]


@pytest.mark.parametrize("spellings", SAME, ids=[same[0] for same in SAME])
def test_spellings_of_one_unit_are_equal(spellings):
    assert all(units.equal(a, b) for a in spellings for b in spellings)


def test_different_units_differ():
    for group in SAME[:-1]:
        for other in SAME[:-1]:
            if group is not other:
                assert not units.equal(group[0], other[0]), (group[0], other[0])
    assert not units.equal("%", "1")
    assert not units.equal("(0 - 1)", "~")


def test_conversion_factors():
    assert units.conversion("hPa", "Pa") == pytest.approx((100, 0))
    assert units.conversion("degC", "K") == pytest.approx((1, 273.15))
    assert units.conversion("degF", "K") == pytest.approx((5 / 9, 459.67 * 5 / 9))
    assert units.conversion("mm day-1", "kg m-2 s-1") == pytest.approx((1 / 86400, 0))
    assert units.conversion("kg m-2 s-1", "mm/h") == pytest.approx((3600, 0))
    assert units.conversion("m of water equivalent", "kg m-2") == pytest.approx((1000, 0))
    assert units.conversion("m s-1", "K") is None
    assert units.conversion("m s-1", "dBZ") is None


def test_a_difference_is_named_with_the_factor():
    channels = ("t", "pr")
    assert units.difference(channels, ("K", "mm"), ("kelvin", "kg m-2")) is None
    text = units.difference(channels, ("K", "mm day-1"), ("K", "kg m-2 s-1"))
    assert text == "pr in 'mm day-1', not in 'kg m-2 s-1' (1 mm day-1 is 1.15741e-05 kg m-2 s-1)"
    assert units.difference(("x",), ("dBZ",), ("K",)) == "x in 'dBZ', not in 'K'"


@pytest.mark.parametrize(
    ("text", "exponent", "wanted"),
    [("m s**-1", 2, "m2 s-2"), ("m/s", 2, "m2 s-2"), ("s-1", -1, "s"), ("degC", 2, "K2"),
     ("K", 2, "K2"), ("1", 2, "1"), ("", 2, ""), ("dBZ", 2, "(dBZ)2")],
)  # fmt: skip
def test_powers(text, exponent, wanted):
    assert units.power(text, exponent) == wanted


def temperatures(**attributes):
    values = np.arange(24.0, dtype="f4").reshape(2, 3, 4)
    coordinates = {
        "time": np.array(["2000-01-01", "2000-01-02"], "M8[ns]"),
        "latitude": [50.0, 49, 48],
        "longitude": [0.0, 1, 2, 3],
    }
    return xr.Dataset({"t": (tuple(coordinates), values, attributes)}, coordinates), values


def test_degrees_celsius_are_kelvin_where_a_source_is_opened(tmp_path):
    dataset, values = temperatures(units="degC")
    dataset.to_netcdf(tmp_path / "t.nc")
    with open_source(tmp_path / "t.nc") as source:
        assert source.units == ("K",)
        np.testing.assert_allclose(source.read([0, 1])[..., 0], values + 273.15, rtol=1e-6)
    convert(tmp_path / "t.nc", tmp_path / "t.h5")
    with open_store(tmp_path / "t.h5") as store:
        assert store.units == ("K",)
        np.testing.assert_allclose(store.read([1])[0, ..., 0], values[1] + 273.15, rtol=1e-6)


def test_a_store_in_degrees_celsius_is_read_in_kelvin(tmp_path):
    import h5py

    dataset, values = temperatures(units="K")
    dataset.to_netcdf(tmp_path / "t.nc")
    convert(tmp_path / "t.nc", tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        file["data"].attrs["channel_units"] = np.array(["degC"], dtype=h5py.string_dtype())
    with open_store(tmp_path / "t.h5") as store:
        assert store.units == ("K",)
        np.testing.assert_allclose(store.read([1])[0, ..., 0], values[1] + 273.15, rtol=1e-6)
        np.testing.assert_allclose(store.read_planes(1)[0], values[1] + 273.15, rtol=1e-6)


@pytest.mark.parametrize(
    "attributes",
    [{"standard_name": "air_temperature_anomaly"}, {"units_metadata": "temperature: difference"}],
)
def test_an_anomaly_gets_no_offset(attributes):
    dataset, values = temperatures(units="degC", **attributes)
    source = DatasetSource(dataset)
    assert source.units == ("K",)
    np.testing.assert_array_equal(source.read([0])[0, ..., 0], values[0])


def test_files_of_one_variable_may_spell_its_units_differently(tmp_path):
    dataset, values = temperatures(units="m s**-1")
    dataset.isel(time=[0]).to_netcdf(tmp_path / "a.nc")
    dataset["t"].attrs["units"] = "m/s"
    dataset.isel(time=[1]).to_netcdf(tmp_path / "b.nc")
    with open_source([tmp_path / "a.nc", tmp_path / "b.nc"]) as source:
        np.testing.assert_array_equal(source.read([0, 1])[..., 0], values)
    dataset["t"].attrs["units"] = "km/h"
    dataset.isel(time=[1]).to_netcdf(tmp_path / "c.nc")
    with pytest.raises(InputError, match=r"c\.nc.*1 km/h is 0\.277778 m s\*\*-1"):
        open_source([tmp_path / "a.nc", tmp_path / "c.nc"])


def test_the_registry_is_loaded_only_when_units_are_compared():
    code = "import sys, phire.fields.units; print('pint' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "of_channels, all_share",
    [
        (("m s-1", "m/s", "m s**-1"), "m s-1"),
        (("m s-1", "K"), ""),
        (("m s-1", ""), ""),
        ((), ""),
    ],
)
def test_units_that_channels_share(of_channels, all_share):
    assert units.shared(of_channels) == all_share
