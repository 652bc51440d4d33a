"""The metric of grids of all kinds, by fields whose derivatives are known."""

from __future__ import annotations

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.great_circle import unit_vectors
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.surface_metric import SurfaceMetric

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


def test_two_rows_have_no_differences():
    with pytest.raises(InputError, match="three rows and columns"):
        SurfaceMetric.of(Grid.regional([1.0, 0], np.arange(5.0)))
