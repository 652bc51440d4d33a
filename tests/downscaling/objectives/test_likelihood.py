"""Likelihood from records to predicted files: mean, median, members."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import xarray as xr

from complete_samples import batch, schema, windowed
from phire.downscaling import PredictedSource, predict, train_generator
from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.errors import InputError
from phire.fields import CoarsenedSource, open_store
from phire.networks import network as networks

NETWORK = "srgan,filters=4,blocks=1,kernel=3"


def built(distribution, network=NETWORK, **options):
    keras.utils.set_random_seed(2)
    task = Task(schema(), *networks.resolve(network), **options)
    made = objectives.build({"name": "likelihood", "distribution": distribution}, task)
    made.begin("phase 1")
    made.step_seed = tf.constant([5, 6])
    return made


@pytest.mark.parametrize("distribution", ["gaussian", "bernoulli-gamma", "quantiles"])
def test_no_invalid_value_enters_a_likelihood(distribution):
    found = []
    for poison in (0.0, 1e30, np.nan):
        made = built(distribution)
        scalars = {**made.validation_step(batch(poison)), **made.whole_step(batch(poison))}
        assert made.panels(batch(poison), {})
        found.append({name: float(value) for name, value in scalars.items()})
        weights = [np.array(weight) for weight in made.generator.weights]
    assert found[0] == found[1] == found[2]
    assert np.isfinite(list(found[0].values())).all()
    assert all(np.isfinite(weight).all() for weight in weights)


def test_the_likelihood_falls():
    made = built("gaussian")
    made.optimizers["generator"].learning_rate = 1e-2
    losses = [float(made.whole_step(batch())["loss"]) for _ in range(30)]
    assert losses[-1] < losses[0] - 0.3


@pytest.fixture(scope="module")
def trained(records):
    return train_generator(
        records, records.with_name("likely"), validation=records, network=NETWORK, batch_size=32,
        objective="likelihood", epochs=(1,), learning_rates=(3e-3,),
    )  # fmt: skip


def test_mean_median_and_members_are_those_of_the_outputs(trained, store):
    assert {"loss", "val_loss", "val_mse", "val_log_spectral_error"} <= {*trained.history}
    coarse = CoarsenedSource(open_store(store), 4)
    mean = PredictedSource(trained.path, coarse).read([3])
    np.testing.assert_array_equal(
        mean, PredictedSource(trained.path, coarse, statistic="median").read([3])
    )  # of a Gaussian under z
    members = PredictedSource(trained.path, coarse, members=40, seed=5).read_members([3])[0]
    tiled = PredictedSource(trained.path, coarse, members=40, seed=5, tile=4).read_members([3])[0]
    np.testing.assert_allclose(tiled, members, atol=1e-4 * members.std())
    spread = members.std(0)
    assert (spread > 0).all()
    score = (members.mean(0) - mean[0]) / (spread / np.sqrt(40))
    assert 0.9 < score.std() < 1.15
    others = PredictedSource(trained.path, coarse, members=1, seed=6).read([3])
    assert np.abs(others[0] - members[0]).max() > 0.1 * spread.mean()


def test_files_say_which_statistic_they_hold(trained, store, tmp_path):
    predict(trained.path, store, tmp_path / "a.nc", coarsen=4, time="2000-01-01,2000-01-01T06",
            statistic="median")  # fmt: skip
    with xr.open_dataset(tmp_path / "a.nc") as dataset:
        assert dataset.attrs["statistic"] == "median of the predicted distribution"
        assert "member" not in dataset.dims
    predict(trained.path, store, tmp_path / "b.nc", coarsen=4, time="2000-01-01,2000-01-01T06",
            members=3)  # fmt: skip
    with xr.open_dataset(tmp_path / "b.nc") as dataset:
        assert dataset.sizes["member"] == 3 and "statistic" not in dataset.attrs


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"statistic": "mode"}, "--statistic mode must be one of mean, median"),
        ({"statistic": "mean", "members": 3}, "--statistic mean and --members 3 exclude"),
        ({"seed": 3}, "--seed has no effect on the mean"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(trained, store, given, said):
    with pytest.raises(InputError, match=said):
        PredictedSource(trained.path, CoarsenedSource(open_store(store), 4), **given)


def test_a_statistic_of_a_run_of_fields_is_refused(run, store):
    with pytest.raises(InputError, match="--statistic mean applies to runs of the objective"):
        PredictedSource(run, CoarsenedSource(open_store(store), 4), statistic="mean")


@pytest.mark.parametrize(
    ("distribution", "options", "said"),
    [
        ("gaussian", {"conserve": True}, "--conserve applies to networks that predict fields"),
        ("gaussian", {"network": "resnet,output_activation=relu"}, "outputs of any sign"),
        ("mse", {}, "distribution 'mse' is unknown"),
    ],
)
def test_what_does_not_fit_is_refused(distribution, options, said):
    with pytest.raises(InputError, match=said):
        built(distribution, **options)


def test_likelihoods_and_contents_are_apart():
    task = Task(schema(), *networks.resolve(NETWORK))
    with pytest.raises(InputError, match="gaussian is a distribution: choose the objective"):
        objectives.build("content,content=gaussian", task)
    with pytest.raises(InputError, match="objective likelihood has no option 'content'"):
        objectives.build("likelihood,content=mae", task)


def test_windows_have_distributions_too():
    described, samples = windowed()
    task = Task(described, *networks.resolve("resnet,filters=2,blocks=1"))
    made = objectives.build("likelihood,distribution=bernoulli-gamma", task)
    assert np.isfinite(float(made.whole_step(samples)["loss"]))
