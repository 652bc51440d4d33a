"""Members: the same numbers whatever the tiles, batches and interruptions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from downscaling.trained_runs import make_run
from phire.cli.phire_eval import main as phire_eval
from phire.downscaling import Downscaler, PredictedSource, predict
from phire.downscaling.random_inputs import draw_dropout_seed, draw_noise
from phire.errors import InputError
from phire.fields import CoarsenedSource, Grid, TimeSelection, open_store, to_dataset
from phire.fields.source import ArraySource
from phire.networks import Shapes
from phire.records import open_records

NETWORKS = {
    "noise": "srgan-small,filters=4,blocks=0,kernel=3,noise=2",
    "dropout": "srgan-small,filters=8,blocks=1,kernel=3,dropout=0.4,dropout_kind=mcdrop",
}


@pytest.fixture(scope="module", params=NETWORKS)
def stochastic(request, records, tmp_path_factory):
    schema = open_records(records).schema
    path = tmp_path_factory.mktemp(request.param) / "run"
    return make_run(path, schema, Shapes.of((4, 4, 2), (16, 16, 2)), NETWORKS[request.param])


@pytest.fixture(scope="module")
def coarse(store):
    return CoarsenedSource(open_store(store), 4)


def test_members_differ_and_tiles_leave_no_trace(stochastic, coarse):
    whole = PredictedSource(stochastic, coarse, members=3, tile=1000).read_members([2, 5])
    assert whole.shape == (2, 3, 32, 64, 2)
    spread = whole.std(1).mean()
    assert spread > 1e-2 * whole.std()
    tiled = PredictedSource(stochastic, coarse, members=3, tile=3).read_members([2, 5])
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * whole.std())
    mean = PredictedSource(stochastic, coarse, members=3).read([2])
    np.testing.assert_allclose(mean, whole[:1].mean(1), atol=1e-5 * whole.std())


def test_tiles_leave_no_trace_in_a_region(stochastic, coarse):
    region = ArraySource(
        coarse.read([0])[:, 1:7, 2:13], channels=coarse.channels, units=coarse.units,
        grid=Grid.regional(coarse.grid.latitudes[1:7], coarse.grid.longitudes[2:13]),
    )  # fmt: skip
    whole, tiled = (
        PredictedSource(stochastic, region, members=2, tile=tile).read_members([0])
        for tile in (1000, 4)
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-5 * whole.std())


def test_a_field_does_not_depend_on_the_others(stochastic, coarse):
    many = PredictedSource(stochastic, coarse, members=2, seed=7).read_members(slice(0, 6))
    few = PredictedSource(stochastic, TimeSelection(coarse, [4]), members=3, seed=7)
    np.testing.assert_allclose(few.read_members([0])[:, :2], many[4:5], atol=1e-5 * many.std())
    other = PredictedSource(stochastic, coarse, members=2, seed=8).read_members([4])
    assert np.abs(other - many[4:5]).max() > 1e-2 * many.std()


def test_random_numbers_are_those_of_seed_time_and_member():
    noise = draw_noise(0, 946684800, 0, (40, 50, 2))
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 4 * np.sqrt(2 / noise.size)
    for seed, time, member in ((1, 946684800, 0), (0, -946684800, 0), (0, 946684800, 1)):
        other = draw_noise(seed, time, member, (40, 50, 2))
        assert abs((other * noise).mean()) < 4 / np.sqrt(noise.size)
        assert (draw_dropout_seed(seed, time, member) != draw_dropout_seed(0, 946684800, 0)).all()


def test_noise_with_a_memory_is_a_stationary_gaussian_process():
    """Variance 1 at any time, also between lattice times, and correlation exp(−(h/τ)²)."""
    memory, start = 21600, -3600
    hours = np.array([0, 0.7, 1.5, 3, 6, 9, 30])
    noise = np.stack(
        [draw_noise(0, start + 3600 * h, 1, (100, 400), memory).ravel() for h in hours]
    )
    np.testing.assert_allclose(noise.std(1), 1, atol=0.012)
    np.testing.assert_allclose(
        np.corrcoef(noise)[0], np.exp(-((3600 * hours / memory) ** 2)), atol=0.02
    )
    step = noise[1] - draw_noise(0, start + 3600 * 0.7 + 60, 1, (100, 400), memory).ravel()
    assert np.abs(step).max() < 0.03  # smooth: a minute changes little
    other = draw_noise(0, start, 2, (100, 400), memory).ravel()
    assert abs(np.corrcoef(noise[0], other)[0, 1]) < 0.02


def test_a_memory_of_noise_needs_noise(run, coarse):
    with pytest.raises(InputError, match="--noise-memory applies to runs with noise"):
        PredictedSource(run, coarse, noise_memory=60.0)


def test_members_are_written_and_an_interruption_changes_nothing(
    stochastic, store, tmp_path, monkeypatch
):
    options = {"coarsen": 4, "time": "2000-01-01,2000-01-02", "members": 2, "seed": 3}
    predict(stochastic, store, tmp_path / "whole.nc", **options)
    monkeypatch.setattr("phire.fields.time_blocks.BLOCK_BYTES", 4 * 32 * 64 * 2 * 2 * 3)
    read, blocks = PredictedSource.read_members, []

    def interrupted(self, times, members):
        if len(blocks) == 1:
            raise KeyboardInterrupt
        blocks.append(times)
        return read(self, times, members)

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(PredictedSource, "read_members", interrupted)
        predict(stochastic, store, tmp_path / "resumed.nc", tile=5, **options)
    assert blocks == [slice(0, 3)]
    predict(stochastic, store, tmp_path / "resumed.nc", tile=5, **options)
    with xr.open_dataset(tmp_path / "whole.nc") as whole:
        assert whole["vorticity"].dims == ("member", "time", "latitude", "longitude")
        assert whole.sizes["member"] == 2
        with xr.open_dataset(tmp_path / "resumed.nc") as resumed:
            for name in ("divergence", "vorticity"):
                scale = float(whole[name].std())
                np.testing.assert_allclose(resumed[name], whole[name], atol=1e-5 * scale)


def test_more_members_than_memory_are_predicted_a_few_at_a_time(
    stochastic, store, tmp_path, monkeypatch
):
    """In groups, of which an interruption loses at most one."""
    options = {"coarsen": 4, "time": "2000-01-01,2000-01-01T06", "members": 5, "seed": 3}
    predict(stochastic, store, tmp_path / "whole.nc", **options)
    monkeypatch.setattr("phire.fields.time_blocks.BLOCK_BYTES", 4 * 32 * 64 * 2 * 2)
    read, groups = PredictedSource.read_members, []

    def interrupted(self, times, members):
        if len(groups) == 1:
            raise KeyboardInterrupt
        groups.append((times, members))
        return read(self, times, members)

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(PredictedSource, "read_members", interrupted)
        predict(stochastic, store, tmp_path / "few.nc", **options)
    assert groups == [(slice(0, 1), slice(0, 2))]
    predict(stochastic, store, tmp_path / "few.nc", **options)
    with (
        xr.open_dataset(tmp_path / "whole.nc") as whole,
        xr.open_dataset(tmp_path / "few.nc") as few,
    ):
        assert few.sizes["member"] == 5
        for name in whole.data_vars:
            np.testing.assert_array_equal(few[name], whole[name])


def test_from_xarray_to_members(stochastic, coarse):
    fine = Downscaler.load(stochastic)(to_dataset(coarse, [1]), members=2, seed=1)
    expected = PredictedSource(stochastic, coarse, members=2, seed=1).read_members([1])
    assert fine["divergence"].dims == ("member", "time", "latitude", "longitude")
    np.testing.assert_allclose(
        fine["divergence"].values[:, 0], expected[0, ..., 0], atol=1e-5 * expected.std()
    )


def test_a_store_has_no_members(stochastic, store, tmp_path):
    with pytest.raises(InputError, match=r"ends with \.nc or \.zarr"):
        predict(stochastic, store, tmp_path / "fine.h5", coarsen=4, members=2)
    assert not list(tmp_path.iterdir())


def test_members_of_a_deterministic_run_are_refused(run, store, coarse, tmp_path):
    with pytest.raises(InputError, match=r"members 5 needs a stochastic generator, but .*run is"):
        predict(run, store, tmp_path / "fine.nc", coarsen=4, members=5)
    with pytest.raises(InputError, match=r"seed applies to stochastic"):
        predict(run, store, tmp_path / "fine.nc", coarsen=4, seed=5)
    with pytest.raises(InputError, match=r"--members 0 must be"):
        PredictedSource(run, coarse, members=0)
    with pytest.raises(InputError, match="members applies to generators"):
        predict("bicubic", store, tmp_path / "fine.nc", coarsen=4, members=2)
    assert not list(tmp_path.iterdir())


def test_members_of_a_run_are_evaluated(stochastic, run, store, tmp_path):
    command = [str(store), "--scale", "4", "--metrics", "ensemble", "--no-report", "--quiet",
               "--time", "2000-01-01,2000-01-02"]  # fmt: skip
    phire_eval(
        [*command, "--out", str(tmp_path / "results"), "--candidate", f"random={stochastic}",
         "--candidate", f"plain={run}", "--members", "3"], standalone_mode=False,
    )  # fmt: skip
    assert (tmp_path / "results" / "random" / "ensemble.nc").is_file()
    with pytest.raises(SystemExit) as ended:
        phire_eval([*command, "--out", str(tmp_path / "none"), "--candidate", f"plain={run}",
                    "--members", "3"])  # fmt: skip
    assert ended.value.code == 2
    assert not (tmp_path / "none").exists()
