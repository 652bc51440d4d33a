"""Prediction: tiles without seams, around the globe, in physical units, or not at all."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import xarray as xr

from phire.downscaling import Downscaler, InterpolatedSource, PredictedSource, predict
from phire.downscaling.halo_tiles import WRAP, Extension, apply_in_tiles
from phire.downscaling.network_graphs import NetworkGraphs
from phire.downscaling.trained_generator import TrainedGenerator
from phire.downscaling.whole_fields import WholeFields
from phire.errors import InputError, WorkError
from phire.fields import ArraySource, CoarsenedSource, Grid, open_store, to_dataset
from phire.fields.coarsening import block_mean, refine_grid
from phire.networks import build


@pytest.fixture(scope="module")
def generator(run):
    return TrainedGenerator(run)


@pytest.fixture(scope="module")
def coarse(store):
    return CoarsenedSource(open_store(store), 4)


def refined(generator, fields, grid, tile=None):
    """The fine fields of physical coarse ones."""
    whole = WholeFields(fields, grid, refine_grid(grid, 4), np.arange(len(fields)))
    return generator(whole, tile)[0]


@pytest.mark.parametrize("tile", [3, 5, 8])
def test_tiles_leave_no_trace(generator, coarse, tile, monkeypatch):
    # A reach that is smaller than the field, so that tiles are real ones.
    small = build("srgan,filters=4,blocks=0,kernel=3", (None, None, 2), (None, None, 2), scale=4)
    monkeypatch.setattr(generator, "network", small)
    monkeypatch.setattr(generator, "graphs", NetworkGraphs(small))
    monkeypatch.setattr(generator, "halo", 4)
    fields = coarse.read([0, 5])
    whole = refined(generator, fields, coarse.grid, 1000)
    tiled = refined(generator, fields, coarse.grid, tile)
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * whole.std())
    region = Grid.regional(coarse.grid.latitudes[1:7], coarse.grid.longitudes[2:13])
    fields = fields[:, 1:7, 2:13]
    np.testing.assert_allclose(
        refined(generator, fields, region, tile),
        refined(generator, fields, region, 1000),
        atol=1e-5 * whole.std(),
    )  # fmt: skip


def test_there_is_no_seam_at_the_date_line(generator, coarse):
    fields = coarse.read([3])
    fine = refined(generator, fields, coarse.grid)
    rolled = refined(generator, np.roll(fields, 5, axis=2), coarse.grid)
    np.testing.assert_allclose(rolled, np.roll(fine, 20, axis=2), atol=1e-5 * fine.std())


def smoothed(batch):
    """A network that depends on the whole field: it pads with edge values, and adds the mean."""
    low = batch["low"]
    padded = np.pad(low, [(0, 0), (0, 0), (WRAP, WRAP), (0, 0)], mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * WRAP + 1, axis=2)
    return windows.mean(-1) + low.mean()


def test_a_field_that_is_one_tile_has_no_seam():
    grid = Grid.driscoll_healy(16)
    low = np.broadcast_to(np.random.default_rng(0).normal(size=(1, 1, 32, 1)), (1, 16, 32, 1))
    low = (low - low.mean()).astype(np.float32)

    def shifted(columns, **options):
        rolled = np.roll(low, columns, axis=2)
        tiled = apply_in_tiles(smoothed, rolled, grid, scale=1, halo=None, tile=8, **options)
        output = np.roll(tiled, -columns, axis=2)
        return output - output.mean()

    np.testing.assert_allclose(shifted(7), shifted(0), atol=1e-6)
    assert np.abs(shifted(7, fixed=True) - shifted(0, fixed=True)).max() > 0.1


def test_beyond_a_pole_lies_the_other_side():
    for grid in (Grid.cell_centred(6), Grid.pole_to_pole(7, 12), Grid.driscoll_healy(6)):
        latitude = np.deg2rad(grid.latitudes)[:, None]
        longitude = np.deg2rad(grid.longitudes)
        # Smooth on the sphere: its continuation over the pole is that along the great circle.
        x = np.cos(latitude) * np.cos(longitude)
        y = np.cos(latitude) * np.sin(longitude)
        field = np.stack([x, y], -1)[None]
        extension = Extension.of(grid, 2)
        extended, top, bottom = extension(field), extension.top, extension.bottom
        assert (extension.left, extension.right) == (2, 2)
        assert top == 2
        # A Driscoll–Healy grid ends a whole row short of the south pole.
        assert bottom == (0 if grid.kind == "driscoll-healy" else 2)
        step = np.deg2rad(grid.spacing[0])
        start = latitude[0, 0] + step * top
        rows = start - step * np.arange(extended.shape[1])
        columns = longitude[0] + np.deg2rad(grid.spacing[1]) * np.arange(-2, extended.shape[2] - 2)
        expected = np.cos(rows)[:, None] * np.cos(columns)
        np.testing.assert_allclose(extended[0, ..., 0], expected, atol=1e-9)


def test_a_region_is_not_continued():
    grid = Grid.regional([50.0, 49, 48], [1.0, 2, 3, 4])
    fields = np.ones((1, 3, 4, 1))
    assert Extension.of(grid, 2)(fields).shape == fields.shape


@pytest.mark.parametrize("fill", ["nearest", "mean"])
def test_missing_input_is_missing_in_its_own_blocks_only(run, coarse, fill):
    holed = coarse.read(slice(0, 2))
    holed[0, 2, 5, 1] = np.nan
    holed[1, 6:, :3] = np.nan
    fine = PredictedSource(run, changed(coarse, fields=holed), fill=fill).read([0, 1])
    expected = np.isnan(holed).any(-1).repeat(4, 1).repeat(4, 2)
    np.testing.assert_array_equal(np.isnan(fine), np.stack([expected] * 2, -1))


def test_missing_input_is_filled_as_asked(run, generator, coarse):
    holed = coarse.read([0])
    holed[0, 2, 5, 1] = np.nan
    means = generator.normalization.mean
    for fill, values in (("nearest", holed[0, [1, 3, 2, 2], [5, 5, 4, 6], 1]), ("mean", means[1:])):
        made = PredictedSource(run, changed(coarse, fields=holed), fill=fill).read([0])
        found = []
        for value in values:
            filled = holed.copy()
            filled[0, 2, 5, 1] = value
            found.append(PredictedSource(run, changed(coarse, fields=filled)).read([0]))
        present = ~np.isnan(made)
        assert any(np.array_equal(made[present], one[present]) for one in found)


@pytest.mark.parametrize("tile", [3, 5])
def test_missing_input_leaves_no_trace_of_tiles(generator, coarse, tile, monkeypatch):
    small = build("srgan,filters=4,blocks=0,kernel=3", (None, None, 2), (None, None, 2), scale=4)
    monkeypatch.setattr(generator, "network", small)
    monkeypatch.setattr(generator, "graphs", NetworkGraphs(small))
    monkeypatch.setattr(generator, "halo", 4)
    fields = coarse.read([0, 5])
    # A hole larger than a tile.
    fields[0, 1:7, 4:13] = np.nan
    fields[1, :, 0] = np.nan
    whole, tiled = (refined(generator, fields, coarse.grid, size) for size in (1000, tile))
    np.testing.assert_array_equal(np.isnan(whole), np.isnan(tiled))
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * np.nanstd(whole))


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_interpolations_have_values_where_networks_have(run, coarse, method):
    holed = coarse.read([0])
    holed[0, 2, 5, 1] = np.nan
    source = changed(coarse, fields=holed)
    predicted = PredictedSource(run, source)
    found = InterpolatedSource(source, predicted.grid, method).read([0])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(predicted.read([0])))


def test_rain_is_bounded_and_says_so(run, store, coarse, tmp_path):
    plain = PredictedSource(run, coarse).read([0])
    assert (plain < 0).any()
    bounded = PredictedSource(run, coarse, minimum=0).read([0])
    np.testing.assert_array_equal(bounded, np.maximum(plain, 0))
    for ending, engine in (("h5", "h5netcdf"), ("nc", "netcdf4"), ("zarr", "zarr")):
        output = tmp_path / f"fine.{ending}"
        predict(run, store, output, coarsen=4, time=",2000-01-01T03", minimum=0)
        with xr.open_dataset(output, engine=engine) as dataset:
            assert dataset.attrs["minimum"] == 0
            assert "Values below 0 were set to 0." in dataset.attrs["comment"]
            assert "filled by the nearest valid value" in dataset.attrs["comment"]


def test_amounts_too_small_to_be_measured_are_the_minimum(run, store, coarse, tmp_path):
    plain = PredictedSource(run, coarse).read([0])
    least = float(np.quantile(plain[plain > 0], 0.5))
    dry = PredictedSource(run, coarse, minimum=0, trace=least).read([0])
    np.testing.assert_array_equal(dry, np.where(plain < np.float32(least), 0, plain))
    means = PredictedSource(run, coarse, minimum=0, trace=least, consistency="mean").read([0])
    wanted = np.maximum(coarse.read([0]), 0)
    np.testing.assert_allclose(block_mean(means, Grid.cell_centred(32), 4), wanted, rtol=1e-5)
    output = tmp_path / "fine.nc"
    predict(run, store, output, coarsen=4, time=",2000-01-01T03", minimum=0, trace=least)
    with xr.open_dataset(output) as dataset:
        assert dataset.attrs["trace"] == least
        assert f"Values below {least:g} were set to 0." in dataset.attrs["comment"]
    for bound, said in ((None, "minimum, which is not given"), (1.0, "minimum, which is 1:")):
        with pytest.raises(InputError, match=said):
            predict(run, store, tmp_path / "no.nc", coarsen=4, minimum=bound, trace=least)
    assert not (tmp_path / "no.nc").exists()


def test_values_that_are_not_finite_are_no_missing_ones(run, coarse):
    source = PredictedSource(run, coarse)
    for weight in source.generator.network.weights:
        weight.assign(np.full(weight.shape, np.inf))
    with pytest.raises(WorkError, match="not finite"):
        source.read([0])


def test_the_end_says_what_was_written(run, store, coarse, tmp_path, capsys):
    dataset = to_dataset(coarse, [0, 1])
    dataset["vorticity"][0, 0, 0] = np.nan
    dataset.to_netcdf(tmp_path / "coarse.nc")
    predict(run, tmp_path / "coarse.nc", tmp_path / "fine.nc")
    said = capsys.readouterr().err
    # 1 of 2 · 8 · 16 blocks.
    assert "fine.nc: 2 fields of 32 × 64 points, divergence, vorticity, one member" in said
    assert "0.391 % of the values are missing" in said
    predict(run, store, tmp_path / "whole.nc", coarsen=4, time=",2000-01-01T03")
    assert "1 field of 32 × 64 points, divergence, vorticity, one member; none missing" in (
        capsys.readouterr().err
    )


@pytest.fixture(scope="module")
def corner_run(run, tmp_path_factory):
    """The run as if it had been trained on coarse points at the first points of blocks."""
    path = tmp_path_factory.mktemp("corner") / "run"
    shutil.copytree(run, path)
    config = (path / "config.yaml").read_text()
    assert "alignment: cell" in config
    (path / "config.yaml").write_text(config.replace("alignment: cell", "alignment: corner"))
    return path


def test_block_means_at_corners_are_refused(corner_run, store, coarse, tmp_path):
    with pytest.raises(InputError, match=r"waves.h5 holds block means.*without coarsen"):
        predict(corner_run, store, tmp_path / "fine.nc", coarsen=4)
    grid = open_store(store).grid
    with pytest.raises(InputError, match=r"--alignment corner"):
        PredictedSource(corner_run, coarse, grid)  # as phire-eval does
    with pytest.raises(InputError, match=r"alignment corner .*coarsen"):
        predict("bicubic", store, tmp_path / "fine.nc", coarsen=4, alignment="corner")
    assert not list(tmp_path.iterdir())


def test_points_at_corners_are_refined_from_there(corner_run, store, coarse, tmp_path):
    fine = open_store(store).grid
    corners = Grid.from_coordinates(fine.latitudes[::4], fine.longitudes[::4])
    to_dataset(changed(coarse, grid=corners)).to_netcdf(tmp_path / "coarse.nc")
    predict(corner_run, tmp_path / "coarse.nc", tmp_path / "fine.nc")
    with xr.open_dataset(tmp_path / "fine.nc") as dataset:
        np.testing.assert_allclose(dataset["latitude"], fine.latitudes, atol=1e-9)
        np.testing.assert_allclose(dataset["longitude"], fine.longitudes, atol=1e-9)
    # A grid for the result on which the coarse points are no corners.
    with pytest.raises(InputError, match="corner"):
        PredictedSource(corner_run, changed(coarse), fine)


def test_the_source_is_on_the_fine_grid_in_physical_units(run, store, coarse):
    truth = open_store(store)
    predicted = PredictedSource(run, coarse)
    assert predicted.grid.equals(truth.grid)
    assert predicted.units == truth.units
    fields = predicted.read([0, 1])
    assert fields.dtype == np.float32
    error = np.sqrt(((fields - truth.read([0, 1])) ** 2).mean())
    assert error < truth.read([0]).std()


@pytest.mark.parametrize("ending", ["h5", "nc", "zarr"])
def test_the_command_writes_every_format(run, store, tmp_path, ending, capsys):
    output = tmp_path / f"fine.{ending}"
    options = {"coarsen": 4, "time": "2000-01-01,2000-01-02"}
    predict(run, store, output, **options)
    predict(run, store, output, **options)
    assert "already" in capsys.readouterr().err
    with pytest.raises(InputError, match="tile"):
        predict(run, store, output, tile=3, **options)
    engine = {"h5": "h5netcdf", "nc": "netcdf4", "zarr": "zarr"}[ending]
    with xr.open_dataset(output, engine=engine) as dataset:
        truth = open_store(store)
        np.testing.assert_allclose(dataset["latitude"], truth.grid.latitudes, atol=1e-9)
        assert dataset.sizes["time"] == 8
        assert str(dataset["time"].values[1]).startswith("2000-01-01T03")
        fields = dataset["vorticity"] if ending != "h5" else dataset["data"][1]
        expected = PredictedSource(run, CoarsenedSource(truth, 4)).read(range(8))
        np.testing.assert_allclose(fields.values, expected[..., 1], rtol=1e-5, atol=1e-11)
        if ending != "h5":
            assert fields.attrs["units"] == "s**-1"


def test_an_interrupted_prediction_goes_on(run, store, tmp_path, monkeypatch):
    five_fields = 4 * 32 * 64 * 2 * 5
    monkeypatch.setattr("phire.fields.time_blocks.BLOCK_BYTES", five_fields)
    read = PredictedSource.read
    blocks = []

    def counted(self, times):
        if len(blocks) == 2:
            raise KeyboardInterrupt
        blocks.append(times.start)
        return read(self, times)

    monkeypatch.setattr(PredictedSource, "read", counted)
    output = tmp_path / "fine.h5"
    options = {"coarsen": 4, "time": "2000-01-01,2000-01-03"}
    with pytest.raises(KeyboardInterrupt):
        predict(run, store, output, **options)
    assert not output.exists()
    monkeypatch.setattr(PredictedSource, "read", read)
    monkeypatch.setattr(
        PredictedSource, "read", lambda self, times: blocks.append(times.start) or read(self, times)
    )
    predict(run, store, output, **options)
    assert blocks == [0, 5, 10, 15]
    assert [path.name for path in tmp_path.iterdir()] == ["fine.h5"]
    predict(run, store, tmp_path / "again.h5", **options)
    fields = open_store(output).read(slice(None))
    np.testing.assert_array_equal(fields, open_store(tmp_path / "again.h5").read(slice(None)))


def test_blocks_of_another_prediction_are_not_taken(run, store, tmp_path, monkeypatch):
    monkeypatch.setattr("phire.fields.time_blocks.BLOCK_BYTES", 4 * 32 * 64 * 2 * 5)
    read = PredictedSource.read

    def interrupted(self, times):
        if times.start:
            raise KeyboardInterrupt
        return read(self, times)

    output = tmp_path / "fine.h5"
    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(PredictedSource, "read", interrupted)
        predict(run, store, output, coarsen=4, time="2000-01-01,2000-01-02")
    predict(run, store, output, coarsen=4, time="2000-01-02,2000-01-03")
    predict(run, store, tmp_path / "other.h5", coarsen=4, time="2000-01-02,2000-01-03")
    fields = open_store(output).read(slice(None))
    np.testing.assert_array_equal(fields, open_store(tmp_path / "other.h5").read(slice(None)))


def test_several_files_are_predicted_in_the_order_of_time(run, coarse, tmp_path):
    to_dataset(coarse, slice(4, 8)).to_netcdf(tmp_path / "a.nc")
    to_dataset(coarse, slice(0, 4)).to_netcdf(tmp_path / "b.nc")
    predict(run, tmp_path / "?.nc", tmp_path / "fine.zarr")
    with xr.open_zarr(tmp_path / "fine.zarr") as dataset:
        expected = PredictedSource(run, coarse).read(slice(0, 8))
        np.testing.assert_allclose(dataset["divergence"], expected[..., 0], rtol=1e-5, atol=1e-11)


def test_memory_is_bounded_by_the_tile(generator, coarse, monkeypatch):
    sizes = []

    def run(batch):
        batch = batch["low"]
        sizes.append(batch.shape[:3])
        return np.zeros((*batch.shape[:1], 4 * batch.shape[1], 4 * batch.shape[2], 2), "f4")

    monkeypatch.setattr(generator, "run_batch", run)
    monkeypatch.setattr(generator, "halo", 2)
    refined(generator, coarse.read(slice(0, 24)), coarse.grid, 4)
    assert len(sizes) > 8
    assert max(n * h * w for n, h, w in sizes) <= 2 * 8 * 8


def test_a_periodic_generator_takes_no_region(generator, coarse, monkeypatch):
    monkeypatch.setattr(generator, "periodic", True)
    region = Grid.regional(coarse.grid.latitudes, coarse.grid.longitudes[:8])
    with pytest.raises(InputError, match="with periodic"):
        PredictedSource(generator, changed(coarse, fields=coarse.read([0])[:, :, :8], grid=region))


def test_an_interpolation_is_written_like_a_prediction(run, store, coarse, tmp_path):
    truth = open_store(store)
    expected = InterpolatedSource(coarse, truth.grid, "bilinear").read(slice(0, 8))
    time = "2000-01-01,2000-01-02"
    predict("bilinear", store, tmp_path / "of-fine.nc", coarsen=4, time=time)
    to_dataset(coarse).to_netcdf(tmp_path / "coarse.nc")
    predict("bilinear", tmp_path / "coarse.nc", tmp_path / "of-coarse.nc", scale=4, time=time)
    for name in ("of-fine.nc", "of-coarse.nc"):
        with xr.open_dataset(tmp_path / name) as dataset:
            np.testing.assert_allclose(dataset["vorticity"], expected[..., 1], atol=1e-9)
    for options, message in (
        ({}, "needs scale"),
        ({"scale": 4, "coarsen": 4}, "scale is already given by coarsen"),
        ({"scale": 4, "tile": 8}, "tile applies to generators"),
    ):
        with pytest.raises(InputError, match=message):
            predict("bicubic", store, tmp_path / "refused.nc", **options)
    with pytest.raises(InputError, match="scale is fixed by the run"):
        predict(run, store, tmp_path / "refused.nc", scale=4)


def test_from_xarray_to_xarray(run, coarse):
    dataset = to_dataset(coarse, [0, 1])
    fine = Downscaler.load(run)(dataset)
    assert fine["vorticity"].dims == ("time", "latitude", "longitude")
    assert fine["vorticity"].shape == (2, 32, 64)
    np.testing.assert_allclose(
        fine["vorticity"], PredictedSource(run, coarse).read([0, 1])[..., 1], rtol=1e-4, atol=1e-9
    )


def test_what_is_no_dataset_is_named(run, coarse):
    array = to_dataset(coarse, [0])["vorticity"]
    with pytest.raises(InputError, match=r"a DataArray: .* divergence, vorticity"):
        Downscaler.load(run)(array)
    with pytest.raises(InputError, match=r"not a DataArray: .*Downscaler.load"):
        Downscaler(array)


def changed(coarse, **parts):
    facts = {"channels": coarse.channels, "units": coarse.units, "grid": coarse.grid}
    fields = parts.pop("fields", None)
    return ArraySource(coarse.read([0]) if fields is None else fields, **{**facts, **parts})


def test_what_does_not_fit_is_named(run, coarse):
    with pytest.raises(InputError, match="reads divergence, vorticity, which no input gives"):
        PredictedSource(run, changed(coarse, channels=("a", "b")))
    with pytest.raises(InputError, match="holds divergence in 'd-1'"):
        PredictedSource(run, changed(coarse, units=("d-1", "s**-1")))
    finer = changed(coarse, grid=Grid.regional(np.linspace(60, 40, 8), np.linspace(0, 40, 16)))
    with pytest.raises(InputError, match="--any-spacing"):
        PredictedSource(run, finer)
    with pytest.raises(InputError, match="or pass any_spacing"):
        Downscaler.load(run)(to_dataset(finer))
    assert PredictedSource(run, finer, any_spacing=True).read([0]).shape == (1, 32, 64, 2)
    with pytest.raises(InputError, match="standard deviation of divergence"):
        PredictedSource(run, changed(coarse, fields=1e5 * coarse.read([0]))).read([0])
    with pytest.raises(InputError, match=r"of the training data of .*run"):
        PredictedSource(run, changed(coarse, fields=1 + coarse.read([0]))).read([0])
    with pytest.raises(InputError, match="coarse source holds no fields"):
        PredictedSource(run, changed(coarse, fields=coarse.read([])), name="the coarse source")
    with pytest.raises(InputError, match="no fields to refine"):
        refined(TrainedGenerator(run), coarse.read([]), coarse.grid)
    with pytest.raises(InputError, match="coarsened by 2"):
        PredictedSource(run, CoarsenedSource(coarse.source, 2), any_spacing=True)


def test_interpolated_sources_come_near_the_truth(store, coarse):
    truth = open_store(store)
    errors = {}
    for method in ("nearest", "bilinear", "bicubic"):
        source = InterpolatedSource(coarse, truth.grid, method)
        assert source.grid is truth.grid
        errors[method] = float(np.sqrt(((source.read([0]) - truth.read([0])) ** 2).mean()))
    assert errors["bicubic"] < errors["bilinear"] < errors["nearest"]
    with pytest.raises(InputError, match="'spline'"):
        InterpolatedSource(coarse, truth.grid, "spline")
