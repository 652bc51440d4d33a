"""A training that is interrupted and resumed ends with the same weights, for every objective."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from phire.downscaling import generator_training, train_generator
from phire.downscaling.generator_training import objectives
from phire.errors import WorkError
from phire.records import write_downscaling_records
from phire.training import phase_runner

UNET = "unet,widths=[4],blocks=1,groups=2,context=true"
RESNET = "resnet,filters=2,blocks=1"
AUTOENCODER = (
    "vqvae,widths=[4,8],groups=2,encoder_attention=[],decoder_attention=[],latent_channels=3,"
    "codes=16,code_width=3"
)
CASES = {
    "content": RESNET,
    "srgan,discriminator=srgan-small,pretrain_epochs=1,pretrain_rate=1e-3": RESNET,
    "cgan,discriminator={name: residual, filters: 4, blocks: 1}": RESNET,
    "wgan,critic=srgan-small": RESNET,
    "likelihood": RESNET,
    "energy,pools=[1,2],patch=4": f"{UNET},noise=1",
    "edm,condition_dropout=0.2": UNET,
    "vp": UNET,
    "ddpm,prediction=v": UNET,
    "flow": UNET,
    "vqvae": AUTOENCODER,
}
OPTIONS = {"epochs": (1,), "learning_rates": (1e-3,), "batch_size": 6, "deterministic": True,
           "checkpoint_minutes": 0.0}  # fmt: skip


@pytest.fixture(scope="module")
def few(store, tmp_path_factory):
    """24 samples, four steps of training."""
    path = tmp_path_factory.mktemp("few") / "records"
    write_downscaling_records(
        store, path, patch=(16, 16), scale=4, patches_per_field=1, shards=1, normalization="z",
        context=(2, 4),
    )  # fmt: skip
    return path


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Runs step functions eagerly, because compiling them takes longer than the steps."""
    monkeypatch.setattr(phase_runner, "CHUNK_SECONDS", 0.0)  # a step at a time
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_every_objective_is_resumed():
    assert {case.partition(",")[0] for case in CASES} == {*objectives.parts()}


@pytest.mark.slow
@pytest.mark.parametrize("objective", CASES)
def test_a_resumed_training_ends_with_the_same_weights(objective, few, tmp_path, monkeypatch):
    given = {"network": CASES[objective], "objective": objective, **OPTIONS}
    whole = train_generator(few, tmp_path / "whole", **given)
    phases = 2 if "pretrain" in objective else 1
    drawn = generator_training.batches

    def cut(records, batch_size, seed, offset, epoch, skip, shard):
        found = drawn(records, batch_size, seed, offset, epoch, skip, shard)
        return found.take(2) if offset == phases - 1 else found

    with monkeypatch.context() as patched, pytest.raises(WorkError, match="the records ended"):
        patched.setattr(generator_training, "batches", cut)
        train_generator(few, tmp_path / "parts", **given)
    parts = train_generator(few, tmp_path / "parts", **given)
    np.testing.assert_array_equal(whole.history["step"], parts.history["step"])
    pairs = zip(*(run.network("generator").get_weights() for run in (whole, parts)), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)
