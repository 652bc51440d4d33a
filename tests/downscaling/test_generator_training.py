"""Training generators: phases, contents, what is shared and what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.downscaling import PredictedSource, train_generator
from phire.downscaling.contents.weighted_sum import parse_content
from phire.downscaling.spectrum_score import batch_spectral_error
from phire.errors import InputError
from phire.fields import ArraySource, CoarsenedSource, open_store
from phire.fields.coarsening import block_mean
from phire.records import write_downscaling_records
from phire.records.schema import SampleSchema
from phire.training import open_run, take_over_optimizer


def test_a_run_has_its_phases_and_networks(run):
    opened = open_run(run)
    assert list(opened.history["phase"]) == ["pretraining", "phase 1"]
    adversarial = opened.history.iloc[1]
    assert adversarial["true_positive"] + adversarial["false_negative"] == pytest.approx(1)
    assert adversarial["false_positive"] + adversarial["true_negative"] == pytest.approx(1)
    expected = adversarial["content"] + 1e-3 * adversarial["adversarial"]
    assert adversarial["loss"] == pytest.approx(expected, rel=1e-4)
    assert opened.config["schema"]["scale"] == 4
    assert {path.stem for path in (run / "networks").glob("*.keras")} == {
        "generator",
        "discriminator",
    }


def test_validation_average_and_selection(records, options, tmp_path):
    run = train_generator(
        records, tmp_path / "run", validation=records, ema=0.9, select="spectrum",
        **{**options, "epochs": (2,)},
    )  # fmt: skip
    scores = run.history["val_log_spectral_error"]
    assert np.isfinite(scores).all()
    assert run.best_epoch == 2 + int(scores[1:].argmin())
    without = train_generator(
        records, tmp_path / "without", validation=records, **{**options, "epochs": (2,)}
    )
    weights = [one.network("generator").get_weights() for one in (run, without)]
    assert 0 < max(np.abs(a - b).max() for a, b in zip(*weights)) < 0.1
    assert scores[1] != without.history["val_log_spectral_error"][1]


def test_a_shared_pretraining_gives_the_same_start(records, options, tmp_path):
    first = train_generator(
        records, tmp_path / "first", **{**options, "epochs": (), "learning_rates": ()}
    )
    second = train_generator(
        records,
        tmp_path / "second",
        pretrained=first.path,
        **{**options, "objective": "srgan,content=mae"},
    )
    assert list(second.history["phase"]) == ["phase 1"]
    start = first.network("generator").get_weights()
    after = second.network("generator").get_weights()
    # One epoch of six steps at 1e-4 moves Adam's weights by 1e-4 a step, twice where balanced.
    assert max(np.abs(a - b).max() for a, b in zip(start, after)) < 2e-3


def test_a_shared_pretraining_hands_on_adams_state(records, options, tmp_path, capsys):
    first = train_generator(
        records, tmp_path / "first", **{**options, "epochs": (), "learning_rates": ()}
    )
    alone = {**options, "objective": "content"}
    second = train_generator(records, tmp_path / "second", pretrained=first.path, **alone)
    steps = [run.history["step"].iloc[-1] for run in (first, second)]
    optimizer = keras.optimizers.Adam()
    optimizer.build(second.network("generator").trainable_variables)
    assert take_over_optimizer(optimizer, second.checkpoints, "generator")
    assert int(optimizer.iterations) == sum(steps)
    assert "moments" not in capsys.readouterr().err

    shutil.rmtree(first.checkpoints)
    third = train_generator(records, tmp_path / "third", pretrained=first.path, **alone)
    assert "its moments start from 0" in capsys.readouterr().err
    assert take_over_optimizer(optimizer, third.checkpoints, "generator")
    assert int(optimizer.iterations) == third.history["step"].iloc[-1]


def test_whole_fields_may_be_periodic_and_conserved(store, tmp_path):
    records = tmp_path / "whole"
    write_downscaling_records(
        store, records, whole_fields=True, scale=4, shards=1, normalization="log1p"
    )
    run = train_generator(
        records, tmp_path / "run", conserve=True, epochs=(1,), learning_rates=(1e-4,), batch_size=8,
        network="srgan-small,filters=4,blocks=1,periodic,upsampling=resize",
        objective="srgan,pretrain_epochs=1",
    )  # fmt: skip
    assert np.isfinite(run.history["loss"]).all()
    truth = open_store(store)
    coarse = CoarsenedSource(truth, 4)
    fine = PredictedSource(run.path, coarse).read([2, 7])
    size = 1e-7 * np.abs(fine).max()  # what float32 holds of it
    np.testing.assert_allclose(block_mean(fine, truth.grid, 4), coarse.read([2, 7]), atol=size)
    tiled = PredictedSource(run.path, coarse, tile=3).read([2])
    np.testing.assert_allclose(block_mean(tiled, truth.grid, 4), coarse.read([2]), atol=size)
    rolled = ArraySource(
        np.roll(coarse.read([2]), 3, axis=2),
        channels=truth.channels, units=truth.units, grid=coarse.grid,
    )  # fmt: skip
    np.testing.assert_allclose(
        PredictedSource(run.path, rolled).read([0]), np.roll(fine[:1], 12, axis=2),
        atol=1e-4 * fine.std(),
    )  # fmt: skip


def test_without_an_adversary_there_is_no_discriminator(records, options, tmp_path):
    run = train_generator(records, tmp_path / "run", **{**options, "objective": "content"})
    assert "discriminator" not in run.history
    assert not (run.path / "networks" / "discriminator.keras").exists()


@pytest.mark.skipif(
    not os.environ.get("PHIRE_REALDATA"),
    reason="PHIRE_REALDATA does not name the folder of real files",
)
def test_phires_own_records_are_trained_on_as_they_are(tmp_path):
    records = Path(os.environ["PHIRE_REALDATA"]) / "phire_wind_LR.tfrecord"
    run = train_generator(
        records, tmp_path / "run", network="srgan-small,filters=4,blocks=1,factors=[2,5]",
        objective="srgan,pretrain_epochs=12,pretrain_rate=3e-3",
        epochs=(1,), learning_rates=(1e-4,), batch_size=5,
    )  # fmt: skip
    history = run.history
    assert history["loss"][11] < 0.9 * history["loss"][0]
    schema = SampleSchema.from_dict(run.config["schema"])
    assert schema.scale == 10
    # Wind in m/s, normalised by the reader.
    assert schema.normalization.kind == "z"
    assert run.network("generator").output_shape == (None, None, None, 2)


def test_contents_are_parsed():
    assert parse_content("mse") == [(1.0, "mse")]
    assert parse_content("0.9*runs/metric + 1e-1*mae") == [(0.9, "runs/metric"), (0.1, "mae")]
    with pytest.raises(InputError, match="positive"):
        parse_content("-1*mse")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"learning_rates": (1e-4, 1e-5)}, "learning_rates has 2 rates for the 1 phases"),
        ({"network_options": {"factors": (2, 3)}}, "whose product is the scale 4"),
        ({"network": "esrgan"}, "network 'esrgan' is unknown"),
        ({"batch_size": 1000}, "batch_size 1000 is larger"),
        ({"select": "spectrum"}, "needs validation"),
        ({"objective": "content,content=nowhere"}, "nowhere"),
        ({"ema": 1.5}, "between 0 and 1"),
        ({"network_options": {"periodic": True}}, "patches that span all longitudes"),
        ({"objective": "content,layers=[stage1]"}, "layers=stage1 needs a metric in content"),
        ({"objective": "srgan,weight=0"}, "weight=0 must be positive"),
        ({"objective": "content,weight=1"}, "objective content has no option 'weight'"),
        ({"objective": "srgan,discriminator=wgan"}, "discriminator 'wgan' is unknown"),
        ({"network_options": {"dropout": 0.1, "dropout_kind": "x"}}, "dropout_kind 'x' is unknown"),
        ({"schedule": "cosine,warmup=9999"}, "a warm-up of 9999 steps does not fit"),
        ({"select": "distance", "validation": True}, "select distance needs a metric"),
    ],
)
def test_options_that_do_not_fit_are_refused(records, options, tmp_path, changed, said):
    with pytest.raises(InputError, match=said):
        changed = {k: records if v is True else v for k, v in changed.items()}
        train_generator(records, tmp_path / "run", **{**options, **changed})
    assert not (tmp_path / "run").exists()


def test_a_pretrained_generator_of_another_size_is_refused(records, options, run, tmp_path):
    with pytest.raises(InputError, match="another architecture"):
        train_generator(records, tmp_path / "run", pretrained=run,
                        **{**options, "network": "srgan-small,filters=6,blocks=1"})  # fmt: skip


def test_the_log_spectral_error_of_a_known_ratio():
    random = np.random.default_rng(0)
    truth = random.normal(size=(64, 16, 16, 2)).astype("f4")
    assert float(batch_spectral_error(truth, truth, 4)) == 0
    # Half the amplitude is a quarter of the variance at every wavenumber.
    assert float(batch_spectral_error(truth, truth / 2, 4)) == pytest.approx(np.log(4), rel=1e-4)
    # What lies below the coarse grid's cutoff does not count.
    mean = tf.reduce_mean(truth, [1, 2], keepdims=True)
    assert float(batch_spectral_error(truth, truth + 5 * mean, 4)) == pytest.approx(0, abs=1e-4)
