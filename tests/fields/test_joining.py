"""Joining stores along time: order, checks, and parts that must stay."""

import numpy as np
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields import Grid, StoreWriter, TimeAxis, describe_store, join, open_store

FIELDS = np.random.default_rng(0).normal(size=(12, 6, 12, 2)).astype("f4")
HOURS = 3600 * 6 * np.arange(12)


def write(path, times, *, calendar="standard", channels=("u", "v"), units=("m/s", "m/s"),
          grid=None, fields=FIELDS, values=HOURS):  # fmt: skip
    time = TimeAxis(values[times], calendar)
    with StoreWriter(
        path, channels=channels, units=units, grid=grid or Grid.driscoll_healy(6), time=time
    ) as writer:
        writer.append(fields[times])
    return path


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr("phire.progress.say", lines.append)
    return lines


@pytest.fixture
def years(tmp_path):
    parts = {"c": slice(9, 12), "a": slice(0, 4), "b": slice(4, 9)}
    return [write(tmp_path / f"{name}.h5", part) for name, part in parts.items()]


def test_stores_are_joined_in_the_order_of_time(years, tmp_path, said):
    join(years, tmp_path / "all.h5")
    assert (tmp_path / "all.h5").stat().st_size < 40_000
    with open_store(tmp_path / "all.h5") as store:
        assert store.channels == ("u", "v")
        assert store.time == TimeAxis(HOURS, "standard")
        assert store.missing == (0, 0)
        np.testing.assert_array_equal(store.read(slice(None)), FIELDS)
        np.testing.assert_array_equal(store.read([10, 3]), FIELDS[[10, 3]])
    with xr.open_dataset(tmp_path / "all.h5", engine="h5netcdf") as dataset:
        np.testing.assert_array_equal(dataset["data"].isel(time=8, channel=1), FIELDS[8, ..., 1])
    facts = describe_store(tmp_path / "all.h5")
    assert facts["kind"] == "virtual field store"
    assert [path.rsplit("/")[-1] for path in facts["stores"]] == ["a.h5", "b.h5", "c.h5"]
    assert "12 fields of 3 stores, 6 h" in said[0]


def test_the_folder_may_be_moved(years, tmp_path):
    folder = tmp_path / "before"
    folder.mkdir()
    moved = [path.rename(folder / path.name) for path in years]
    join(moved, folder / "all.h5")
    folder.rename(tmp_path / "after")
    with open_store(tmp_path / "after" / "all.h5") as store:
        np.testing.assert_array_equal(store.read(slice(None)), FIELDS)


def test_stores_elsewhere_and_virtual_ones(years, tmp_path):
    (tmp_path / "other").mkdir()
    join(years[1:], tmp_path / "two.h5")
    join([tmp_path / "two.h5", years[0]], tmp_path / "other" / "all.h5")
    with open_store(tmp_path / "other" / "all.h5") as store:
        np.testing.assert_array_equal(store.read(slice(None)), FIELDS)


def test_a_part_that_is_gone_is_named_instead_of_read_as_missing(years, tmp_path):
    join(years, tmp_path / "all.h5")
    years[2].unlink()
    with pytest.raises(InputError, match=r"b\.h5, which does not exist"):
        open_store(tmp_path / "all.h5")


def test_gaps_between_stores_are_named(years, tmp_path, said):
    join([years[0], years[1]], tmp_path / "all.h5")
    assert "1 gap in time, 5 steps missing" in said[1]


def test_bare_stores_are_joined_in_the_order_given(tmp_path):
    parts = [
        write(tmp_path / f"{name}.h5", part, calendar=None, values=np.arange(12))
        for name, part in (("b", slice(0, 5)), ("a", slice(5, 12)))
    ]
    join(parts, tmp_path / "all.h5")
    with open_store(tmp_path / "all.h5") as store:
        np.testing.assert_array_equal(store.time.values, np.arange(12))
        np.testing.assert_array_equal(store.read(slice(None)), FIELDS)


def test_the_output_protocol(years, tmp_path, said):
    join(years, tmp_path / "all.h5")
    join(years, tmp_path / "all.h5")
    assert said[-1].endswith("is already made by this command.")
    with pytest.raises(InputError, match="stores was"):
        join(years[:2], tmp_path / "all.h5")
    join(years[:2], tmp_path / "all.h5", overwrite=True)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"channels": ("v", "u")}, r"channels \(u, v; v, u\)"),
        ({"units": ("m/s", "kt")}, "units"),
        ({"grid": Grid.gaussian(6)}, "grid"),
        ({"grid": Grid.regional(np.arange(6), np.arange(12))}, "grid"),
        ({"values": 2 * HOURS}, r"step \(6 h; 12 h\)"),
        ({"calendar": None, "values": np.arange(12)}, r"times \(dates; steps\)"),
        ({"calendar": "360_day"}, r"calendar \(standard; 360_day\)"),
        ({"calendar": "360_day", "values": 2 * HOURS}, r"calendar \(.*\), step \(6 h; 12 h\)"),
        ({"values": HOURS - 6 * 3600}, "overlap"),
        ({"values": -HOURS}, "do not ascend"),
    ],
)
def test_what_differs_is_named(tmp_path, other, said):
    first = write(tmp_path / "a.h5", slice(0, 6))
    second = write(tmp_path / "b.h5", slice(6, 12), **other)
    with pytest.raises(InputError, match=said):
        join([first, second], tmp_path / "all.h5")
    assert not (tmp_path / "all.h5").exists()


def test_patterns_are_expanded(years, tmp_path):
    join([f"{tmp_path}/[ab].h5", years[0]], tmp_path / "all.h5")
    with open_store(tmp_path / "all.h5") as store:
        np.testing.assert_array_equal(store.read(slice(None)), FIELDS)


def test_stores_that_are_none(years, tmp_path):
    for stores, output, said in (
        (years[:1], "all.h5", "two different stores"),
        (years[:1] * 2, "all.h5", "two different stores"),
        ([*years, tmp_path / "d.h5"], "all.h5", "d.h5 does not exist"),
        (years, "all.nc", "must end with .h5"),
        (years, "a.h5", "one of the stores"),
    ):
        with pytest.raises(InputError, match=said):
            join(stores, tmp_path / output)
