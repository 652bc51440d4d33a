"""Writing any source, in any format, a few fields at a time."""

import json

import h5py
import numpy as np
import pytest
import xarray as xr

from phire import provenance
from phire.errors import InputError
from phire.fields import (
    ArraySource,
    EnsembleSource,
    Grid,
    TimeAxis,
    open_fields,
    open_source,
    source_writing,
    time_blocks,
    to_dataset,
    write_source,
)

pytestmark = pytest.mark.versions

RANDOM = np.random.default_rng(0)
SUFFIXES = ["h5", "nc", "zarr"]


def example(calendar="standard", count=7, grid=None):
    fields = RANDOM.normal(size=(count, 6, 12, 2)).astype("f4")
    fields[count // 2, 2, 3, 1] = np.nan
    time = TimeAxis.steps(count)
    if calendar:
        time = TimeAxis(np.cumsum(np.r_[0, np.full(count - 1, 3)]) * 3600, calendar)
    return ArraySource(
        fields, channels=["w", "t"], units=["m/s", "K"], grid=grid or Grid.gaussian(6), time=time
    )


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Three fields of the example at once, so that every format is appended to."""
    monkeypatch.setattr(time_blocks, "BLOCK_BYTES", 3 * 6 * 12 * 2 * 4)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("calendar", ["standard", "360_day", None])
@pytest.mark.parametrize("grid", [Grid.gaussian(6), Grid.pixels(6, 12)], ids=lambda g: g.kind)
def test_what_is_written_is_read(tmp_path, suffix, calendar, grid):
    source = example(calendar, grid=grid)
    path = tmp_path / f"a.{suffix}"
    write_source(source, path)
    with open_source(path) as read:
        assert read.channels == source.channels
        assert read.units == source.units
        assert read.time == source.time
        assert read.grid.equals(grid)
        assert read.grid.kind == grid.kind
        np.testing.assert_array_equal(read.read(slice(None)), source.fields)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_xarray_reads_cf_variables(tmp_path, suffix):
    source = example()
    write_source(source, tmp_path / f"a.{suffix}", times=[2, 4, 5, 6])
    with xr.open_dataset(tmp_path / f"a.{suffix}") as dataset:
        assert dataset["t"].dims == ("time", "latitude", "longitude")
        assert dataset["t"].attrs["units"] == "K"
        assert dataset["latitude"].attrs["standard_name"] == "latitude"
        np.testing.assert_array_equal(dataset["time"].dt.hour, [6, 12, 15, 18])
        np.testing.assert_array_equal(dataset["t"], source.fields[[2, 4, 5, 6], ..., 1])
        assert dataset["t"].encoding["preferred_chunks"]["time"] == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_history_says_which_command_made_it(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/bin/phire", "predict", "a b.nc"])
    write_source(example(), tmp_path / f"a.{suffix}")
    engine = {"h5": "h5netcdf"}.get(suffix)
    with xr.open_dataset(tmp_path / f"a.{suffix}", engine=engine, decode_times=False) as dataset:
        when, command = dataset.attrs["history"].split(": ", 1)
    assert np.datetime64("now") - np.datetime64(when.removesuffix("+00:00")) < np.timedelta64(
        1, "h"
    )
    assert command == "phire predict 'a b.nc'"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_command_again_does_nothing_and_another_is_refused(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_source(example(), path, options={"seed": 1})
    assert source_writing.options_of_fields(path) == {"seed": 1}
    before = provenance.fingerprint(path)
    write_source(example(), path, options={"seed": 1})
    assert provenance.fingerprint(path) == before
    with pytest.raises(InputError, match="seed was 1, now 2"):
        write_source(example(), path, options={"seed": 2})
    write_source(example(count=3), path, options={"seed": 2}, overwrite=True)
    with open_source(path) as read:
        assert len(read.time) == 3
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_something_else_made_is_kept(tmp_path):
    for name in ("a.h5", "a.nc", "a.zarr"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(InputError, match="not made by this command"):
            write_source(example(), tmp_path / name)
        assert (tmp_path / name).read_text() == "precious"
    with pytest.raises(InputError, match=r"\.h5"):
        write_source(example(), tmp_path / "a.txt")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_source_that_fails_leaves_nothing(tmp_path, suffix):
    class Failing(ArraySource):
        def read(self, times):
            if times.start:
                raise RuntimeError("the disk is gone")
            return super().read(times)

    source = example()
    failing = Failing(source.fields)
    with pytest.raises(RuntimeError, match="disk"):
        write_source(failing, tmp_path / f"a.{suffix}")
    assert not list(tmp_path.iterdir())


def test_double_precision_on_demand(tmp_path):
    write_source(example(), tmp_path / "a.h5", dtype="float64")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["data"].dtype == "f8"
        assert json.loads(file.attrs["phire"])["options"] == {}


def test_blocks_are_whole_chunks_and_bounded(monkeypatch):
    source = example(count=1)
    field = 6 * 12 * 2 * 4

    def sizes(chunk, block, most):
        monkeypatch.setattr(time_blocks, "BLOCK_BYTES", block * field)
        monkeypatch.setattr(time_blocks, "CHUNK_BYTES", most * field)
        source.time_chunk = chunk
        found = list(time_blocks.blocks(source, 20))
        assert [b.start for b in found] == [0, *(b.stop for b in found[:-1])]
        assert found[-1].stop == 20
        return [b.stop - b.start for b in found]

    assert sizes(1, 8, 16) == [8, 8, 4]
    assert sizes(3, 8, 16) == [6, 6, 6, 2]
    assert sizes(12, 8, 16) == [12, 8]
    assert sizes(100, 8, 16) == [16, 4]
    assert sizes(1, 0, 16) == [1] * 20


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_members_are_written_and_read(tmp_path, suffix):
    members = [example() for _ in range(3)]
    ensemble = EnsembleSource(members)
    write_source(ensemble, tmp_path / f"a.{suffix}", times=[1, 2, 4, 6])
    with xr.open_dataset(tmp_path / f"a.{suffix}") as dataset:
        assert dataset["t"].dims == ("member", "time", "latitude", "longitude")
        assert dataset["member"].attrs["standard_name"] == "realization"
    read = open_fields(tmp_path / f"a.{suffix}")
    assert read.members == 3
    expected = np.stack([member.fields[[1, 2, 4, 6]] for member in members], axis=1)
    np.testing.assert_array_equal(read.read_members(slice(None)), expected)
    np.testing.assert_array_equal(to_dataset(read)["w"].values, np.moveaxis(expected[..., 0], 1, 0))


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_more_members_than_memory_are_written_a_few_at_a_time(tmp_path, monkeypatch, suffix):
    members = [example() for _ in range(5)]
    ensemble = EnsembleSource(members)
    height, width, channels = members[0].fields.shape[1:]
    monkeypatch.setattr("phire.fields.time_blocks.BLOCK_BYTES", 4 * height * width * channels * 2)
    sizes = []

    class Watched(EnsembleSource):
        def read_members(self, times, members=slice(None)):
            fields = super().read_members(times, members)
            sizes.append(fields.shape[:2])
            return fields

    write_source(Watched(members), tmp_path / f"a.{suffix}", times=[2, 3, 5])
    assert sizes == [(1, 2), (1, 2), (1, 1)] * 3
    read = open_fields(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read.read_members(slice(None)), ensemble.read_members([2, 3, 5]))


def test_a_store_of_members_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"3 members: .*\.nc or \.zarr"):
        write_source(EnsembleSource([example()] * 3), tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())
