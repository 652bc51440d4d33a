"""Residuals to a trained run: folds by time, each sample's own network, whole fields, mistakes."""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf

from phire.downscaling import PredictedSource, train_generator
from phire.downscaling.cross_validation import train_with_folds
from phire.downscaling.denoising import DenoisedFields
from phire.downscaling.residual_base import ResidualBase, check_run
from phire.errors import InputError
from phire.fields import CoarsenedSource, open_store
from phire.records import open_records
from phire.records.folds import FoldedRecords, fold_edges
from phire.training import open_run

TINY = {"epochs": (1,), "learning_rates": (1e-3,), "batch_size": 16}


@pytest.fixture(scope="module")
def mean_run(records, tmp_path_factory):
    """A deterministic run with two folds."""
    path = tmp_path_factory.mktemp("mean") / "run"
    train_with_folds(
        records,
        path,
        folds=2,
        network="srgan-small,filters=4,blocks=1",
        objective="content",
        **TINY,
    )
    return path


@pytest.fixture(scope="module")
def residual_run(records, mean_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("residual") / "run"
    train_generator(
        records, path, network="unet,widths=[4,8],blocks=1,groups=2",
        objective=f"edm,residual={mean_run}", **TINY,
    )  # fmt: skip
    return path


def test_folds_are_stretches_of_time_that_a_training_leaves_out(records):
    opened = open_records(records)
    edges = fold_edges(opened, 3)
    whole = FoldedRecords(opened, edges)
    folds = np.concatenate([batch["fold"].numpy() for batch in whole.dataset(16)])
    assert whole.count == opened.count == len(folds) == 96
    np.testing.assert_array_equal(np.bincount(folds), [32, 32, 32])
    for left_out in range(3):
        part = FoldedRecords(opened, edges, left_out)
        assert part.count == 64
        batches = list(part.dataset(16, seed=1))
        assert len(batches) == part.steps(16) == 4
        assert left_out not in np.concatenate([batch["fold"] for batch in batches])
    elsewhere = FoldedRecords(opened, [0, 1, 2])  # all samples are later
    assert (next(iter(elsewhere.dataset(16)))["fold"].numpy() == 2).all()


def test_folds_that_leave_less_than_a_batch_are_refused_before_training(records, tmp_path):
    with pytest.raises(InputError, match=r"batch.size 50 .*48 records"):
        train_with_folds(records, tmp_path / "run", folds=2, **{**TINY, "batch_size": 50})
    assert not (tmp_path / "run").exists()


def test_every_sample_goes_to_the_network_that_has_not_seen_it(records, mean_run):
    base = ResidualBase.open(mean_run, open_records(records).schema)
    batch = next(iter(base.with_folds(open_records(records)).dataset(16, seed=0)))
    folds = batch["fold"].numpy()
    assert {*folds} == {0, 1} and len(base.folds) == 2
    found = base(batch).numpy()
    for k in (0, 1):
        alone = base.folds[k]({"low": batch["low"]}, training=False).numpy()
        np.testing.assert_allclose(found[folds == k], alone[folds == k], atol=1e-6)
    other = base({**batch, "fold": tf.fill([16], 2)}).numpy()
    np.testing.assert_allclose(other, base.network({"low": batch["low"]}), atol=1e-6)
    assert np.abs(other - found).max() > 1e-4
    first = open_run(mean_run / "folds" / "0").config["fold"]
    assert (first["number"], first["of"], len(first["edges"])) == (0, 2, 3)


def test_whole_fields_are_residuals_to_the_fields_of_the_run(
    residual_run, mean_run, store, monkeypatch
):
    source = CoarsenedSource(open_store(store), 4)
    bases = []
    sample = DenoisedFields.sample

    def spied(self, *arguments, **options):
        bases.append(options["base"])
        return sample(self, *arguments, **options)

    monkeypatch.setattr(DenoisedFields, "sample", spied)
    predicted = PredictedSource(residual_run, source)
    fine = predicted.read([3])
    assert np.isfinite(fine).all()
    expected = PredictedSource(mean_run, source).read([3])
    found = predicted.generator.normalization.invert(bases[0])
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    config = open_run(residual_run).config
    assert config["objective"]["residual"] == str(mean_run)
    assert len(config["objective"]["sigma_data"]) == 2


def test_a_run_of_other_channels_is_refused(records, mean_run):
    schema = open_records(records).schema
    arrays = dict(schema.arrays)
    arrays["high"] = dataclasses.replace(arrays["high"], channels=("rain", "wind"))
    other = types.SimpleNamespace(channels=("rain", "wind"), arrays=arrays)
    with pytest.raises(InputError, match="predicts divergence, vorticity, but the records' targ"):
        check_run(mean_run, open_run(mean_run).config, other)


def test_another_scale_is_refused(records, mean_run):
    schema = dataclasses.replace(open_records(records).schema, scale=2)
    with pytest.raises(InputError, match="trained with the scale 4, but the records have 2"):
        check_run(mean_run, open_run(mean_run).config, schema)


def test_a_denoiser_is_no_mean(records, residual_run):
    with pytest.raises(InputError, match="trained by edm, which does not predict a single field"):
        ResidualBase.open(residual_run, open_records(records).schema)


def test_residual_and_field_exclude_each_other(records, mean_run, tmp_path):
    with pytest.raises(InputError, match="exclude each other"):
        train_generator(
            records, tmp_path / "run", network="unet,widths=[4],blocks=1,groups=2",
            objective=f"edm,residual={mean_run},target=field", **TINY,
        )  # fmt: skip


@pytest.mark.parametrize(("folds", "message"), [(1, "folds 1 must be"), (25, "too few times")])
def test_impossible_folds_are_refused_before_any_training(records, tmp_path, folds, message):
    with pytest.raises(InputError, match=message):
        train_with_folds(records, tmp_path / "run", folds=folds, **TINY)
    assert not list(tmp_path.iterdir())
