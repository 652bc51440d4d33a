"""Levels, members and fields without time: one is taken, and what could be taken is said."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields import convert, open_source, open_store

LATITUDE, LONGITUDE = np.array([50.0, 49, 48]), np.array([0.0, 1, 2, 3])
TIME = np.array(["2000-01-01T00", "2000-01-01T06"], "M8[ns]")


def write(path, dimension="number", values=(0, 1, 5), attributes=None, extra=True):
    count = len(values)
    fields = np.arange(2 * count * 12, dtype="f4").reshape(2, count, 3, 4)
    coordinates = {"time": TIME, dimension: (dimension, list(values), attributes or {}),
                   "latitude": LATITUDE, "longitude": LONGITUDE}  # fmt: skip
    dataset = xr.Dataset({"t": (("time", dimension, "latitude", "longitude"), fields)}, coordinates)
    if extra:
        dataset["msl"] = dataset["t"].isel({dimension: 0}, drop=True)
    dataset["orog"] = (("latitude", "longitude"), np.arange(12.0, dtype="f4").reshape(3, 4))
    dataset.to_netcdf(path)
    return fields


def test_one_member_is_converted(tmp_path):
    fields = write(tmp_path / "a.nc")
    convert(tmp_path / "a.nc", tmp_path / "a.h5", variables=["t"], member=5)
    with open_store(tmp_path / "a.h5") as store:
        np.testing.assert_array_equal(store.read([0, 1])[..., 0], fields[:, 2])
        assert store.record["options"]["member"] == 5


def test_members_by_their_standard_name(tmp_path):
    fields = write(tmp_path / "a.nc", "run", attributes={"standard_name": "realization"})
    with open_source(tmp_path / "a.nc", ["t"], member=1) as source:
        np.testing.assert_array_equal(source.read([1])[0, ..., 0], fields[1, 1])


def refusal(path, **options):
    """The message with which a file is refused."""
    with pytest.raises(InputError) as caught:
        open_source(path, **options)
    return str(caught.value)


def test_members_are_listed_where_none_or_another_is_named(tmp_path):
    path = tmp_path / "a.nc"
    write(path)
    listed = "has 3 members along number: choose member among 0, 1, 5"
    assert listed in refusal(path)
    assert "has no member 2 along number" in refusal(path, member=2)
    alone = refusal(path, variables=["msl"], member=1)
    assert alone.startswith("member 1: ")
    assert "have no members" in alone


def test_levels_and_other_dimensions_are_told_apart(tmp_path):
    write(tmp_path / "a.nc", "plev", (50000.0, 85000.0))
    listed = "2 levels along plev: choose level among 50000, 85000, or name msl by variables"
    assert listed in refusal(tmp_path / "a.nc")
    write(tmp_path / "b.nc", "quantile", (0.1, 0.5, 0.9), extra=False)
    listed = "3 elements along quantile: choose level among 0.1, 0.5, 0.9."
    assert listed in refusal(tmp_path / "b.nc")
    write(tmp_path / "c.nc", "lev", (np.nan, np.nan))
    unnamed = refusal(tmp_path / "c.nc")
    assert "whose values are not numbers" in unnamed
    assert "or name msl by variables" in unnamed


def test_a_field_without_time_is_one_instant(tmp_path):
    dataset = xr.Dataset(
        {"orog": (("latitude", "longitude"), np.arange(12.0, dtype="f4").reshape(3, 4))},
        {"latitude": LATITUDE, "longitude": LONGITUDE},
    )
    dataset.to_netcdf(tmp_path / "a.nc")
    convert(tmp_path / "a.nc", tmp_path / "a.h5")
    with open_store(tmp_path / "a.h5") as store:
        assert len(store.time) == 1
        np.testing.assert_array_equal(store.read([0])[0, ..., 0], dataset["orog"])


def test_a_map_beside_moving_fields_is_read_where_it_alone_is_wanted(tmp_path):
    write(tmp_path / "a.nc")
    with open_source(tmp_path / "a.nc", ["orog"]) as source:
        assert source.read([0]).shape == (1, 3, 4, 1)
    assert "no variable 'orog'" in refusal(tmp_path / "a.nc", variables=["msl", "orog"])
