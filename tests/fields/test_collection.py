"""Many files as one source, whatever they are cut by."""

import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields import open_source

VALUES = np.random.default_rng(0).normal(size=(12, 4, 5, 2)).astype("f4")
TIMES = pd.date_range("2000-01-01", periods=12, freq="6h")


def dataset(times=slice(None), names=("u", "v"), **changes):
    variables = {
        name: (("time", "lat", "lon"), VALUES[times, ..., "uv".index(name)], {"units": "m/s"})
        for name in names
    }
    coordinates = {"time": TIMES[times], "lat": [40.0, 30, 20, 10], "lon": np.arange(5.0)}
    return xr.Dataset(variables, coordinates | changes)


def write(folder, **datasets):
    folder.mkdir(exist_ok=True)
    for name, data in datasets.items():
        data.to_netcdf(folder / f"{name}.nc")
    return f"{folder}/*.nc"


def check(source):
    assert source.channels == ("u", "v")
    np.testing.assert_array_equal(source.read(slice(None)), VALUES)
    shuffled = np.random.default_rng(1).permutation(12)
    np.testing.assert_array_equal(source.read(shuffled), VALUES[shuffled])
    window = source.read_window([3, 9], slice(1, 4), slice(2, 3))
    np.testing.assert_array_equal(window, VALUES[[3, 9], 1:4, 2:3])


def test_one_file_a_day_in_any_order(tmp_path):
    days = {f"day{9 - d}": dataset(slice(4 * d, 4 * d + 4)) for d in range(3)}
    with open_source(write(tmp_path / "a", **days)) as source:
        check(source)
        check(pickle.loads(pickle.dumps(source)))


def test_more_files_than_are_kept_open(tmp_path):
    pattern = write(tmp_path / "a", **{f"t{t:02}": dataset(slice(t, t + 1)) for t in range(12)})
    with open_source(pattern) as source:
        check(source)
        assert len(source.opened) < 12


def test_one_file_a_variable(tmp_path):
    pattern = write(tmp_path / "a", a=dataset(names="v"), b=dataset(names="u"))
    with open_source(pattern, ["u", "v"]) as source:
        check(source)


def test_one_file_a_variable_and_part_of_the_period(tmp_path):
    pattern = write(
        tmp_path / "a",
        **{
            f"{name}{t}": dataset(slice(t, t + size), name)
            for name, size in (("u", 6), ("v", 4))
            for t in range(0, 12, size)
        },
    )
    with open_source(pattern) as source:
        check(source)


def test_files_of_different_formats(tmp_path):
    dataset(slice(0, 5)).to_netcdf(tmp_path / "a.nc", format="NETCDF3_CLASSIC")
    dataset(slice(5, 12)).to_zarr(tmp_path / "b.zarr", consolidated=False)
    with open_source([tmp_path / "b.zarr", tmp_path / "a.nc"]) as source:
        assert source.channels == ("u", "v")  # a Zarr directory has no order but the alphabet's
        check(source)


def test_a_file_named_twice_is_read_once(tmp_path):
    pattern = write(tmp_path / "a", a=dataset())
    with open_source([pattern, tmp_path / "a" / "a.nc"]) as source:
        check(source)


def test_fields_that_overlap_are_kept_and_named(tmp_path):
    pattern = write(tmp_path / "a", a=dataset(slice(0, 7)), b=dataset(slice(6, 12)))
    with open_source(pattern) as source:
        np.testing.assert_array_equal(source.time.repeated(), [6, 7])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (dataset(slice(6, 12), lat=[41.0, 31, 21, 11]), r"a\.nc .*b\.nc"),
        (dataset(slice(6, 12)).isel(lon=slice(3)), "4 × 3"),
        (dataset(slice(6, 12)).assign(u=lambda d: d["u"].assign_attrs(units="kt")), "'kt'"),
        (dataset(slice(6, 12), "u"), "different times"),
        (dataset(slice(6, 12)).drop_vars("time"), "no dates"),
        (
            dataset(slice(6, 12)).convert_calendar("360_day", align_on="date"),
            r"a\.nc and .*b\.nc have different calendars .*360_day",
        ),
    ],
)
def test_files_that_do_not_fit_one_another(tmp_path, other, said):
    pattern = write(tmp_path / "a", a=dataset(slice(0, 6)), b=other)
    with pytest.raises(InputError, match=said):
        open_source(pattern)


@pytest.mark.parametrize(
    ("paths", "options", "said"),
    [
        ("none.nc", {}, "does not exist"),
        ("none*.nc", {}, "matches no file"),
        ([], {}, "no source"),
        ("text.nc", {}, "is not NetCDF"),
        ("folder", {}, "folder/\\*.nc"),
        ("cut.nc", {}, "cut.nc"),
        ("a.nc", {"variables": ["w"]}, "u, v"),
        (["a.nc", "b.nc"], {"variables": ["w"]}, "2 files"),
        ("a.nc", {"level": 500}, "no levels"),
    ],
)
def test_what_is_no_source(tmp_path, monkeypatch, paths, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.nc").write_text("hello")
    write(tmp_path, a=dataset(slice(0, 6)), b=dataset(slice(6, 12)))
    (tmp_path / "cut.nc").write_bytes((tmp_path / "a.nc").read_bytes()[:3000])
    with pytest.raises(InputError, match=said):
        open_source(paths, **options)
