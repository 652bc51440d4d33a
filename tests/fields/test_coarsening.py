"""Block means against plain loops, and the geometry of coarse and fine grids."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields.coarsening import (
    CoarsenedSource,
    CroppedSource,
    block_mean,
    block_weights,
    coarsen_grid,
    refine_grid,
    remainder,
    remainder_note,
)
from phire.fields.grid import Grid
from phire.fields.source import ArraySource, Source
from phire.fields.time_axis import TimeAxis
from spheres import KINDS, sphere, spheres


def brute_force(fields: np.ndarray, grid: Grid, scale: int) -> np.ndarray:
    """Means weighted with the cells' areas, block by block, of the rows counted from the north."""
    edges = np.deg2rad(grid.row_edges())
    areas = np.abs(np.diff(np.sin(edges)))
    height, width = (size // scale for size in grid.shape)
    first = 0 if grid.descending else grid.shape[0] - height * scale
    result = np.empty((len(fields), height, width, fields.shape[-1]))
    for i in range(height):
        rows = slice(first + i * scale, first + (i + 1) * scale)
        for j in range(width):
            block = fields[:, rows, j * scale : (j + 1) * scale]
            weights = np.broadcast_to(areas[rows][None, :, None, None], block.shape)
            result[:, i, j] = np.average(block, axis=(1, 2), weights=weights)
    return result


@settings(max_examples=30, deadline=None)
@given(grid=spheres(), scale=st.integers(1, 5), seed=st.integers(0, 99))
def test_block_means_equal_a_plain_loop(grid, scale, seed):
    fields = np.random.default_rng(seed).normal(size=(2, *grid.shape, 2)).astype(np.float32)
    found = block_mean(fields, grid, scale)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, brute_force(fields, grid, scale), atol=1e-6)
    assert found.shape[1:3] == coarsen_grid(grid, scale).shape


@settings(max_examples=30, deadline=None)
@given(grid=spheres(), scale=st.integers(2, 5))
def test_both_orders_of_latitude_give_the_same(grid, scale):
    fields = np.random.default_rng(0).normal(size=(1, *grid.shape, 1))
    flipped = Grid(grid.kind, grid.latitudes[::-1], grid.longitudes)
    np.testing.assert_allclose(
        block_mean(fields[:, ::-1], flipped, scale)[:, ::-1],
        block_mean(fields, grid, scale),
        atol=1e-6,
    )
    assert np.allclose(
        coarsen_grid(flipped, scale).latitudes[::-1], coarsen_grid(grid, scale).latitudes
    )


def test_the_remainder_goes_at_the_south_and_the_east():
    era5 = Grid.pole_to_pole(721, 1440)
    assert remainder(era5, 4) == (1, 0)
    coarse = coarsen_grid(era5, 4)
    assert coarse.shape == (180, 360)
    np.testing.assert_allclose(coarse.latitudes[[0, -1]], [89.625, -89.375])
    flipped = Grid("pole-to-pole", era5.latitudes[::-1], era5.longitudes)
    np.testing.assert_allclose(coarsen_grid(flipped, 4).latitudes[[0, -1]], [-89.375, 89.625])
    region = Grid.regional(np.arange(10.0, 0, -1), np.arange(11.0))
    assert remainder(region, 4) == (2, 3)
    np.testing.assert_allclose(coarsen_grid(region, 4).longitudes, [1.5, 5.5])


def test_pixels_are_averaged_plainly():
    fields = np.arange(24.0).reshape(1, 4, 6, 1)
    found = block_mean(fields, Grid.pixels(4, 6), 2)
    np.testing.assert_allclose(found[0, 0, 0, 0], (0 + 1 + 6 + 7) / 4)
    assert coarsen_grid(Grid.pixels(5, 7), 2).kind == "pixels"
    assert coarsen_grid(Grid.pixels(5, 7), 2).shape == (2, 3)
    assert refine_grid(Grid.pixels(2, 3), 4).shape == (8, 12)


def test_a_block_without_any_value_is_missing():
    fields = np.ones((1, 8, 16, 1))
    fields[0, :2, 4:6] = [[[np.nan], [np.inf]]] * 2
    fields[0, 3, 3] = np.nan
    missing = np.isnan(block_mean(fields, sphere("gaussian", 8), 2))
    assert missing.sum() == 1
    assert missing[0, 0, 2, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_row_on_the_pole_has_the_area_of_its_cap(kind):
    weights = block_weights(sphere(kind, 32), 4)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert (weights > 0).all()
    assert (np.diff(weights[0]) > 0).all()  # rows are longer further from the pole


def test_the_area_mean_of_a_fine_field_is_kept():
    grid = sphere("cell-centred", 32)
    fields = np.random.default_rng(0).normal(size=(1, *grid.shape, 1))
    cells = np.abs(np.diff(np.sin(np.deg2rad(grid.row_edges()))))
    coarse_cells = cells.reshape(-1, 4).sum(1)
    fine = (fields[0, :, :, 0].mean(1) * cells).sum()
    coarse = (block_mean(fields, grid, 4)[0, :, :, 0].mean(1) * coarse_cells).sum()
    assert coarse == pytest.approx(fine, abs=1e-7)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "pole-to-pole"])
@pytest.mark.parametrize("scale", [2, 4, 5])
@pytest.mark.parametrize("alignment", ["cell", "corner"])
@pytest.mark.parametrize("ascending", [False, True])
def test_refining_inverts_coarsening_on_every_global_grid(kind, scale, alignment, ascending):
    fine = sphere(kind, 40, ascending=ascending, west=-180.0)
    found = refine_grid(coarsen_grid(fine, scale, alignment), scale, alignment)
    assert found.kind == kind
    assert found.equals(fine, tolerance=1e-9)


def test_refining_the_coarse_era5_grid_gives_the_rows_that_were_kept():
    era5 = Grid.pole_to_pole(721, 1440)
    found = refine_grid(coarsen_grid(era5, 4), 4)
    assert found.equals(era5.subgrid(slice(0, 720), slice(None)), tolerance=1e-9)
    assert found.is_global  # without the south pole these are Driscoll–Healy's rows


@pytest.mark.parametrize("alignment", ["cell", "corner"])
@pytest.mark.parametrize("descending", [False, True])
def test_refining_inverts_coarsening_in_a_region(alignment, descending):
    latitudes = 40 + 0.25 * np.arange(24)
    fine = Grid.regional(latitudes[:: -1 if descending else 1], -5 + 0.25 * np.arange(36))
    found = refine_grid(coarsen_grid(fine, 3, alignment), 3, alignment)
    assert found.equals(fine, tolerance=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ascending", [False, True])
def test_rows_of_a_refined_global_grid_stay_on_the_sphere(kind, ascending):
    # Blocks around the row on a pole would reach beyond it.
    coarse = sphere(kind, 9 if kind == "pole-to-pole" else 8, ascending=ascending)
    fine = refine_grid(coarse, 4)
    assert fine.shape == tuple(4 * size for size in coarse.shape)
    assert fine.wraps
    assert fine.descending != ascending
    steps = np.diff(fine.latitudes)
    assert (steps > 0).all() or (steps < 0).all()
    assert np.abs(fine.latitudes).max() <= 90
    middle = np.abs(fine.latitudes) < 45
    rows = np.repeat(coarse.latitudes, 4)
    assert np.abs(fine.latitudes - rows)[middle].max() <= 0.5 * coarse.spacing[0]


def test_sources_are_coarsened_and_cropped():
    grid = Grid.regional(np.arange(9.0, 0, -1), np.arange(10.0))
    fields = np.random.default_rng(0).normal(size=(5, 9, 10, 2)).astype(np.float32)
    time = TimeAxis(3600 * np.arange(5), "standard")
    source = ArraySource(fields, channels=("u", "v"), units=("m/s",) * 2, grid=grid, time=time)
    coarse, cropped = CoarsenedSource(source, 4), CroppedSource(source, 4)
    for made in (coarse, cropped):
        assert isinstance(made, Source)
        assert (made.channels, made.units, made.time) == (source.channels, source.units, time)
    assert cropped.grid.shape == (8, 8)
    np.testing.assert_array_equal(cropped.read([3, 1]), fields[[3, 1], :8, :8])
    np.testing.assert_array_equal(coarse.read([3, 1]), block_mean(fields[[3, 1]], grid, 4))
    np.testing.assert_array_equal(coarse.read([0]), block_mean(cropped.read([0]), cropped.grid, 4))


def test_what_coarsening_drops_is_named():
    assert remainder_note(Grid.pixels(8, 12), 4) is None
    note = remainder_note(Grid.pole_to_pole(721, 1442), 4)
    assert (
        "721 × 1442 is not a multiple of 4: the last row at the south and the last 2 columns"
        in note
    )


def test_what_cannot_be_coarsened_is_refused():
    grid = Grid.pixels(4, 8)
    with pytest.raises(InputError, match="scale 5 is larger than the pixels grid of 4 × 8"):
        coarsen_grid(grid, 5)
    for change in (coarsen_grid, refine_grid):
        with pytest.raises(InputError, match="alignment 'middle'"):
            change(grid, 2, "middle")


def test_arpege_lies_on_the_corners_of_arome():
    folder = Path(os.environ.get("PHIRE_REALDATA", ""))
    arome = folder / "arome_msl_NW_2018-05-01.grib"
    if not os.environ.get("PHIRE_REALDATA") or not arome.exists():
        pytest.skip("PHIRE_REALDATA is unset or has no arome_msl_NW_2018-05-01.grib")
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("cfgrib")
    options = {"engine": "cfgrib", "backend_kwargs": {"indexpath": ""}}
    with (
        xarray.open_dataset(arome, **options) as fine,
        xarray.open_dataset(folder / "arpege_msl_NW_2018-05-01.grib", **options) as coarse,
    ):
        fine, coarse = (
            Grid.from_coordinates(field["latitude"].values, field["longitude"].values)
            for field in (fine, coarse)
        )
    assert (fine.shape, coarse.shape) == ((227, 315), (58, 80))
    kept = coarsen_grid(fine, 4, "corner")
    assert kept.shape == (56, 78)
    assert kept.equals(coarse.subgrid(slice(56), slice(78)), tolerance=1e-3)
    back = refine_grid(kept, 4, "corner")
    assert back.equals(fine.subgrid(slice(224), slice(312)), tolerance=1e-3)


@settings(max_examples=20, deadline=None)
@given(grid=spheres(), scale=st.integers(2, 4), seed=st.integers(0, 99))
def test_partial_means_are_of_the_points_present(grid, scale, seed):
    random = np.random.default_rng(seed)
    fields = random.normal(size=(2, *grid.shape, 1)).astype(np.float32)
    fields[random.random(fields.shape) < 0.7] = np.nan
    there = np.isfinite(fields)
    share, total = (brute_force(x, grid, scale) for x in (there, np.where(there, fields, 0)))
    source = ArraySource(fields, channels=["t"], grid=grid)
    found = CoarsenedSource(source, scale).read(slice(None))
    np.testing.assert_array_equal(np.isnan(found), share == 0)
    np.testing.assert_allclose(found[share > 0], total[share > 0] / share[share > 0], atol=1e-5)
