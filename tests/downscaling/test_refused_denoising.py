"""Mistakes with denoisers by commands: one sentence, status 2, nothing written; and ema=null."""

from __future__ import annotations

import pytest

from phire.downscaling import train_generator
from phire.records import write_downscaling_records
from phire.training import open_run
from test_bad_input import refused

NETWORK = "unet,widths=[4,4,4,4],blocks=1,groups=2"
TINY = {"epochs": (1,), "learning_rates": (1e-3,), "batch_size": 48}
VQVAE = "vqvae,widths=[2,2],groups=1,encoder_attention=[],decoder_attention=[]"


@pytest.fixture(scope="module")
def denoiser(records, tmp_path_factory):
    path = tmp_path_factory.mktemp("denoiser") / "run"
    train_generator(records, path, network=NETWORK, objective="edm,ema=null", **TINY)
    return path


@pytest.fixture(scope="module")
def others(store, tmp_path_factory):
    """Records of one channel, in patches of another size."""
    path = tmp_path_factory.mktemp("others") / "records"
    write_downscaling_records(
        store, path, patch=(8, 8), scale=4, patches_per_field=2, shards=1, normalization="z",
        targets=["vorticity"],
    )  # fmt: skip
    return path


def test_without_an_average_the_run_is_of_the_last_weights(denoiser):
    """An EMA's variables would be in the checkpoint, and its decay in the configuration."""
    import tensorflow as tf

    run = open_run(denoiser)
    assert run.config["ema"] is None and run.config["objective"]["ema"] is None
    last = max(run.checkpoints.glob("step-*/variables.index")).with_suffix("")
    names = [name for name, _ in tf.train.list_variables(str(last))]
    assert names and not any(name.startswith("average/") for name in names)


TRAININGS = {
    "residual of other channels": (
        "edm,residual={run}", "predicts divergence, vorticity, but the records' targets are vort"),
    "width": ("edm,p_std=0", "objective edm: p_std=0 must be positive"),
    "prediction": ("ddpm,prediction=eps", "objective ddpm: prediction=eps must be one of epsilon"),
    "range": (
        "edm,sigma_min=3,sigma_max=2",
        "objective edm: sigma_min 3 must be above 0 and below sigma_max 2"),
    "network": ("edm,latent={run}", "was trained by srgan: name a run of the objective vqvae"),
}  # fmt: skip
EMBEDDINGS = {
    "class": f"{NETWORK},time_embedding=class", "cyclical": f"{NETWORK},time_embedding=cyclical",
}  # fmt: skip


def training(records, out, network, objective):
    return ("phire-train", records, "--out", out, "--network", network, "--objective", objective,
            "--epochs", "1", "--learning-rates", "1e-3", "--batch-size", "16")  # fmt: skip


@pytest.mark.parametrize("name", TRAININGS)
def test_trainings_are_refused(name, others, run, tmp_path):
    objective, said = TRAININGS[name]
    command = training(others, tmp_path / "run", NETWORK, objective.format(run=run))
    assert said in refused(*command)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embeddings_without_the_covariate_are_refused(name, others, tmp_path):
    said = refused(*training(others, tmp_path / "run", EMBEDDINGS[name], "edm"))
    assert f"time_embedding '{name}' needs time covariates, but the records have none" in said
    assert not list(tmp_path.iterdir())


def test_a_latent_space_of_other_patches_and_channels_is_refused(
    records, others, store, tmp_path_factory, tmp_path
):
    codes = tmp_path_factory.mktemp("codes") / "run"
    train_generator(records, codes, network=VQVAE, objective="vqvae", **TINY)
    same = tmp_path_factory.mktemp("same") / "records"
    write_downscaling_records(
        store, same, patch=(8, 8), scale=4, patches_per_field=2, shards=1, normalization="z"
    )
    for other, said in {
        others: "encodes divergence, vorticity, but the records' targets are vorticity",
        same: "was trained on patches of 16 × 16 points, but the records hold 8 × 8",
    }.items():
        command = training(other, tmp_path / "run", NETWORK, f"edm,latent={codes}")
        assert said in refused(*command)
    assert not list(tmp_path.iterdir())


PREDICTIONS = {
    "ddim": (["--sampler", "ddim"], "sampler ddim applies to the objective ddpm"),
    "range": (
        ["--sampler", "heun,sigma_min=3,sigma_max=2"],
        "sampler heun: sigma_min 3 must be above 0",
    ),
    "tile": (["--tile", "1"], "--tile 1 is 4 fine points, but one point"),
    "members": (["--members", "0"], "--members 0 must be"),
    "memory": (["--noise-memory", "0h"], "'0h' is not a duration"),
}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_predictions_are_refused(name, denoiser, store, tmp_path):
    given, said = PREDICTIONS[name]
    command = ("phire predict", denoiser, store, tmp_path / "a.nc", "--coarsen", "4", *given)
    assert said in refused(*command)
    assert not list(tmp_path.iterdir())
