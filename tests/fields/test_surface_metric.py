"""The metric of grids of all kinds, by fields whose derivatives are known."""

from __future__ import annotations

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields import convert, open_store, regrid
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.differences import wind_to_vorticity_divergence
from phire.fields.great_circle import unit_vectors
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.source import ArraySource, to_dataset
from phire.fields.surface_metric import SurfaceMetric
from phire.fields.time_axis import TimeAxis

LAMBERT = "+proj=lcc +lat_1=46.5 +lat_0=46.5 +lon_0=3 +R=6371200"
ROTATED = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 39.25,
    "grid_north_pole_longitude": -162.0,
}


def rotated_grid() -> CurvilinearGrid:
    import pyproj

    degrees = np.arange(12, -12.5, -0.5), np.arange(-15, 15.5, 0.5)
    return CurvilinearGrid.projected(*degrees, pyproj.CRS.from_cf(ROTATED))


def lambert_grid() -> CurvilinearGrid:
    return CurvilinearGrid.projected(
        np.arange(6e5, -6.1e5, -2e4), np.arange(-7e5, 7.1e5, 2e4), LAMBERT
    )


GRIDS = {
    "lambert": lambert_grid(),
    "rotated": rotated_grid(),
    "points": CurvilinearGrid.of_points(*lambert_grid().points()),
    "regional": Grid.regional(np.arange(60, 30, -0.25), np.arange(-5, 20, 0.25)),
    "global": Grid.pole_to_pole(361),
}


@pytest.mark.parametrize("name", GRIDS)
def test_slope_of_a_plane_through_the_sphere(name):
    """h = c·n has the slope |c − (c·n) n| on the unit sphere."""
    grid = GRIDS[name]
    c = np.array([2000.0, -1000.0, 3000.0])
    n = unit_vectors(*grid.points())
    heights = n @ c
    wanted = np.linalg.norm(c - heights[..., None] * n, axis=-1) / EARTH_RADIUS
    found = SurfaceMetric.of(grid).slope(heights)
    inside = slice(1, -1) if name == "global" else slice(None)
    np.testing.assert_allclose(found[inside], wanted[inside], rtol=3e-3)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("name", ["lambert", "rotated", "regional"])
def test_cells_have_the_areas_of_the_grid(name):
    grid = GRIDS[name]
    normal = np.abs(SurfaceMetric.of(grid).normal)
    if name == "regional":
        heights = np.abs(np.diff(np.sin(np.deg2rad(grid.row_edges()))))
        areas = np.outer(heights, np.deg2rad(np.diff(grid.column_edges()))) * EARTH_RADIUS**2
    else:
        areas = grid.cell_areas()
    np.testing.assert_allclose(normal[1:-1, 1:-1], areas[1:-1, 1:-1], rtol=1e-3)


def solid_body(grid, axis, speed=1e-5):
    """Wind V = ω × r in m/s as vectors (H, W, 3), and its vorticity 2 ω·n."""
    n = unit_vectors(*grid.points())
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    return speed * EARTH_RADIUS * np.cross(axis, n), 2 * speed * (n @ axis)


@pytest.mark.parametrize("direction", ["grid", "east"])
@pytest.mark.parametrize("name", GRIDS)
def test_vorticity_of_solid_body_rotation(name, direction):
    """It is 2 ω·n about any axis, and its divergence is 0; a gradient wind is the other way."""
    metric = SurfaceMetric.of(GRIDS[name])
    x, y = metric.axes(direction)
    inside = np.s_[2:-2] if name == "global" else np.s_[:]
    for axis in ([0, 0, 1], [1, -2, 0.5]):
        wind, exact = solid_body(GRIDS[name], axis)
        u, v = (wind * x).sum(-1), (wind * y).sum(-1)
        vorticity, divergence = metric.wind_to_vorticity_divergence(u, v, direction)
        np.testing.assert_allclose(vorticity[inside], exact[inside], atol=2e-3 * 2e-5)
        np.testing.assert_allclose(divergence[inside], 0, atol=2e-3 * 2e-5)
        # Turned by a right angle, the wind is a gradient: its divergence is −2 ω·n.
        turned = np.cross(metric.vectors, wind)
        u, v = (turned * x).sum(-1), (turned * y).sum(-1)
        vorticity, divergence = metric.wind_to_vorticity_divergence(u, v, direction)
        np.testing.assert_allclose(divergence[inside], -exact[inside], atol=2e-3 * 2e-5)
        np.testing.assert_allclose(vorticity[inside], 0, atol=2e-3 * 2e-5)


def test_components_to_east_and_north_equal_the_spherical_formulas():
    grid = GRIDS["regional"]
    # Smooth in latitude and longitude, so that both schemes are near the truth.
    latitude, longitude = (np.deg2rad(p) for p in grid.points())
    u, v = 10 * np.sin(3 * longitude) * np.cos(latitude), 5 * np.cos(4 * latitude + longitude)
    found = SurfaceMetric.of(grid).wind_to_vorticity_divergence(u, v, "east")
    wanted = wind_to_vorticity_divergence(u, v, grid)
    for one, other in zip(found, wanted):
        np.testing.assert_allclose(one, other, atol=1e-3 * np.abs(other).max())


@pytest.fixture
def wind_file(tmp_path):
    """Solid-body rotation on a Lambert grid along its axes, with or without standard names."""

    def write(names):
        metric = SurfaceMetric.of(lambert_grid())
        wind, exact = solid_body(lambert_grid(), [0, 0, 1])
        x, y = metric.axes("east" if names and names[0] == "eastward_wind" else "grid")
        source = ArraySource(
            np.stack([(wind * x).sum(-1), (wind * y).sum(-1)], -1)[None],
            channels=["u", "v"], units=["m s-1"] * 2, grid=lambert_grid(),
            time=TimeAxis([0], "standard"),
        )  # fmt: skip
        data = to_dataset(source)
        for name, standard in zip("uv", names):
            data[name].attrs["standard_name"] = standard
        data.to_netcdf(tmp_path / "wind.nc")
        return exact

    return write


@pytest.mark.parametrize("names", [("x_wind", "y_wind"), ("eastward_wind", "northward_wind")])
def test_convert_takes_components_as_their_standard_names_say(tmp_path, wind_file, names):
    exact = wind_file(names)
    convert(tmp_path / "wind.nc", tmp_path / "a.h5", wind=("u", "v"))
    with open_store(tmp_path / "a.h5") as store:
        divergence, vorticity = np.moveaxis(store.read([0])[0], -1, 0)
    np.testing.assert_allclose(vorticity, exact, rtol=1e-3)
    np.testing.assert_allclose(divergence, 0, atol=1e-3 * exact.max())


def test_wind_along_the_axes_is_turned_to_the_east_and_north(tmp_path, wind_file):
    wind_file(("x_wind", "y_wind"))
    convert(tmp_path / "wind.nc", tmp_path / "a.h5", turn_wind=("u", "v"), variables=["v", "u"])
    metric = SurfaceMetric.of(lambert_grid())
    wind, _ = solid_body(lambert_grid(), [0, 0, 1])
    east, north = metric.axes("east")
    with open_store(tmp_path / "a.h5") as store:
        v, u = np.moveaxis(store.read([0])[0], -1, 0)
    np.testing.assert_allclose(u, (wind * east).sum(-1), rtol=1e-5)
    # Rotation about the pole is to the east everywhere.
    np.testing.assert_allclose(v, (wind * north).sum(-1), atol=1e-4)
    with pytest.raises(InputError, match="already"):
        wind_file(("eastward_wind", "northward_wind"))
        convert(tmp_path / "wind.nc", tmp_path / "b.h5", turn_wind=("u", "v"))


def test_wind_and_turn_wind_of_the_same_components_are_refused_together(tmp_path, wind_file):
    wind_file(("x_wind", "y_wind"))
    both = {"wind": ("u", "v"), "turn_wind": ("u", "v")}
    with pytest.raises(InputError, match="wind rotates the components itself"):
        convert(tmp_path / "wind.nc", tmp_path / "a.h5", **both)
    convert(tmp_path / "wind.nc", tmp_path / "b.h5", variables=["u", "v"], **both)
    with open_store(tmp_path / "b.h5") as store:
        assert store.channels == ("divergence", "vorticity", "u", "v")


def test_regridding_says_that_components_along_the_axes_are_not_turned(
    tmp_path, wind_file, monkeypatch
):
    said = []
    monkeypatch.setattr("phire.progress.say", said.append)
    wind_file(("x_wind", "y_wind"))
    regrid(tmp_path / "wind.nc", tmp_path / "a.h5", grid="degrees:1")
    convert(tmp_path / "wind.nc", tmp_path / "b.h5", grid="degrees:1")
    assert sum("u, v of" in line and "--turn-wind U,V" in line for line in said) == 2
    said.clear()
    convert(tmp_path / "wind.nc", tmp_path / "c.h5", grid="degrees:1", turn_wind=("u", "v"))
    wind_file(("eastward_wind", "northward_wind"))
    regrid(tmp_path / "wind.nc", tmp_path / "d.h5", grid="degrees:1")
    assert not any("--turn-wind" in line for line in said)


@pytest.mark.parametrize("suffix", ["h5", "nc", "zarr"])
def test_the_axes_of_wind_stay_known_in_what_convert_writes(tmp_path, wind_file, suffix):
    for names in (("x_wind", "y_wind"), ("eastward_wind", "northward_wind")):
        exact = wind_file(names)
        kept = tmp_path / f"{names[0]}.{suffix}"
        convert(tmp_path / "wind.nc", kept)
        convert(kept, tmp_path / f"{names[0]}-{suffix}.h5", wind=("u", "v"))
        with open_store(tmp_path / f"{names[0]}-{suffix}.h5") as store:
            vorticity = store.read([0])[0, ..., 1]
        np.testing.assert_allclose(vorticity, exact, rtol=1e-3)
    convert(tmp_path / f"x_wind.{suffix}", tmp_path / f"turned.{suffix}", turn_wind=("u", "v"))
    convert(tmp_path / f"turned.{suffix}", tmp_path / f"t-{suffix}.h5", wind=("u", "v"))


@pytest.mark.parametrize("suffix", ["h5", "nc", "zarr"])
def test_wind_regridded_without_turning_is_no_longer_taken(tmp_path, wind_file, suffix):
    wind_file(("x_wind", "y_wind"))
    for name in ("wind.nc", f"kept.{suffix}"):
        if name != "wind.nc":
            convert(tmp_path / "wind.nc", tmp_path / name)
        regridded = tmp_path / f"{name}-degrees.{suffix}"
        regrid(tmp_path / name, regridded, grid="degrees:1")
        for option in ("wind", "turn_wind"):
            with pytest.raises(InputError, match="regridded from: rotate them before"):
                convert(regridded, tmp_path / "never.h5", **{option: ("u", "v")})
    turned = tmp_path / f"turned.{suffix}"
    convert(tmp_path / "wind.nc", turned, grid="degrees:1", turn_wind=("u", "v"))
    convert(turned, tmp_path / "vorticity.h5", wind=("u", "v"))
    assert not (tmp_path / "never.h5").exists()


def test_components_of_no_stated_direction_are_refused(tmp_path, wind_file):
    for names in ((), ("x_wind", "northward_wind")):
        wind_file(names)
        with pytest.raises(InputError, match="x_wind and y_wind, or eastward_wind"):
            convert(tmp_path / "wind.nc", tmp_path / "a.h5", wind=("u", "v"))
    assert not (tmp_path / "a.h5").exists()


def test_two_rows_have_no_differences():
    with pytest.raises(InputError, match="three rows and columns"):
        SurfaceMetric.of(Grid.regional([1.0, 0], np.arange(5.0)))
