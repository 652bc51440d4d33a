"""Fine grids whose size is not a multiple of the scale, completed by points without targets."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.regridding import Regridder
from phire.records import open_records, write_downscaling_records
from records.test_inputs_of_samples import indices, physical, save, smooth

FINE = Grid.regional(45 - 0.25 * np.arange(19), -10 + 0.25 * np.arange(29))
COMPLETE = Grid.regional(45 - 0.25 * np.arange(20), -10 + 0.25 * np.arange(30))
OPTIONS = {"scale": 5, "whole_fields": True, "shards": 1, "normalization": "z", "missing": "mask"}
SOUTH = {"ends": 39.75, "short": 41.0, "far": 42.6}
"""Southernmost row of a coarse file of 0.9°: beyond the blocks, within a block of 1.25°, not."""


@pytest.fixture
def high(tmp_path):
    values = smooth(FINE, 1, offset=280)
    values[:, 3:5, 7] = np.nan
    return save(tmp_path / "high.nc", FINE, values, ("t",)), values


def predictor(tmp_path, reach="ends", step=0.9):
    grid = Grid.regional(np.arange(SOUTH[reach], 47, step)[::-1], np.arange(-11.3, -1.5, step))
    values = smooth(grid, 3)
    return save(tmp_path / "psl.nc", grid, values, ("psl",), units="Pa"), grid, values


def write(store, output, **options):
    write_downscaling_records(store, output, **{**OPTIONS, **options})
    records = open_records(output)
    (batch,) = records.dataset(records.count).as_numpy_iterator()
    return records, batch, indices(records)


def test_the_last_blocks_are_completed_by_points_that_are_not_valid(tmp_path, high, capsys):
    coarse, _, _ = predictor(tmp_path)
    records, batch, index = write(high[0], tmp_path / "out", predictors=[coarse])
    said = capsys.readouterr().err
    assert "1 row at the south and 1 column at the east are added, without targets." in said
    assert "dropped" not in said
    schema = records.schema
    assert schema.domain.equals(COMPLETE)
    assert schema.unpadded_domain.equals(FINE)
    assert (schema.padding, schema.patch, schema.low_patch) == ((1, 1), (20, 30), (4, 6))
    assert (batch["valid"][:, 19:] == 0).all() and (batch["valid"][:, :, 29:] == 0).all()
    assert (batch["high"][batch["valid"] == 0] == 0).all()
    found = physical(records, batch, "high")[:, :19, :29]
    wanted = high[1][index]
    there = np.isfinite(wanted)
    np.testing.assert_array_equal(batch["valid"][:, :19, :29] == 1, there)
    np.testing.assert_allclose(found[there], wanted[there], atol=1e-4)
    # Statistics are of the targets alone, whatever was added.
    normalization = schema.normalization
    np.testing.assert_allclose(normalization.mean, np.nanmean(high[1]), rtol=1e-5)
    np.testing.assert_allclose(normalization.std, np.nanstd(high[1]), rtol=1e-3)


def test_maps_and_auxiliary_fields_go_on_with_their_last_row_and_column(tmp_path, high):
    coarse, _, _ = predictor(tmp_path)
    values = smooth(FINE, 4)
    moving = save(tmp_path / "moving.nc", FINE, values, ("sst",))
    orography = xr.open_dataset(moving)["sst"].isel(time=0, drop=True).rename("orog")
    orography.to_dataset().to_netcdf(tmp_path / "maps.nc")
    records, batch, index = write(
        high[0], tmp_path / "out", predictors=[coarse], static=[f"{tmp_path}/maps.nc"],
        auxiliary=[moving], covariates=("day",),
    )  # fmt: skip
    complete = np.pad(values, [(0, 0), (0, 1), (0, 1), (0, 0)], mode="edge")
    for name, wanted in (("static", complete[:1]), ("auxiliary", complete[index])):
        found = physical(records, batch, name)
        np.testing.assert_allclose(found, np.broadcast_to(wanted, found.shape), atol=1e-4)


@pytest.mark.parametrize("method", ["bilinear", "conservative"])
def test_coarse_values_within_a_block_beyond_a_file_are_its_nearest(tmp_path, high, method, capsys):
    coarse, grid, values = predictor(tmp_path, "short")
    records, batch, index = write(
        high[0], tmp_path / "out", predictors=[coarse], margin=1, regrid=method
    )
    said = capsys.readouterr().err
    # Its last cells end at 40.55, the outermost coarse points lie at 45 + 0.75 and 39.5.
    assert "psl.nc ends 1.048° in the south before the outermost coarse points; its nearest" in said
    assert records.schema.low_patch == (6, 8)
    assert records.schema.patch == (20, 30)
    blocks = Grid.regional(
        44.5 + 1.25 - 1.25 * np.arange(6), -9.5 - 1.25 + 1.25 * np.arange(8)
    )  # fmt: skip
    wanted = Regridder(grid, blocks, method, extrapolate=True)(values)
    low = physical(records, batch, "low")
    np.testing.assert_allclose(low, wanted[index], atol=1e-4)
    assert np.isfinite(wanted).all()
    nearest = np.abs(grid.longitudes[:, None] - blocks.longitudes).argmin(0)
    if method == "conservative":
        np.testing.assert_allclose(wanted[:, -1], values[:, -1, nearest], atol=1e-6)


def test_a_file_that_misses_more_than_a_block_is_refused(tmp_path, high):
    coarse, _, _ = predictor(tmp_path, "far")
    with pytest.raises(
        InputError,
        match=r"psl.nc .*does not cover .*: 1\.398° in the south is missing, more than one coarse "
        r"point of 1\.25° × 1\.25°.*--region .*,42\.15,",
    ):
        write(high[0], tmp_path / "out", predictors=[coarse], margin=1)
    assert not (tmp_path / "out").exists()
