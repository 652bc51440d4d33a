"""Mistakes in training and prediction by commands: one sentence, status 2, nothing written."""

from __future__ import annotations

import pytest

from phire.records import write_downscaling_records
from test_bad_input import refused


@pytest.fixture(scope="module")
def windows(store):
    path = store.with_name("refused-windows")
    write_downscaling_records(
        store, path, patch=(8, 8), scale=2, patches_per_field=1, shards=1, window=2,
        normalization="z", time="2000-01-01,2000-01-02",
    )  # fmt: skip
    return path


SMALL = ("--network", "resnet,filters=2,blocks=1", "--epochs", "1", "--learning-rates", "1e-4",
         "--batch-size", "4")  # fmt: skip
TRAININGS = [
    (["--network", "srgan"], "the records have a window of 2 steps"),
    (["--network", "unet-dl4ds"], "unet-dl4ds reads single fields"),
    (["--network", "resnet,dropout=0.1,dropout_kind=alpha"], "dropout_kind 'alpha' is unknown"),
    (["--network", "resnet,upsampling=bicubic"], "upsampling 'bicubic' is unknown"),
    (["--objective", "srgan"], "srgan's discriminator reads single fields"),
    (["--objective", "content,content=bernoulli-gamma"], "choose the objective likelihood"),
    (["--objective", "likelihood,content=mae"], "objective likelihood has no option 'content'"),
    (["--objective", "likelihood,distribution=poisson"], "distribution 'poisson' is unknown"),
    (["--objective", "likelihood", "--conserve"], "--conserve applies to networks that predict"),
    (["--objective", "content,content=msdssim"], "needs patches of 81 points a side"),
    (["--objective", "content,content=0.8*dsim"], "neither a metric directory nor one of"),
    (["--objective", "content,content=huber(delta=-1)"], "delta=-1 must be positive"),
    (["--objective", "content", "--trainable", "dense"], "--trainable dense matches no layer"),
    (["--objective", "content", "--initialize-from", "nowhere"], "nowhere does not exist"),
    (["--objective", "content", "--patience", "0"], "--patience 0 must be at least 1"),
    (["--objective", "content", "--min-delta", "0.1"], "--min-delta has no effect"),
    (["--objective", "content", "--schedule", "step"], "schedule step needs the option after"),
]


@pytest.mark.parametrize(
    ("given", "said"), TRAININGS, ids=lambda x: x[-1] if isinstance(x, list) else ""
)
def test_trainings_are_refused(windows, tmp_path, given, said):
    out = tmp_path / "run"
    assert said in refused("phire-train", windows, "--out", out, *SMALL, *given)
    assert not list(tmp_path.iterdir())


def test_a_discriminator_without_the_coarse_field_is_refused(records, tmp_path):
    given = ("--out", tmp_path / "run", *SMALL, "--objective", "cgan,discriminator=srgan")
    said = "a discriminator that reads the coarse field, but srgan does not"
    assert said in refused("phire-train", records, *given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--statistic", "mean"], "--statistic mean applies to runs of the objective"),
        (["--members", "3"], "--members 3 needs a stochastic generator"),
        (["--seed", "3"], "--seed applies to stochastic generators"),
    ],
    ids=lambda x: x if isinstance(x, str) else x[0],
)
def test_predictions_are_refused(run, store, tmp_path, given, said):
    output = tmp_path / "fine.nc"
    assert said in refused("phire predict", run, store, output, "--coarsen", "4", *given)
    assert not list(tmp_path.iterdir())


def test_a_statistic_of_an_interpolation_is_refused(store, tmp_path):
    given = ("bilinear", store, tmp_path / "fine.nc", "--coarsen", "4", "--statistic", "mean")
    assert "--statistic applies to generators" in refused("phire predict", *given)
    assert not list(tmp_path.iterdir())
