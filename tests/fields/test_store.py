"""The field store: what is written comes back, to h5py, xarray and other processes."""

import os
import pickle

import cftime
import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields import Grid, StoreWriter, TimeAxis, describe_store, open_store

RANDOM = np.random.default_rng(0)


def days(count, calendar="standard"):
    return TimeAxis(86400 * np.arange(count), calendar)


def write(path, fields, *, time=None, grid=None, **options):
    options = {"channels": ("u", "v"), "units": ("m s**-1", "m s**-1"), **options}
    grid = grid or Grid.bare(*fields.shape[1:3])
    with StoreWriter(path, grid=grid, time=time, **options) as writer:
        for start in range(0, len(fields), 3):
            part = slice(start, start + 3)
            writer.append(fields[part], None if time is not None else days(len(fields))[part])
    return path


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(1, 7),
    calendar=st.sampled_from(["standard", "noleap", "360_day"]),
    dtype=st.sampled_from(["float32", "float64"]),
    gap=st.integers(1, 4),
)
def test_what_is_written_is_read(tmp_path_factory, count, calendar, dtype, gap):
    path = tmp_path_factory.mktemp("store") / "a.h5"
    fields = RANDOM.normal(size=(count, 6, 12, 2)).astype(dtype)
    fields[0, 1, 2, 0] = np.nan
    time = TimeAxis(3600 * np.cumsum(np.r_[0, np.full(count - 1, gap)]), calendar)
    write(path, fields, time=time, dtype=dtype)
    with open_store(path) as store:
        assert store.channels == ("u", "v")
        assert store.units == ("m s**-1", "m s**-1")
        assert store.time == time
        assert store.grid.kind == "driscoll-healy"
        assert store.dtype == dtype
        assert store.missing == (1, 0)
        np.testing.assert_array_equal(store.read(slice(None)), fields.astype("f4"))
        backwards = np.arange(count)[::-1]
        np.testing.assert_array_equal(store.read(backwards), fields[::-1].astype("f4"))


def test_a_window_is_that_part_of_the_fields(tmp_path):
    fields = RANDOM.normal(size=(4, 6, 12, 2)).astype("f4")
    with open_store(write(tmp_path / "a.h5", fields)) as store:
        window = store.read_window([3, 1], slice(2, 5), slice(4, 12))
    np.testing.assert_array_equal(window, fields[[3, 1], 2:5, 4:12])


def test_one_field_is_one_compressed_chunk(tmp_path):
    fields = np.zeros((4, 64, 128, 2), "f4")
    path = write(tmp_path / "a.h5", fields)
    with h5py.File(path) as file:
        assert file["data"].chunks == (1, 1, 64, 128)
        assert file["data"].id.get_storage_size() < fields.nbytes / 50
        assert [file["data"].dims[i].label or list(file["data"].dims[i]) for i in range(4)] == [
            ["channel"],
            ["time"],
            ["latitude"],
            ["longitude"],
        ]


def test_xarray_opens_a_store_with_its_coordinates(tmp_path):
    fields = RANDOM.normal(size=(3, 6, 12, 2)).astype("f4")
    path = write(tmp_path / "a.h5", fields, time=days(3))
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        assert dataset["data"].dims == ("channel", "time", "latitude", "longitude")
        point = dataset["data"].sel(channel="v", time="1970-01-02", latitude=30, longitude=60)
        assert point.item() == fields[1, 2, 2, 1]
        assert list(dataset["channel_units"].values) == ["m s**-1", "m s**-1"]
    path = write(tmp_path / "b.h5", fields, time=days(3, "360_day"))
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        assert dataset["time"].values[2] == cftime.Datetime360Day(1970, 1, 3)


def test_xarray_opens_a_store_of_pixels_without_dates(tmp_path):
    fields = RANDOM.normal(size=(3, 5, 7, 2)).astype("f4")
    path = write(tmp_path / "a.h5", fields, time=TimeAxis.steps(3))
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        assert dataset["data"].dims == ("channel", "time", "row", "column")
        np.testing.assert_array_equal(dataset["time"], [0, 1, 2])
    with open_store(path) as store:
        assert store.grid.kind == "pixels"
        assert not store.time.has_calendar


def bare(path, shape, dtype="f4"):
    with h5py.File(path, "w") as file:
        file["data"] = np.ones(shape, dtype)
    return path


def test_a_bare_store_of_two_channels_on_the_sphere_is_atmodists(tmp_path):
    with open_store(bare(tmp_path / "a.h5", (2, 3, 8, 16))) as store:
        assert store.channels == ("divergence", "vorticity")
        assert store.units == ("s**-1", "s**-1")
        assert store.grid.equals(Grid.driscoll_healy(8))
        np.testing.assert_array_equal(store.time.values, [0, 1, 2])
        assert store.record is None
        assert store.missing is None


@pytest.mark.parametrize(
    ("shape", "kind"), [((2, 3, 8, 8), "pixels"), ((3, 3, 8, 16), "driscoll-healy")]
)
def test_any_other_bare_store_has_numbered_channels(tmp_path, shape, kind):
    with open_store(bare(tmp_path / "a.h5", shape)) as store:
        assert store.channels == tuple(f"channel_{c}" for c in range(shape[0]))
        assert store.grid.kind == kind


def test_a_pickled_store_opens_its_file_again(tmp_path):
    fields = RANDOM.normal(size=(3, 6, 12, 2)).astype("f4")
    with open_store(write(tmp_path / "a.h5", fields)) as store:
        again = pickle.loads(pickle.dumps(store))
    with again:
        np.testing.assert_array_equal(again.read([2]), fields[[2]])


def test_coordinates_of_a_foreign_store_in_hours(tmp_path):
    path = bare(tmp_path / "a.h5", (1, 3, 4, 5))
    with h5py.File(path, "a") as file:
        file["time"] = [0.0, 6.0, 12.0]
        file["time"].attrs["units"] = "hours since 2000-01-01"
        file["latitude"] = [50.0, 51, 52, 53]
        file["longitude"] = [0.0, 1, 2, 3, 4]
    with open_store(path) as store:
        assert store.time.format(-1) == "2000-01-01T12:00"
        assert store.grid.kind == "regional"
        assert not store.grid.descending


def test_a_record_larger_than_an_old_attribute_can_hold(tmp_path):
    record = {"command": ["phire", "convert", "x" * 200_000]}
    path = write(tmp_path / "a.h5", np.zeros((1, 4, 8, 2), "f4"), record=record)
    with open_store(path) as store:
        assert store.record == record


def test_a_writer_that_fails_leaves_the_error(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with StoreWriter(
            tmp_path / "a.h5", channels=("u",), units=("",), grid=Grid.pixels(2, 2)
        ) as writer:
            writer.append(np.zeros((1, 2, 2, 1)), TimeAxis.steps(1))
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"no HDF5", "not an HDF5 file"),
        ({"fields": (2, 3)}, "/fields"),
        ({"data": (3, 8, 16)}, "3 dimensions"),
        ({"data": (2, 0, 8, 16)}, "(2, 0, 8, 16)"),
        ({"data": (1, 3, 4, 8), "time": (2,)}, "3 fields"),
        ({"data": (1, 3, 4, 8), "latitude": (3,), "longitude": (8,)}, "4 rows"),
    ],
)
def test_what_is_no_store_is_refused_in_one_sentence(tmp_path, content, said):
    path = tmp_path / "a.h5"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        with h5py.File(path, "w") as file:
            for name, shape in content.items():
                file[name] = np.ones(shape)
    with pytest.raises(InputError) as refused:
        open_store(path)
    assert said in str(refused.value)
    assert "a.h5" in str(refused.value)


def test_a_truncated_store_is_refused(tmp_path):
    path = write(tmp_path / "a.h5", RANDOM.normal(size=(3, 32, 64, 2)))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match="damaged"):
        open_store(path)


def test_the_description_names_gaps_and_missing_values(tmp_path):
    fields = RANDOM.normal(size=(4, 6, 12, 2)).astype("f4")
    fields[1, ..., 0] = np.nan
    time = TimeAxis(np.array([0, 3, 9, 12]) * 3600, "noleap")
    facts = describe_store(write(tmp_path / "a.h5", fields, time=time))
    assert facts["channels"] == "u (m s**-1), v (m s**-1)"
    assert facts["step"] == "3 h"
    assert facts["calendar"] == "noleap"
    assert facts["gaps and repetitions"] == [
        "1 gap in time, 1 step missing (1 after 1970-01-01T03:00)"
    ]
    assert (facts["missing values"], facts["fields missing wholly"]) == ("72 (12.500%)", 1)
    assert describe_store(tmp_path) is None
