"""Circles of longitudes that begin at different ones are one grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.evaluation.pairing import align
from phire.fields import convert, join, open_source, open_store
from phire.fields.grid import Grid
from phire.fields.longitudes import TurnedSource, shared_columns
from phire.fields.source import ArraySource
from phire.records.grid_points import matching_points

LATITUDES = np.linspace(80, -80, 9)


@settings(max_examples=30, deadline=None)
@given(columns=st.integers(4, 40), first=st.integers(0, 39), turns=st.integers(-1, 1))
def test_columns_of_a_turned_circle_are_found(columns, first, turns):
    first %= columns
    longitudes = 360 / columns * np.arange(columns)
    grid = Grid.regional(LATITUDES, longitudes)
    wanted = Grid.regional(LATITUDES, 360 / columns * (first + np.arange(columns)) + 360 * turns)
    np.testing.assert_array_equal(shared_columns(grid, wanted), np.roll(range(columns), -first))


def test_other_points_share_nothing():
    grid = Grid.regional(LATITUDES, np.arange(0, 360, 10.0))
    for other in (
        Grid.regional(LATITUDES, np.arange(5, 365, 10.0)),
        Grid.regional(LATITUDES[::-1], np.arange(0, 360, 10.0)),
        Grid.regional(LATITUDES, np.arange(0, 180, 5.0)),
        Grid.pixels(9, 36),
    ):
        assert shared_columns(grid, other) is None
        assert shared_columns(other, grid) is None
    # A region is no circle: its columns cannot go on at the other end.
    part = Grid.regional(LATITUDES, np.arange(0, 100, 10.0))
    assert shared_columns(part, Grid.regional(LATITUDES, np.arange(50, 150, 10.0))) is None
    same = shared_columns(part, Grid.regional(LATITUDES, np.arange(-360, -260, 10.0)))
    np.testing.assert_array_equal(same, range(10))


def write(path, west, start, name="t"):
    longitudes = np.arange(west, west + 360, 10.0)
    times = pd.date_range(start, periods=3)
    # A field that says where it is.
    values = np.cos(np.deg2rad(longitudes)) + LATITUDES[:, None] + times.day.values[:, None, None]
    xr.Dataset(
        {name: (("time", "lat", "lon"), values, {"units": "K"})},
        {"time": times, "lat": LATITUDES, "lon": longitudes},
    ).to_netcdf(path)
    return values


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_and_channels_of_both_conventions_are_read_as_the_first_has_them(folder):
    early = write("a.nc", 0, "2000-01-01")
    write("b.nc", -180, "2000-01-04")
    write("c.nc", -180, "2000-01-02", "q")
    with open_source(["a.nc", "b.nc"]) as source:
        assert source.grid.longitudes[0] == 0
        fields = source.read(slice(None))[..., 0]
        days = np.broadcast_to(np.arange(6.0)[:, None, None], fields.shape)
        np.testing.assert_allclose(fields - fields[:1], days, atol=1e-4)
        window = source.read_window([4], slice(2, 5), slice(30, 34))
        np.testing.assert_array_equal(window[..., 0], fields[4:5, 2:5, 30:34])
    convert(["a.nc", "c.nc"], "merged.h5")
    convert("c.nc", "turned.h5", like="a.nc")
    with open_store("merged.h5") as merged, open_store("turned.h5") as turned:
        both = merged.read(slice(None))
        np.testing.assert_allclose(both[..., 0], early[1:], atol=1e-4)
        np.testing.assert_allclose(both[..., 1], both[..., 0], atol=1e-4)
        np.testing.assert_array_equal(turned.read([1])[0, ..., 0], both[1, ..., 1])


def test_stores_that_begin_elsewhere_are_not_joined_without_a_copy(folder):
    write("a.nc", 0, "2000-01-01")
    write("b.nc", -180, "2000-01-04")
    for name in "ab":
        convert(f"{name}.nc", f"{name}.h5")
    with pytest.raises(InputError, match=r"at 0° and -180°.*phire convert a\.h5 b\.h5"):
        join(["a.h5", "b.h5"], "all.h5")
    convert(["a.h5", "b.h5"], "all.h5")
    with open_store("all.h5") as store:
        assert len(store.time) == 6


def test_records_and_evaluation_take_them_as_one_grid():
    west = Grid.from_coordinates(LATITUDES, np.arange(-180, 180, 10.0))
    east = Grid.from_coordinates(LATITUDES, np.arange(0, 360, 10.0))
    _, columns = matching_points(west, east)
    np.testing.assert_array_equal(columns, shared_columns(west, east))
    fields = np.random.default_rng(0).normal(size=(2, *west.shape, 1)).astype("f4")
    source = ArraySource(fields, grid=west)
    turned = TurnedSource(source, east)
    truth, others = align(turned, {"a": source}, np.arange(2))
    np.testing.assert_array_equal(truth.read([0, 1]), others["a"].read([0, 1]))
