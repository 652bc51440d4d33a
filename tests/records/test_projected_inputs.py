"""Inputs of records on projected grids: matched by their points, not by their sizes."""

from __future__ import annotations

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields.coarsening import coarsen_grid
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import Grid
from phire.fields.source import ArraySource
from phire.fields.source_writing import write_source
from phire.fields.time_axis import TimeAxis
from phire.records import open_records, write_downscaling_records
from phire.records.grid_points import fine_points, matching_points

LAEA = "+proj=laea +lat_0=46 +lon_0=8 +R=6371e3"
Y, X = np.arange(16.0)[::-1] * 2e4, np.arange(20.0) * 2e4
FINE = CurvilinearGrid.projected(Y, X, LAEA)
TIME = TimeAxis(np.arange(6) * 3600, "standard")
OPTIONS = {"patch": (8, 8), "scale": 4, "patches_per_field": 2, "shards": 1, "normalization": "z"}


def save(path, grid, name, seed=0, count=6):
    values = np.random.default_rng(seed).random((count, *grid.shape, 1)).astype("f4")
    write_source(
        ArraySource(values, channels=[name], units=["m"], grid=grid, time=TIME[:count]), path
    )
    return values


@pytest.mark.parametrize("stated", [True, False], ids=["projection", "y and x alone"])
def test_points_of_a_larger_grid_are_found_by_their_coordinates(stated):
    text = LAEA if stated else ""
    larger = CurvilinearGrid.projected(
        np.arange(-3, 20.0)[::-1] * 2e4, np.arange(-2, 25.0) * 2e4, text
    )
    fine = CurvilinearGrid.projected(Y, X, text)
    rows, columns = matching_points(larger, fine)
    np.testing.assert_array_equal(larger.y[rows], fine.y)
    np.testing.assert_array_equal(larger.x[columns], fine.x)
    rows, columns = fine_points(larger, fine, (slice(4, 12), slice(0, 20)))
    np.testing.assert_array_equal(larger.y[rows], fine.y[4:12])
    moved = CurvilinearGrid.projected(Y + 3e3, X, text)
    assert matching_points(moved, fine) is None
    # A grid of pixels states nothing: its size tells.
    assert matching_points(Grid.pixels(*FINE.shape), fine) is not None


def test_maps_are_cut_to_the_fields_points_and_others_of_their_size_are_refused(tmp_path):
    save(tmp_path / "fine.h5", FINE, "t")
    larger = CurvilinearGrid.projected(
        np.arange(-3, 20.0)[::-1] * 2e4, np.arange(-2, 25.0) * 2e4, LAEA
    )
    height = save(tmp_path / "maps.h5", larger, "orog", count=1)[0]
    static = [f"{tmp_path / 'maps.h5'}:orog"]
    write_downscaling_records(tmp_path / "fine.h5", tmp_path / "records", static=static, **OPTIONS)
    records = open_records(tmp_path / "records")
    (batch,) = records.dataset(records.count).as_numpy_iterator()
    maps = records.schema.arrays["static"].normalization.invert(batch["static"])
    for (row, column), patch in zip(batch["position"], maps):
        wanted = height[4 + row : 12 + row, 2 + column : 10 + column]
        np.testing.assert_allclose(patch, wanted, atol=1e-5)
    moved = CurvilinearGrid.projected(Y + 1e5, X, LAEA)
    save(tmp_path / "moved.h5", moved, "orog", count=1)
    with pytest.raises(InputError, match=r"not on the points of .* regrid it to these first"):
        write_downscaling_records(
            tmp_path / "fine.h5", tmp_path / "x", static=[f"{tmp_path / 'moved.h5'}"], **OPTIONS
        )


def test_a_coarse_input_of_another_place_is_refused(tmp_path):
    save(tmp_path / "fine.h5", FINE, "t")
    coarse = coarsen_grid(FINE, 4, "cell")
    save(tmp_path / "here.h5", coarse, "q", seed=1)
    options = {**OPTIONS, "coarse_targets": True}
    write_downscaling_records(
        tmp_path / "fine.h5", tmp_path / "records", predictors=[tmp_path / "here.h5"], **options
    )
    assert open_records(tmp_path / "records").schema.arrays["low"].channels == ("t", "q")
    there = CurvilinearGrid.projected(coarse.y + 4e5, coarse.x, LAEA)
    save(tmp_path / "there.h5", there, "q", seed=1)
    with pytest.raises(InputError, match=r"lies up to 400.3 km from .* `phire regrid --like"):
        write_downscaling_records(
            tmp_path / "fine.h5", tmp_path / "x", predictors=[tmp_path / "there.h5"], **options
        )
