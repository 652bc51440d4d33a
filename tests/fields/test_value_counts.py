"""Missing and infinite values as ``phire info`` and ``phire convert`` report them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields import (
    ArraySource,
    Grid,
    TimeAxis,
    convert,
    description,
    open_source,
    regrid,
    value_counts,
)
from phire.fields.description import describe_source, describe_store
from phire.fields.source_writing import write_source


@pytest.fixture
def source():
    """Eight fields of two channels: missing points, a field missing wholly, infinite values."""
    values = np.random.default_rng(0).normal(size=(8, 5, 7, 2)).astype("f4")
    values[2, 1:3, 4, 0] = values[5, ..., 0] = np.nan
    values[3, 2, 2, 1], values[4, 0, :3, 1] = np.inf, -np.inf
    time = TimeAxis(np.arange(8) * 3600, "standard")
    grid = Grid.regional(50 - np.arange(5), np.arange(7))
    return ArraySource(values, channels=("t", "u"), units=("K", "m s-1"), grid=grid, time=time)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
@pytest.mark.parametrize("block", [1, 100, 10**9])
def test_info_counts_what_convert_counts(source, suffix, block, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(value_counts, "BLOCK", block)
    path = tmp_path / f"a.{suffix}"
    write_source(source, path)
    found = describe_source(path)
    assert found["missing values"].value == {"t": 37, "u": 0}
    assert found["missing values"] == "t 37 (13.214%)"
    assert found["fields missing wholly"].value == {"t": 1, "u": 0}
    assert found["infinite values"].value == {"t": 0, "u": 4}
    capsys.readouterr()
    convert(path, tmp_path / "out.h5")
    said = capsys.readouterr().err
    assert "37 values are missing" in said and "4 values are infinite" in said


def test_levels_and_any_order_of_dimensions(source, tmp_path):
    write_source(source, tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as data:
        levels = xr.concat([data, data], xr.Variable("level", [500.0, 850.0]))
        levels = levels.transpose("latitude", "level", "longitude", "time")
        levels.to_netcdf(tmp_path / "levels.nc")
    found = describe_source(tmp_path / "levels.nc")
    assert found["missing values"].value == {"t": 74, "u": 0}
    assert found["fields missing wholly"].value["t"] == 2
    assert found["infinite values"].value["u"] == 8


def test_points_outside_the_bitmap_of_grib_are_missing(tmp_path):
    eccodes = pytest.importorskip("eccodes", reason="ecCodes is not installed")
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    size = eccodes.codes_get(handle, "numberOfValues")
    values = np.linspace(270, 300, size)
    values[:5] = 1e20
    eccodes.codes_set(handle, "bitmapPresent", 1)
    eccodes.codes_set(handle, "missingValue", 1e20)
    eccodes.codes_set_values(handle, values)
    (tmp_path / "a.grib").write_bytes(eccodes.codes_get_message(handle))
    found = describe_source(tmp_path / "a.grib")
    assert sum(found["missing values"].value.values()) == 5
    assert found["infinite values"] == "none"


def test_large_files_are_counted_on_wish(source, tmp_path, monkeypatch):
    write_source(source, tmp_path / "a.nc")
    monkeypatch.setattr(description, "QUICK", 100)
    found = describe_source(tmp_path / "a.nc")
    assert found["missing values"] == "not counted (560 values): pass --values to count them"
    assert "infinite values" not in found
    assert describe_source(tmp_path / "a.nc", values=True)["infinite values"].value["u"] == 4
    monkeypatch.undo()
    found = describe_source(tmp_path / "a.nc", values=False)
    assert found["missing values"].startswith("not counted")


def test_bare_stores_are_counted_and_others_state_their_counts(source, tmp_path):
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["data"] = np.moveaxis(source.fields, -1, 0)
    found = describe_store(tmp_path / "bare.h5")
    write_source(source, tmp_path / "a.h5")
    for name in ("missing values", "fields missing wholly", "infinite values"):
        assert found[name] == describe_store(tmp_path / "a.h5")[name]
    assert (found["missing values"].value, found["fields missing wholly"]) == (37, 1)
    assert describe_store(tmp_path / "bare.h5", values=False)["missing values"].value is None
    assert describe_store(tmp_path / "a.h5", values=False)["missing values"].value == 37


def test_a_damaged_file_is_named(source, tmp_path):
    write_source(source, tmp_path / "a.nc")
    with h5py.File(tmp_path / "a.nc", "a") as file:
        del file["t"]
        shape = (8, 5, 7)
        data = file.create_dataset("t", shape, "f4", chunks=(1, 5, 7), compression="gzip")
        data[...] = 0
        for axis, name in enumerate(("time", "latitude", "longitude")):
            data.dims[axis].attach_scale(file[name])
        place = data.id.get_chunk_info(3)
    with open(tmp_path / "a.nc", "r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\xff" * place.size)
    with pytest.raises(InputError, match=r"a.nc: the values of t cannot be read"):
        describe_source(tmp_path / "a.nc")


@pytest.mark.parametrize("suffix", ["h5", "nc", "zarr"])
@pytest.mark.parametrize("method", ["conservative", "bicubic"])
def test_regridding_names_infinite_and_missing_values(source, tmp_path, capsys, suffix, method):
    write_source(source, tmp_path / "a.nc")
    wanted = {"grid": "degrees:2", "method": method}
    regrid(tmp_path / "a.nc", tmp_path / f"b.{suffix}", **wanted)
    regridded = capsys.readouterr().err
    convert(tmp_path / "a.nc", tmp_path / f"c.{suffix}", **wanted)
    with open_source(tmp_path / f"b.{suffix}") as found:
        missing = int(np.isnan(found.read(slice(None))).sum())
    for said in (regridded, capsys.readouterr().err):
        assert f"{missing} values are missing (NaN), 1 field wholly." in said
        assert said.count("4 infinite values count as missing in regridding.") == 1


@pytest.mark.parametrize("grid", [None, "degrees:2"])
def test_infinite_values_of_static_maps_are_named(source, tmp_path, capsys, grid):
    write_source(source, tmp_path / "a.nc")
    data = xr.open_dataset(tmp_path / "a.nc").isel(time=3, drop=True)[["u"]]
    data.rename(u="m").to_netcdf(tmp_path / "m.nc")
    convert(tmp_path / "a.nc", tmp_path / "b.h5", grid=grid, static=[f"{tmp_path}/m.nc:m"])
    said = capsys.readouterr().err
    assert said.count("m.nc: 1 infinite value ") == 1
