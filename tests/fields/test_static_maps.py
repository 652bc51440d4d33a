"""Static maps on a store's grid, and those derived of coordinates and maps."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields import convert, open_store, regrid, write_source
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.description import describe_store
from phire.fields.great_circle import great_circle_distance
from phire.fields.grid import Grid
from phire.fields.regridding import Regridder
from phire.fields.source import ArraySource
from phire.fields.static_maps import coast_distance, maps_on_grid, open_maps

GRID = Grid.regional(np.arange(50, 45, -0.5), np.arange(-3, 3, 0.5))
FINE = Grid.regional(np.arange(52, 42, -0.25), np.arange(-6, 6, 0.25))


def maps() -> tuple[np.ndarray, np.ndarray]:
    latitude, longitude = FINE.points()
    land = (longitude > 0.3 * np.sin(latitude)).astype("f4")
    return (500 + 100 * longitude) * land, land


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    orography, land = maps()
    places = {"lat": FINE.latitudes, "lon": FINE.longitudes}
    xr.Dataset(
        {
            "orog": (("lat", "lon"), orography, {"units": "m"}),
            "lsm": (("lat", "lon"), land, {"units": "1"}),
        },
        places,
    ).to_netcdf("maps.nc")
    times = pd.date_range("2000-01-01", periods=3)
    values = np.random.default_rng(0).normal(size=(3, *GRID.shape)).astype("f4")
    xr.Dataset(
        {"t": (("time", "lat", "lon"), values, {"units": "K"})},
        {"time": times, "lat": GRID.latitudes, "lon": GRID.longitudes},
    ).to_netcdf("a.nc")
    return tmp_path


def test_maps_of_a_file_and_derived_ones_of_a_store(folder):
    derived = ["slope=orog", "coast_distance=lsm", "latitude", "sine_longitude"]
    convert("a.nc", "a.h5", static=["maps.nc"], static_derived=derived)
    names = ("orog", "lsm", "slope", "coast_distance", "latitude", "sine_longitude")
    with open_maps("a.h5", None) as found:
        assert found.channels == names
        assert found.units == ("m", "1", "1", "km", "degrees_north", "1")
        assert found.grid.equals(GRID)
        fields = found.read([0])[0]
    wanted = Regridder(FINE, GRID)(np.stack(maps(), -1)[None])[0]
    np.testing.assert_allclose(fields[..., :2], wanted, rtol=1e-6)
    np.testing.assert_array_equal(fields[..., 4], GRID.points()[0].astype("f4"))
    np.testing.assert_allclose(fields[..., 5], np.sin(np.deg2rad(GRID.points()[1])), atol=1e-7)
    # Heights rise by 100 m a degree eastward where all is land.
    east = fields[1:-1, 9:-1, 2]
    degree = np.deg2rad(1) * 6.3712e6 * np.cos(np.deg2rad(GRID.latitudes[1:-1, None]))
    np.testing.assert_allclose(east, 100 / degree + 0 * east, rtol=5e-3)
    assert describe_store("a.h5")["static maps"].startswith("orog (m), lsm (1)")
    with h5py.File("a.h5") as file:
        assert file["static/orog"].dims[0].keys() == ["latitude"]
    with open_store("a.h5") as store:
        assert store.read([0]).shape == (1, *GRID.shape, 1)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_maps_beside_the_fields_of_netcdf_and_zarr(folder, suffix):
    output = f"out.{suffix}"
    convert("a.nc", output, static=["maps.nc:lsm"], static_derived=["coast_distance=lsm"])
    with open_maps(output, None) as found:
        assert sorted(found.channels) == ["coast_distance", "lsm"]
        assert found.grid.equals(GRID)
        wanted = Regridder(FINE, GRID)(maps()[1][None, ..., None])[0, ..., 0]
        land = found.read([0])[0][..., found.channels.index("lsm")]
        np.testing.assert_allclose(land, wanted, rtol=1e-6)


def test_distance_to_the_coast_is_that_to_the_nearest_point_of_the_other_kind():
    land = (np.random.default_rng(0).random(GRID.shape) > 0.6).astype("f4")
    land[2, 3] = np.nan
    found = coast_distance(land, GRID)
    latitude, longitude = GRID.points()
    for i, j in np.ndindex(*GRID.shape):
        if np.isnan(land[i, j]):
            assert np.isnan(found[i, j])
            continue
        other = np.isfinite(land) & (land != land[i, j])
        distances = great_circle_distance(
            latitude[i, j], longitude[i, j], latitude[other], longitude[other]
        )
        sign = 1 if land[i, j] else -1
        assert found[i, j] == pytest.approx(sign * distances.min() / 1e3, rel=1e-6)


def test_a_coast_outside_the_fields_is_seen_where_the_mask_has_it(folder):
    inland = Grid.regional([46.0, 45, 44], [4.0, 4.5, 5])
    found = maps_on_grid(["maps.nc:lsm"], ["coast_distance=lsm"], inland)
    assert (found.read([0])[0, ..., 0] == 1).all()
    distance = found.read([0])[0, ..., 1]
    assert (np.diff(distance, axis=1) > 30).all()
    assert 250 < distance[0, 0] < 350


def test_mistakes_are_named(folder):
    cases = [
        ({"static": ["maps.nc:sea"]}, "no map 'sea'; it has orog, lsm"),
        ({"static": ["none.nc"]}, "does not exist"),
        ({"static": ["a.nc"]}, "3 times"),
        ({"static": ["maps.nc", "maps.nc:lsm"]}, "two static maps are called lsm"),
        ({"static_derived": ["slope"]}, "slope=MAP"),
        ({"static_derived": ["latitude=orog"]}, "is not one of latitude"),
        ({"static_derived": ["height"]}, "is not one of latitude"),
        ({"static": ["maps.nc:lsm"], "static_derived": ["slope=orog"]}, "static FILE:orog"),
    ]
    for wrong, said in (
        ("slope=lsm", "needs heights in m, but this map is in '1': name a map of heights"),
        ("coast_distance=orog", "needs a land mask .* has values from -?[0-9.]+ to [0-9.]+ m"),
    ):
        cases.append(({"static": ["maps.nc"], "static_derived": [wrong]}, said))
    for options, said in cases:
        with pytest.raises(InputError, match=said):
            convert("a.nc", "a.h5", **options)
        assert not Path("a.h5").exists()
    with pytest.raises(InputError, match="latitude is a coordinate"):
        convert("a.nc", "out.nc", static_derived=["latitude"])
    assert not Path("out.nc").exists()
    with pytest.raises(InputError, match="no sea"):
        coast_distance(np.ones(GRID.shape), GRID)


def test_maps_without_units_are_told_by_their_values_and_others_are_converted(folder):
    with xr.open_dataset("maps.nc") as data:
        data = data.load()
    plain = data.copy()
    del plain.orog.attrs["units"], plain.lsm.attrs["units"]
    plain.to_netcdf("plain.nc")
    derived = ["slope=orog", "coast_distance=lsm"]
    wanted = maps_on_grid(["maps.nc"], derived, GRID).read([0])
    np.testing.assert_array_equal(maps_on_grid(["plain.nc"], derived, GRID).read([0]), wanted)
    with pytest.raises(InputError, match="has values from 0 to 1, as a mask"):
        maps_on_grid(["plain.nc"], ["slope=lsm"], GRID)
    with pytest.raises(InputError, match="needs a land mask"):
        maps_on_grid(["plain.nc"], ["coast_distance=orog"], GRID)
    data["orog"] = (data.orog / 1000).assign_attrs(units="km")
    data["lsm"] = (data.lsm * 100).assign_attrs(units="%")
    data.to_netcdf("other.nc")
    found = maps_on_grid(["other.nc"], derived, GRID).read([0])
    np.testing.assert_allclose(found[..., 2:], wanted[..., 2:], rtol=1e-5, atol=1e-8)


REALDATA = Path(os.environ.get("PHIRE_REALDATA", "/nonexistent"))


@pytest.mark.skipif(not REALDATA.is_dir(), reason="PHIRE_REALDATA names no folder")
def test_the_alps_are_steep_and_bern_is_far_from_the_sea():
    grid = Grid.regional(np.arange(48, 43.9, -0.25), np.arange(4, 14.1, 0.25))
    files = [f"{REALDATA}/static_era5_orog_025.nc", f"{REALDATA}/static_etopo5_025.nc"]
    maps = [files[0], f"{files[1]}:lsm"]
    found = maps_on_grid(maps, ["slope=orog", "coast_distance=lsm"], grid)
    fields = dict(zip(found.channels, np.moveaxis(found.read([0])[0], -1, 0)))
    row, column = grid.nearest(46.95, 7.45)
    # Bern is 280 km from the Ligurian Sea, whose first points of sea lie up to 28 km off it.
    assert 280 < fields["coast_distance"][row, column] < 325
    assert fields["slope"].max() > 0.02
    po = grid.nearest(45.0, 10.0)
    assert fields["slope"][po] < 0.01


def stored(path, grid, values, maps, names=("t",)):
    """A store of one field with static maps."""
    source = ArraySource(values[None], channels=names, units=["K"] * len(names), grid=grid)
    static = ArraySource(
        np.stack(list(maps.values()), axis=-1)[None], channels=list(maps), units=["m"] * len(maps),
        grid=grid,
    )  # fmt: skip
    write_source(source, path, static=static)
    return path


def maps_of(path):
    with open_maps(str(path), None) as source:
        return dict(zip(source.channels, np.moveaxis(source.read([0])[0], -1, 0)))


PROJECTED = CurvilinearGrid.projected(
    np.arange(12.0)[::-1] * 2e4, np.arange(15.0) * 2e4, "+proj=laea +lat_0=46 +lon_0=8 +R=6371e3"
)


@pytest.mark.parametrize(
    "grid", [Grid.regional(50 - 0.5 * np.arange(12), 0.5 * np.arange(15)), PROJECTED]
)
def test_maps_of_a_store_go_with_its_fields(grid, tmp_path):
    values = np.random.default_rng(0).random((*grid.shape, 1)).astype("f4")
    height = np.random.default_rng(1).random(grid.shape).astype("f4")
    store = stored(tmp_path / "a.h5", grid, values, {"orog": height, "latitude": height})
    convert(store, tmp_path / "b.h5")
    np.testing.assert_array_equal(maps_of(tmp_path / "b.h5")["orog"], height)
    # The region's maps are the very points of its fields.
    latitude, longitude = (v[2:9, 3:11] for v in grid.points())
    region = latitude.max(), longitude.min(), latitude.min(), longitude.max()
    convert(store, tmp_path / "c.h5", region=region)
    with open_store(tmp_path / "c.h5") as cut:
        inner = [np.flatnonzero((values[..., 0] == cut.read([0])[0, 0, 0, 0]).any(a))[0]
                 for a in (1, 0)]  # fmt: skip
        rows, columns = (slice(i, i + n) for i, n in zip(inner, cut.grid.shape))
    np.testing.assert_allclose(maps_of(tmp_path / "c.h5")["orog"], height[rows, columns], rtol=1e-5)
    # A map called as a coordinate of NetCDF stays behind; named ones come first.
    convert(store, tmp_path / "d.nc")
    with xr.open_dataset(tmp_path / "d.nc") as found:
        np.testing.assert_array_equal(found["orog"], height)
    other = stored(tmp_path / "other.h5", grid, values, {"orog": height + 1})
    convert(store, tmp_path / "e.h5", static=[f"{other}:orog"])
    np.testing.assert_array_equal(maps_of(tmp_path / "e.h5")["orog"], height + 1)


def test_regridding_a_store_takes_its_maps_along(tmp_path):
    fine = Grid.regional(50 - 0.5 * np.arange(12), 0.5 * np.arange(16))
    height = np.random.default_rng(1).random(fine.shape).astype("f4")
    store = stored(tmp_path / "a.h5", fine, height[..., None], {"orog": height})
    coarse = Grid.regional(49.75 - np.arange(6), 0.25 + np.arange(8))
    like = stored(tmp_path / "like.h5", coarse, np.zeros((6, 8, 1), "f4"), {"x": np.zeros((6, 8))})
    regrid(store, tmp_path / "b.h5", like=like)
    with open_store(tmp_path / "b.h5") as found:
        np.testing.assert_allclose(
            maps_of(tmp_path / "b.h5")["orog"], found.read([0])[0, ..., 0], rtol=1e-6
        )
