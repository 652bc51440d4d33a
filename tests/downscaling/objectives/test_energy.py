"""Energy scores against scoringrules and closed forms, masks, a training by them."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import scoringrules
import tensorflow as tf

from complete_samples import batch, schema, windowed
from phire.downscaling.energy_score import (
    absolute,
    fair_energy_score,
    first_differences,
    patch_distance,
    pooled,
)
from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.networks import network as networks
from phire.rplearn import LearnedMetric
from phire.training.step_graphs import Stepper

NETWORK = "unet,widths=[4,8],blocks=1,groups=2,noise=2"


def built(specification="energy,pools=[1,2]", network=NETWORK):
    keras.utils.set_random_seed(2)
    made = objectives.build(specification, Task(schema(), *networks.resolve(network)))
    made.begin("phase 1")
    made.step_seed = tf.constant([5, 6])
    return made


def fields(count, size=8):
    return np.random.default_rng(0).normal(size=(count, 2, size, size, 1)).astype("f4")


def test_the_pointwise_score_is_the_fair_crps():
    truth, *members = fields(6)
    found = fair_energy_score(absolute, truth, members)
    expected = scoringrules.crps_ensemble(truth, np.stack(members, -1), estimator="fair")
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("members", [2, 5])
def test_its_expectation_is_the_closed_form_for_any_number_of_members(members):
    """CRPS of N(0, 1) at truths of N(0, 1) is 1/√π on average."""
    truth, *ensemble = np.random.default_rng(1).normal(size=(members + 1, 400_000))
    found = float(tf.reduce_mean(fair_energy_score(absolute, truth, ensemble)))
    assert found == pytest.approx(1 / math.sqrt(math.pi), rel=0.01)


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5])
def test_the_patch_score_is_the_energy_score_of_vectors(beta):
    truth, *members = fields(5)
    found = fair_energy_score(patch_distance(4, beta), truth, members)
    assert found.shape == (2, 2, 2, 1)
    vectors = np.stack([truth, *members])[:, 1, 4:, :4, 0].reshape(5, 16)
    norms = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    norms = (norms / 4) ** beta  # root mean square of 16 values
    expected = norms[0, 1:].mean() - norms[1:, 1:].sum() / 2 / (4 * 3)
    assert float(found[1, 1, 0, 0]) == pytest.approx(expected, rel=1e-4)
    if beta == 1:
        whole = fair_energy_score(patch_distance(8, 1.0), truth, members)[0, 0, 0, 0]
        forecast = np.stack([x[0].ravel() for x in members])
        rules = scoringrules.es_ensemble(truth[0].ravel(), forecast, estimator="fair")
        assert float(whole) == pytest.approx(float(rules) / 8, rel=1e-4)


def test_pools_and_differences_are_valid_where_all_of_theirs_is():
    values = tf.reshape(tf.range(16.0), (1, 4, 4, 1))
    valid = np.ones((1, 4, 4, 1), "f4")
    valid[0, 0, 1] = 0
    means, whole = pooled(values, tf.constant(valid), 2)
    np.testing.assert_array_equal(means[0, ..., 0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(whole[0, ..., 0], [[0, 1], [1, 1]])
    (rows, of_rows), (columns, of_columns) = first_differences(values, tf.constant(valid))
    assert set(np.ravel(rows)) == {4} and set(np.ravel(columns)) == {1}
    assert (of_rows.numpy() == 0).sum() == 1 and (of_columns.numpy() == 0).sum() == 2


def test_members_of_a_sample_differ_and_belong_to_it():
    made, arrays = built(), batch()
    made.generator.get_layer("fine")  # built
    for weight in made.generator.trainable_weights:
        weight.assign(0.3 * keras.random.normal(weight.shape, seed=3))
    members = made.generate_members(arrays, training=False)
    assert len(members) == 2 and members[0].shape == (4, 8, 8, 1)
    assert np.abs(members[0] - members[1]).max() > 1e-3
    swapped = {name: value[::-1] for name, value in arrays.items()}
    other = np.asarray(made.generate_members(swapped, training=False))
    assert np.abs(np.mean(other, 0)[::-1] - np.mean(members, 0)).mean() < np.std(members)


def test_fields_of_windows_are_scored_one_by_one():
    described, samples = windowed()
    network = "resnet,filters=2,blocks=1,dropout=0.3,dropout_kind=mcdrop"
    task = Task(described, *networks.resolve(network))
    made = objectives.build("energy,pools=[1,2],patches=1,patch=4", task)
    made.step_seed = tf.constant([5, 6])
    assert np.isfinite([float(x) for x in made.whole_step(samples).values()]).all()
    assert np.isfinite([float(x) for x in made.validation_step(samples).values()]).all()
    truth, *members = (tf.constant(x) for x in fields(3))
    single = made.score(truth, members, None)
    window = made.score(truth[:, None], [x[:, None] for x in members], None)
    assert float(window["loss"]) == pytest.approx(float(single["loss"]), rel=1e-6)


SPECIFICATIONS = [
    "energy,pools=[1,2]", "energy,crps=0,differences=0,patches=1,patch=4,pools=1,members=3",
]  # fmt: skip


@pytest.mark.parametrize("specification", SPECIFICATIONS)
def test_no_invalid_value_enters_a_score(specification):
    found = []
    for poison in (0.0, 1e30, np.nan):
        made = built(specification)
        scalars = {**made.validation_step(batch(poison)), **made.whole_step(batch(poison))}
        found.append({name: float(value) for name, value in scalars.items()})
    assert found[0] == found[1] == found[2]
    assert np.isfinite(list(found[0].values())).all()


def test_it_learns_the_spread_of_noise():
    """Truths of N(0, 1) that the inputs say nothing about: variance grows towards 1."""
    made = built("energy,pools=1,differences=0", "unet,widths=[8],blocks=1,groups=2,noise=1")
    made.optimizers["generator"].learning_rate.assign(0.02)
    stepper = Stepper(made, tf.distribute.OneDeviceStrategy("/cpu:0"), False, seed=3)

    def batches(shard):
        arrays = {name: value for name, value in batch().items() if name != "valid"}
        one = tf.data.Dataset.range(100).map(
            lambda i: {
                **{name: 0 * value for name, value in arrays.items()},
                "high": tf.random.stateless_normal((4, 8, 8, 1), [7, i]),
            }
        )
        return one

    stepper.train(stepper.iterator(batches), 0, 100)
    scores = stepper.validate(lambda shard: batches(shard).take(4))[0]
    assert 0.5 < scores["variance"] < 1.6
    assert scores["crps"] < 0.65


def test_the_learned_metric_is_a_kernel(tmp_path):
    """Features that are the field itself: the score is that of whole fields as vectors."""
    image = keras.Input((None, None, 1))
    features = keras.layers.Conv2D(1, 1, use_bias=False, name="stage1")(image)
    encoder = keras.Model(image, features)
    encoder.get_layer("stage1").set_weights([np.ones((1, 1, 1, 1))])
    LearnedMetric(
        encoder, layer="stage1", scales={"stage1": 4.0}, channels=("tas",), units=("",),
        normalization=Normalization("z", ("tas",), (1.0,), (2.0,)), patch=(8, 8), step=3600,
        classes=3, scores={"accuracy": 0.6},
    ).save(tmp_path / "metric")  # fmt: skip
    made = built(f"energy,crps=0,differences=0,metric={tmp_path / 'metric'},pools=1,beta=1.5")
    truth, *members = map(tf.constant, fields(4))
    found = made.score(truth, members, None)
    forecast = np.stack([np.reshape(x, (2, 64)) for x in [truth, *members]])
    norms = np.sqrt(4 * ((forecast[:, None] - forecast[None]) ** 2).mean(-1)) ** 1.5
    expected = norms[0, 1:].mean() - norms[1:, 1:].sum((0, 1)).mean() / 2 / (3 * 2)
    assert float(found["learned"]) == float(found["loss"]) == pytest.approx(expected, rel=1e-4)
    assert set(made.whole_step(batch())) == {"loss", "learned"}


ERRORS = {
    "noise": (
        "energy,pools=1",
        "unet,widths=[4]",
        "needs a network with random inputs, but unet",
    ),
    "members": ("energy,members=1", NETWORK, "members=1 must be at least 2"),
    "beta": ("energy,beta=2", NETWORK, "beta=2 must be above 0 and below 2"),
    "weights": ("energy,crps=0,differences=0", NETWORK, "at least one must be positive"),
    "pools": ("energy", NETWORK, r"energy: pools=\[1, 2, 4, 8\] must lie between"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_mistakes_are_told(name):
    specification, network, message = ERRORS[name]
    with pytest.raises(InputError, match=message):
        built(specification, network)
