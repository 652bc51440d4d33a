"""Geometry of grids: recognised kinds, weights, windows, places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields.grid import EARTH_RADIUS, Grid
from spheres import KINDS, area_mean, sphere, spheres

SETTINGS = settings(max_examples=40, deadline=None)


def test_rows_of_every_kind():
    np.testing.assert_allclose(Grid.driscoll_healy(4).latitudes, [90, 45, 0, -45])
    np.testing.assert_allclose(Grid.pole_to_pole(5).latitudes, [90, 45, 0, -45, -90])
    np.testing.assert_allclose(Grid.cell_centred(4).latitudes, [67.5, 22.5, -22.5, -67.5])
    roots, _ = np.polynomial.legendre.leggauss(6)
    np.testing.assert_allclose(
        Grid.gaussian(6).latitudes, np.rad2deg(np.arcsin(roots))[::-1], atol=1e-12
    )
    assert Grid.driscoll_healy(4).shape == (4, 8)
    assert Grid.pole_to_pole(5).shape == (5, 8)
    np.testing.assert_allclose(Grid.driscoll_healy(4).longitudes, 45.0 * np.arange(8))


@SETTINGS
@given(grid=spheres())
def test_kinds_are_recognised_from_rounded_coordinates(grid):
    # GRIB keeps thousandths of a degree, NetCDF often float32.
    for latitudes, longitudes in (
        (grid.latitudes.round(3), grid.longitudes.round(3)),
        (grid.latitudes.astype(np.float32), grid.longitudes.astype(np.float32)),
        (grid.latitudes, (grid.longitudes + 180) % 360 - 180),
    ):
        if not (np.diff(np.rad2deg(np.unwrap(np.deg2rad(longitudes)))) > 0).all():
            continue
        found = Grid.from_coordinates(latitudes, longitudes)
        assert found.kind == grid.kind
        assert found.equals(grid)
        np.testing.assert_allclose(found.latitudes, grid.latitudes, atol=1e-12)


def test_other_grids_are_regional():
    assert Grid.from_coordinates([50, 51, 52], [0, 1, 2, 3]).kind == "regional"
    # All longitudes, but rows of no known quadrature.
    band = Grid.from_coordinates(np.linspace(-60, 60, 41), np.arange(0, 360, 3))
    assert band.kind == "regional"
    assert band.wraps
    assert not band.is_global
    half = Grid.from_coordinates(Grid.gaussian(16).latitudes, np.arange(0, 180, 3))
    assert not half.wraps
    assert half.kind == "regional"


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize(
    ("kind", "rows", "kept"),
    [
        ("pole-to-pole", 721, slice(0, 720)),
        ("pole-to-pole", 361, slice(1, 360)),
        ("pole-to-pole", 73, slice(0, 70)),
        ("cell-centred", 90, slice(2, 88)),
        ("gaussian", 64, slice(0, 62)),
    ],
)
def test_a_grid_that_lacks_polar_rows_is_still_the_sphere(kind, rows, kept, ascending):
    whole = sphere(kind, rows, ascending=ascending)
    part = whole.subgrid(kept, slice(None))
    assert part.kind == "regional" and part.is_sphere and not part.is_global
    found = part.completion
    assert found.grid.kind == kind and found.grid.equals(whole)
    assert found.rows == kept and found.missing == rows - part.shape[0]
    np.testing.assert_allclose(part.quadrature_weights(), whole.quadrature_weights()[kept])
    middles = (whole.latitudes[1:] + whole.latitudes[:-1]) / 2
    edges = np.sin(np.deg2rad([whole.latitudes[0], *middles, whole.latitudes[-1]]))
    edges[[0, -1]] = np.sign(edges[[0, -1]])
    outside = 1 - abs(edges[kept.stop] - edges[kept.start]) / 2
    assert found.missing_area == pytest.approx(outside, rel=1e-6)
    assert 0 < found.missing_area < 0.005
    assert f"all but {found.missing} row" in part.describe()
    assert f"of a {kind} grid of {rows} ×" in part.describe()


def test_what_lacks_more_is_no_sphere():
    whole = Grid.pole_to_pole(73)
    assert whole.completion.missing == 0
    assert whole.subgrid(slice(0, 69), slice(None)).completion is None  # 10 degrees are missing
    assert whole.subgrid(slice(0, 72), slice(0, 140)).completion is None
    uneven = Grid.regional(np.linspace(89, -88.3, 70), whole.longitudes)
    assert uneven.completion is None
    assert Grid.pixels(72, 144).completion is None


def test_longitudes_across_greenwich_are_unwound():
    grid = Grid.from_coordinates([50, 49], [358, 359, 0, 1, 2])
    np.testing.assert_allclose(grid.longitudes, [358, 359, 360, 361, 362])
    grid = Grid.from_coordinates([50, 49], [-2, -1, 0, 1, 2])
    np.testing.assert_allclose(grid.longitudes, [-2, -1, 0, 1, 2])
    grid = Grid.from_coordinates([50, 49], [178, 179, -180, -179])
    np.testing.assert_allclose(grid.longitudes, [178, 179, 180, 181])
    grid = Grid.from_coordinates([50, 49], [-350, -349, -348])
    np.testing.assert_allclose(grid.longitudes, [10, 11, 12])


@pytest.mark.parametrize(
    ("latitudes", "longitudes", "message"),
    [
        ([50, 52, 51], [0, 1, 2], "latitudes are not monotonic"),
        ([50, 51, 52], [0, 2, 1], "longitudes do not ascend"),
        ([50, np.nan, 52], [0, 1, 2], "latitude has values that are not finite"),
        ([[50, 51]], [0, 1, 2], "latitude has 2 dimensions"),
        ([5e5, 6e5], [0, 1, 2], "must be in degrees"),
    ],
)
def test_impossible_coordinates_are_named(latitudes, longitudes, message):
    with pytest.raises(InputError, match=message):
        Grid.from_coordinates(latitudes, longitudes)


def test_bare_shapes():
    assert Grid.bare(128, 256).kind == "driscoll-healy"
    for shape in ((128, 128), (9, 18)):
        grid = Grid.bare(*shape)
        assert grid.kind == "pixels"
        assert grid.shape == shape
        assert not (grid.has_coordinates or grid.is_global or grid.wraps)
        with pytest.raises(InputError, match="needs coordinates"):
            grid.spacing_km()
        np.testing.assert_array_equal(grid.area_weights(), 1)


@SETTINGS
@given(grid=spheres(), power=st.integers(0, 5))
def test_weights_integrate_powers_of_the_sine_of_latitude(grid, power):
    # ∫ sinᵏφ cos φ dφ over the sphere's rows: 2/(k+1) for even k, else 0.
    weights = grid.quadrature_weights()
    sine = np.sin(np.deg2rad(grid.latitudes))
    expected = 2 / (power + 1) if power % 2 == 0 else 0
    assert weights.sum() == pytest.approx(2)
    assert (weights * sine**power).sum() == pytest.approx(expected, abs=1e-12)
    assert grid.area_weights().shape == (grid.shape[0], 1)
    assert grid.area_weights().mean() == pytest.approx(1)
    mean = area_mean(np.broadcast_to(sine[:, None] ** power, grid.shape), grid)
    assert mean == pytest.approx(expected / 2, abs=1e-12)


def test_weights_of_a_region_are_the_areas_of_cells():
    grid = Grid.regional([60.0, 50.0, 40.0], [0.0, 10.0])
    edges = np.sin(np.deg2rad([65, 55, 45, 35]))
    areas = edges[:-1] - edges[1:]
    np.testing.assert_allclose(grid.area_weights()[:, 0], areas / areas.mean())
    # Rows up to a pole end there; together all cells cover the sphere.
    whole = Grid.regional(np.linspace(90, -90, 19), np.arange(0, 180, 10))
    cells = np.diff(np.sin(np.deg2rad(whole.row_edges())))
    assert abs(cells.sum()) == pytest.approx(2)


@pytest.mark.parametrize("kind", KINDS)
def test_facts_of_a_global_grid(kind):
    grid, other = sphere(kind, 32), sphere(kind, 32, ascending=True, west=-180)
    assert grid.descending
    assert not other.descending
    assert grid.is_global
    assert grid.wraps
    assert other.wraps
    assert not grid.equals(other)
    assert grid.colatitudes[0] == pytest.approx(np.deg2rad(90 - grid.latitudes[0]))
    np.testing.assert_allclose(other.quadrature_weights()[::-1], grid.quadrature_weights())
    rows, columns = grid.spacing
    assert columns == pytest.approx(360 / grid.shape[1])
    assert rows == pytest.approx(180 / 32, rel=0.04)


def test_spacing_in_kilometres():
    grid = Grid.regional([59.0, 60.0, 61.0], [0.0, 1.0])
    rows, columns = grid.spacing_km()
    degree = 2 * np.pi * EARTH_RADIUS / 360e3
    assert rows == pytest.approx(degree)
    assert columns == pytest.approx(degree / 2)
    assert grid.spacing_km(radius=2 * EARTH_RADIUS)[0] == pytest.approx(2 * degree)


def test_windows():
    grid = Grid.driscoll_healy(32)
    rows = grid.rows_between(-60, 60)
    inside = grid.latitudes[rows]
    assert inside.max() == pytest.approx(56.25)
    assert inside.min() == pytest.approx(-56.25)
    part = grid.subgrid(rows, slice(0, 8))
    assert part.kind == "regional"
    assert part.shape == (21, 8)
    assert grid.subgrid(slice(None), slice(None)) is grid
    assert Grid.pixels(4, 4).subgrid(slice(2), slice(2)).kind == "pixels"
    with pytest.raises(InputError, match=r"no row of the .* lies between 1° and 2°"):
        grid.rows_between(1, 2)


def test_columns_run_across_the_seam():
    grid = Grid.driscoll_healy(18)  # columns every 10°
    np.testing.assert_array_equal(grid.columns_between(-20, 15), [34, 35, 0, 1])
    np.testing.assert_array_equal(grid.columns_between(340, 375), [34, 35, 0, 1])
    assert len(grid.columns_between(-180, 180)) == 36
    assert grid.columns_between(-180, 180)[0] == 18
    with pytest.raises(InputError, match="no column"):
        grid.columns_between(1, 2)


@SETTINGS
@given(
    grid=spheres(),
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 360),
)
def test_the_nearest_point_is_nearest(grid, latitude, longitude):
    row, column = grid.nearest(latitude, longitude)
    assert abs(grid.latitudes[row] - latitude) == np.abs(grid.latitudes - latitude).min()
    away = np.abs((grid.longitudes - longitude + 180) % 360 - 180)
    assert away[column] == pytest.approx(away.min())
    assert away[column] <= 180 / grid.shape[1] + 1e-9


def test_the_nearest_points_of_both_hemispheres():
    grid = Grid.cell_centred(180)
    rows, columns = grid.nearest([51.5, -33.9], [-0.1, 151.2])  # London, Sydney
    np.testing.assert_allclose(grid.latitudes[rows], [51.5, -33.5])
    np.testing.assert_allclose(grid.longitudes[columns], [0, 151])


@SETTINGS
@given(grid=spheres())
def test_the_json_form_gives_the_grid_back(grid):
    back = Grid.from_dict(grid.to_dict())
    assert back.kind == grid.kind
    assert back.equals(grid, tolerance=0)
    assert back.equals(Grid(grid.kind, grid.latitudes, grid.longitudes - 360))


def test_a_grid_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        Grid.driscoll_healy(8).latitudes[0] = 0


def test_descriptions():
    assert Grid.driscoll_healy(8).describe() == "driscoll-healy grid of 8 × 16 points"
    region = Grid.regional([58.0, 57.75], [-10.0, -9.75, -9.5])
    assert region.describe() == "regional grid of 2 × 3 points, 58…57.75 N, -10…-9.5 E"
