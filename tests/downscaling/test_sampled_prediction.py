"""Runs of denoisers predict whole fields by phire predict, with members and a chosen sampler."""

from __future__ import annotations

import dataclasses
import shlex

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pipeline
from phire.cli.phire_eval import main as phire_eval
from phire.downscaling import predict, train_generator
from phire.downscaling.network_graphs import NetworkGraphs
from phire.downscaling.predicted_source import PredictedSource
from phire.downscaling.trained_generator import TrainedGenerator
from phire.errors import InputError
from phire.fields import open_store
from phire.fields.coarsening import CoarsenedSource, block_mean

NETWORK = "unet,widths=[4],blocks=1,groups=2"


@pytest.fixture(scope="module")
def denoiser(records, tmp_path_factory):
    """A run of the objective edm, trained for one epoch."""
    path = tmp_path_factory.mktemp("denoiser") / "run"
    train_generator(
        records, path, network=NETWORK, objective="edm", epochs=(1,), learning_rates=(1e-3,),
        batch_size=16,
    )  # fmt: skip
    return path


def test_members_are_sampled_and_resampled_alike(denoiser, store, tmp_path):
    with open_store(store) as opened:
        time = f"{opened.time.format(0)},{opened.time.format(3)}"
    options = {"coarsen": 4, "time": time, "members": 2, "sampler": "euler,steps=2"}
    predict(denoiser, store, tmp_path / "a.nc", **options)
    predict(denoiser, store, tmp_path / "b.nc", **{**options, "members": 1})
    with xr.open_dataset(tmp_path / "a.nc") as both, xr.open_dataset(tmp_path / "b.nc") as first:
        for name in first.data_vars:
            assert both[name].dims[:2] == ("member", "time")
            assert np.isfinite(both[name]).all()
            np.testing.assert_array_equal(both[name][0], first[name])
            assert float(abs(both[name][0] - both[name][1]).max()) > 0


def test_tiles_of_all_members_fill_the_batches_of_the_network(denoiser, store, monkeypatch):
    sizes = []
    applied = NetworkGraphs.__call__

    def counted(graphs, arrays):
        sizes.append(len(arrays["noisy"]))
        return applied(graphs, arrays)

    monkeypatch.setattr(NetworkGraphs, "__call__", counted)
    coarse = CoarsenedSource(open_store(store), 4)
    calls = []
    for members in (1, 4):
        generator = TrainedGenerator(denoiser, sampler="euler,steps=1")
        PredictedSource(generator, coarse, members=members, tile=4).read_members([0])
        assert set(sizes) == {8}  # small tiles are never more
        calls.append(len(sizes))
        sizes.clear()
    tiles = 3 * 6  # of 4 × 4 coarse points that overlap by one or more, in 8 × 16 around the globe
    assert calls == [-(-tiles // 8), 4 * tiles // 8]


def test_every_member_has_the_coarse_means(denoiser, store, tmp_path):
    time = "2000-01-01,2000-01-01T06"
    options = {"coarsen": 4, "time": time, "members": 2, "sampler": "euler,steps=2"}
    predict(denoiser, store, tmp_path / "free.nc", **options)
    predict(denoiser, store, tmp_path / "held.nc", consistency="mean", **options)
    with open_store(store) as opened:
        coarse = block_mean(opened.read([0, 1]), opened.grid, 4)
        found = {}
        for name in ("free", "held"):
            with xr.open_dataset(tmp_path / f"{name}.nc") as dataset:
                members = np.stack([dataset[c].values for c in opened.channels], -1)
                found[name] = [block_mean(fields, opened.grid, 4) for fields in members]
    for means in found["held"]:
        np.testing.assert_allclose(means, coarse, atol=1e-5 * np.abs(coarse).max())
    assert np.abs(np.array(found["free"]) - coarse).max() > 0.1 * np.abs(coarse).max()


def test_another_sampler_gives_other_fields(denoiser, store, tmp_path):
    with open_store(store) as opened:
        time = f"{opened.time.format(0)},{opened.time.format(1)}"
    for name, sampler in {"two": "euler,steps=2", "default": None}.items():
        predict(denoiser, store, tmp_path / f"{name}.nc", coarsen=4, time=time, sampler=sampler)
    with (
        xr.open_dataset(tmp_path / "two.nc") as two,
        xr.open_dataset(tmp_path / "default.nc") as default,
    ):
        assert any(float(abs(two[name] - default[name]).max()) > 0 for name in two.data_vars)


def test_a_sweep_gives_one_file_for_each_combination(denoiser, store, tmp_path):
    options = {"coarsen": 4, "time": ",2000-01-01T03"}
    predict(denoiser, store, tmp_path / "fine.nc", sampler="euler/heun,steps=1/2", **options)
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {f"fine-{name}-steps={n}.nc" for name in ("euler", "heun") for n in (1, 2)}
    predict(denoiser, store, tmp_path / "alone.nc", sampler="euler,steps=2", **options)
    with (
        xr.open_dataset(tmp_path / "fine-euler-steps=2.nc") as swept,
        xr.open_dataset(tmp_path / "alone.nc") as alone,
    ):
        xr.testing.assert_equal(swept, alone)


def test_the_outputs_of_a_sweep_are_evaluated_as_its_last_line_says(denoiser, store, tmp_path):
    time = ",2000-01-01T03"
    said = pipeline.run(
        "phire", "predict", denoiser, store, tmp_path / "a.nc", "--coarsen", "4", "--time", time,
        "--sampler", "euler,steps=1/2",
    )  # fmt: skip
    _, said = said.split("phire-eval TRUTH --out RESULTS ")
    words = [store, "--out", tmp_path / "results", "--time", time, "--metrics", "scores"]
    words = [*map(str, words), "--no-report", *shlex.split(said)]
    phire_eval(words, standalone_mode=False)
    summary = pd.read_csv(tmp_path / "results" / "summary.csv")
    assert set(summary["candidate"]) == {"steps 1", "steps 2"}


def test_no_file_of_a_sweep_is_written_where_one_sampler_is_impossible(denoiser, store, tmp_path):
    with pytest.raises(InputError, match="steps=0: steps must be"):
        predict(denoiser, store, tmp_path / "fine.nc", coarsen=4, sampler="euler,steps=2/0")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("sampler", "message"),
    [("eular", "sampler 'eular' is unknown"), ("ddim", "ddim applies to the objective ddpm"),
     ("heun,sigma_min=3,sigma_max=2", "sigma_min 3 must be"),
     ("heun,steps=10/18/10", "sampler steps=10/18/10 gives a value twice"),
     ("heun/heun", "sampler heun/heun gives a value twice"),
     ("heun,steps=2/", "sampler steps=2/ lacks a value")],
)  # fmt: skip
def test_samplers_that_do_not_fit_are_refused(denoiser, store, tmp_path, sampler, message):
    with pytest.raises(InputError, match=message):
        predict(denoiser, store, tmp_path / "a.nc", coarsen=4, sampler=sampler)
    assert not list(tmp_path.iterdir())


def test_means_of_an_unknown_kind_are_refused(run, store):
    with pytest.raises(InputError, match="--consistency sum must be one of mean"):
        PredictedSource(run, CoarsenedSource(open_store(store), 4), consistency="sum")


def test_a_run_without_a_shared_channel_has_no_means_to_keep(run):
    supported = dataclasses.replace(TrainedGenerator(run).supported, channels=("rain",))
    with pytest.raises(InputError, match="rain from divergence, vorticity"):
        supported.check_consistency("mean")


def test_corners_of_blocks_are_no_means(run):
    supported = dataclasses.replace(TrainedGenerator(run).supported, alignment="corner")
    with pytest.raises(InputError, match="--alignment corner: leave it out"):
        supported.check_consistency("mean")


def test_a_sampler_of_a_generator_is_refused(run, store, tmp_path):
    with pytest.raises(InputError, match="sampler applies to runs of the objectives"):
        predict(run, store, tmp_path / "a.nc", coarsen=4, sampler="heun")
