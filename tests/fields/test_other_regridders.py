"""Regridding between projections beside pyresample and xugrid, and beside brute force."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.great_circle import angle, unit_vectors
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.regridding import Regridder

CONIC = f"+proj=lcc +lat_1=45 +lat_2=52 +lat_0=48 +lon_0=8 +R={EARTH_RADIUS}"
EQUAL_AREA = f"+proj=laea +lat_0=48 +lon_0=8 +R={EARTH_RADIUS}"
FIELDS = CurvilinearGrid.projected(
    25e3 * np.arange(24, -24, -1.0), 25e3 * np.arange(-30, 31), EQUAL_AREA
)


def axes(spacing, rows, columns, shift=0.0):
    """Projected y and x about the middle of the fields."""
    y = spacing * (np.arange(rows, 0, -1.0) - (rows + 1) / 2)
    return y + shift, spacing * (np.arange(columns) - (columns - 1) / 2) - shift


def noise(grid, seed=0):
    return np.random.default_rng(seed).gamma(0.5, 2, (1, *grid.shape, 1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("spacing", [70e3, 31e3, 11e3])
def test_conservative_equals_xugrid_in_an_equal_area_plane(spacing):
    """There shares of cells in the plane are those on the sphere."""
    xugrid = pytest.importorskip("xugrid", reason="xugrid is not installed")
    size = int(900e3 / spacing)
    target = CurvilinearGrid.projected(*axes(spacing, size, size, 5e3), EQUAL_AREA)
    values = noise(FIELDS)
    data = xr.DataArray(values[0, ..., 0], {"y": FIELDS.y, "x": FIELDS.x}, ("y", "x"))
    wanted = xr.DataArray(np.zeros(target.shape), {"y": target.y, "x": target.x}, ("y", "x"))
    expected = xugrid.OverlapRegridder(data, wanted, method="mean").regrid(data).values
    found = Regridder(FIELDS, target)(values)[0, ..., 0]
    # White noise on the cells, of standard deviation 1.4.
    np.testing.assert_allclose(found, expected, rtol=5e-4, atol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_bilinear_and_nearest_equal_pyresample_on_another_projection():
    bilinear = pytest.importorskip("pyresample.bilinear", reason="pyresample is not installed")
    from pyresample.geometry import AreaDefinition
    from pyresample.kd_tree import resample_nearest

    def area(grid):
        (dy, dx), (y, x) = (grid.y[0] - grid.y[1], grid.x[1] - grid.x[0]), (grid.y, grid.x)
        extent = x[0] - dx / 2, y[-1] - dy / 2, x[-1] + dx / 2, y[0] + dy / 2
        return AreaDefinition("a", "a", "a", grid.projection, *grid.shape[::-1], extent)

    target = CurvilinearGrid.projected(*axes(31e3, 24, 26, 4e3), CONIC)
    latitude, longitude = FIELDS.points()
    values = np.sin(np.deg2rad(latitude) * 20) + np.cos(np.deg2rad(longitude) * 17)
    resampler = bilinear.NumpyBilinearResampler(area(FIELDS), area(target), 60e3, neighbours=16)
    expected = resampler.resample(values, fill_value=np.nan)
    found = Regridder(FIELDS, target, "bilinear")(values[None, ..., None])[0, ..., 0]
    np.testing.assert_allclose(found, expected, atol=2e-5)

    numbers = np.arange(values.size, dtype=float).reshape(values.shape)
    expected = resample_nearest(area(FIELDS), numbers, area(target), 50e3, fill_value=np.nan)
    found = Regridder(FIELDS, target, "nearest")(numbers[None, ..., None])[0, ..., 0]
    points = unit_vectors(latitude, longitude).reshape(-1, 3)
    away = [
        EARTH_RADIUS * angle(points[chosen.astype(int)], unit_vectors(*target.points()))
        for chosen in (found, expected)
    ]
    # Another point only where two are nearly as near: the libraries measure along other axes.
    assert (found == expected).mean() > 0.97
    np.testing.assert_allclose(*away, atol=200)


@pytest.mark.parametrize("kind", ["degrees", "conic", "stated"])
@pytest.mark.parametrize("spacing", [0.7, 0.15])
def test_conservative_equals_the_mean_over_many_places_of_each_cell(kind, spacing):
    """By brute force, to the error of a thousand places a cell."""
    target = {
        "degrees": lambda: Grid.regional(
            np.arange(51, 45, -spacing), np.arange(4, 12, 1.4 * spacing)
        ),
        "conic": lambda: CurvilinearGrid.projected(
            *axes(111e3 * spacing, int(6 / spacing), int(6 / spacing)), CONIC
        ),
    }
    made = target["degrees" if kind == "degrees" else "conic"]()
    if kind == "stated":
        made = CurvilinearGrid.of_points(*made.points())
    values = noise(FIELDS)
    places = 32
    # One place at random in each of 32 × 32 parts of a cell.
    random = np.random.default_rng(1)
    size = tuple(places * n for n in made.shape)
    row, column = (
        (part + random.uniform(size=size)) / places - 0.5
        for part in np.meshgrid(*(np.arange(n) for n in size), indexing="ij")
    )
    if kind == "degrees":
        edges = np.sin(np.deg2rad(made.row_edges()))
        latitude = np.rad2deg(np.arcsin(np.interp(row + 0.5, np.arange(len(edges)), edges)))
        longitude = np.interp(column + 0.5, np.arange(len(made.longitudes) + 1),
                              made.column_edges())  # fmt: skip
    else:
        latitude, longitude = made.places_within(row, column)
    i, j = (np.rint(place).astype(int) for place in FIELDS.row_column(latitude, longitude))
    blocks = values[0, i, j, 0].reshape(made.shape[0], places, made.shape[1], places)
    expected = blocks.mean((1, 3))
    found = Regridder(FIELDS, made)(values)[0, ..., 0]
    error = found - expected
    assert np.sqrt((error**2).mean()) < 0.02
    assert np.abs(error).max() < 0.12
