"""A full disk ends every command in one sentence with status 1, and leaves nothing half-written.

The limit on the size of files stands for a full disk: writes beyond it fail in the same places, by
EFBIG, and no rights are needed to set it.
"""

from __future__ import annotations

import contextlib
import resource
import sys

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from phire import files
from phire.cli import phire, phire_data, phire_eval, rplearn_data
from phire.errors import WorkError
from phire.fields import Grid, StoreWriter, TimeAxis, open_store
from phire.fields.guarded_file import GuardedFile, write_netcdf
from phire.fields.source import ArraySource
from phire.fields.source_writing import write_source

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs limits of resources")


@contextlib.contextmanager
def full_beyond(size):
    """Within the block, no file grows beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(count=40, rows=32, columns=64):
    random = np.random.default_rng(0)
    return ArraySource(
        random.normal(size=(count, rows, columns, 2)).astype("f4"),
        channels=("u", "v"),
        units=("m s-1", "m s-1"),
        grid=Grid.gaussian(rows),
        time=TimeAxis(3600 * np.arange(count), "standard"),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("full") / "store.h5"
    write_source(noise(), path)
    return path


@pytest.mark.parametrize("size", [0, 500, 3000, 20_000, 60_000, 200_000])
@pytest.mark.parametrize("suffix", ["h5", "nc"])
def test_whatever_the_room_the_writer_ends_in_words(tmp_path, suffix, size):
    output = tmp_path / f"a.{suffix}"
    with full_beyond(size), pytest.raises(WorkError, match=r"a\..* the disk is full: free"):
        write_source(noise(), output)
    assert not list(tmp_path.iterdir())


def test_zarr_stops_at_the_first_chunk_that_does_not_fit(tmp_path):
    with full_beyond(4000), pytest.raises(WorkError, match=r"a\.zarr .*the disk is full"):
        write_source(noise(), tmp_path / "a.zarr")
    assert not list(tmp_path.iterdir())


def test_an_old_output_outlives_a_full_disk(tmp_path):
    write_source(noise(3), tmp_path / "a.h5")
    with full_beyond(9000), pytest.raises(WorkError, match="the disk is full"):
        write_source(noise(), tmp_path / "a.h5", overwrite=True)
    with open_store(tmp_path / "a.h5") as kept:
        assert len(kept.time) == 3


def test_what_the_disk_refused_is_read_from_memory(tmp_path):
    data = np.random.default_rng(0).bytes(3000)
    with full_beyond(1000), GuardedFile(tmp_path / "a") as file:
        for start in range(0, 3000, 300):
            file.seek(start)
            assert file.write(data[start : start + 300]) == 300
        file.seek(100)
        file.write(b"x" * 50)
        file.seek(0)
        assert file.read(4000) == data[:100] + b"x" * 50 + data[150:]
        with pytest.raises(OSError):
            file.check()


def test_results_are_written_or_refused(tmp_path):
    dataset = xr.Dataset({"a": ("x", np.random.default_rng(0).normal(size=5000))})
    with full_beyond(9000), pytest.raises(OSError) as caught:
        write_netcdf(dataset, tmp_path / "a.nc")
    assert files.disk_is_full(caught.value)
    write_netcdf(dataset, tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc", engine="netcdf4") as written:
        np.testing.assert_array_equal(written["a"], dataset["a"])


COMMANDS = {
    "convert": (phire, "convert", "STORE", "OUT.h5"),
    "join": (phire, "join", "STORE", "OTHER", "OUT.h5"),
    "simulate": (phire, "simulate", "OUT.h5", "--days", 1, "--resolution", 32, "--spin-up", 0),
    "pairs": (rplearn_data, "STORE", "OUT", "--patch", "16,16", "--classes", 4,
              "--patches-per-field", 4),
    "patches": (phire_data, "STORE", "OUT", "--patch", "16,16", "--scale", 4,
                "--patches-per-field", 4),
    "packed": (phire_data, "STORE", "OUT", "--patch", "16,16", "--scale", 4,
               "--patches-per-field", 4, "--compression", "zlib"),
    "eval": (phire_eval, "STORE", "--scale", 4, "--candidate", "n=nearest", "--out", "OUT",
             "--metrics", "scores,distribution"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_end_with_one_sentence_and_status_1(tmp_path, store, name):
    other = tmp_path / "other.h5"
    with StoreWriter(
        other, channels=("u", "v"), units=("m/s", "m/s"), grid=Grid.gaussian(32),
        time=TimeAxis(3600 * np.arange(40, 44), "standard"),
    ) as writer:  # fmt: skip
        writer.append(noise(4).fields)
    module, *arguments = COMMANDS[name]
    places = {"STORE": store, "OTHER": other, "OUT": tmp_path / "o", "OUT.h5": tmp_path / "o.h5"}
    arguments = [str(places.get(part, part)) for part in arguments]
    with full_beyond(6000):
        result = CliRunner().invoke(module.main, [*arguments, "--quiet"])
    assert result.exit_code == 1, result.output
    assert "disk is full" in result.output
    assert len(result.output.splitlines()) == 1
    if name == "eval":  # goes on from what it has
        assert not list((tmp_path / "o").rglob("*.nc"))
    else:
        assert [path.name for path in tmp_path.iterdir()] == ["other.h5"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError("6292 requested and 4096 written"),
        RuntimeError("file write failed: error message = 'No space left on device'"),
    ],
)
def test_a_full_disk_is_told_however_libraries_say_it(error):
    assert files.disk_is_full(error)
    caused = ValueError("x")
    caused.__cause__ = error
    assert files.disk_is_full(caused)


def test_other_errors_are_not_a_full_disk():
    assert not files.disk_is_full(OSError(13, "Permission denied"))
    assert not files.disk_is_full(ValueError("6292 requested and 4096 written"))
