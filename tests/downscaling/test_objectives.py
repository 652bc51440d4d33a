"""Objectives on samples with every array: masks, random inputs, shapes by the schema."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from complete_samples import DOMAIN, batch, schema
from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.downscaling.network_inputs import network_inputs
from phire.downscaling.schema_shapes import shapes_of
from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.networks import Shapes
from phire.networks import network as networks
from phire.records.schema import DOWNSCALING, SampleArray, SampleSchema
from phire.training.step_graphs import Stepper


def task(conserve=False, **options):
    small = {"filters": 4, "blocks": 1, "kernel": 3, **options}
    return Task(schema(), *networks.resolve("srgan", small), conserve=conserve)


def built(specification, **options):
    keras.utils.set_random_seed(2)
    made = objectives.build(specification, task(**options))
    made.begin("phase 1")
    made.step_seed = tf.constant([5, 6])
    return made


def test_shapes_come_from_the_schema():
    assert shapes_of(schema()) == Shapes(
        (6, 6, 2), (8, 8, 1), 2, static=2, auxiliary=1, time=2, margin=1, domain=(40, 48)
    )


OBJECTIVES = [
    "content",
    "content,content=mae,area",
    "content,content=dssim_mae(size=3)+0.1*spectral+gradient+rmse",
    "srgan,discriminator=srgan-small,weight=0.1,area",
]


@pytest.mark.parametrize("specification", OBJECTIVES)
def test_no_invalid_value_enters_a_loss(specification):
    found = []
    for poison in (0.0, 1e30, np.nan):
        made = built(specification, conserve=True)
        made.begin("phase 1")
        scalars = {**made.validation_step(batch(poison)), **made.whole_step(batch(poison))}
        weights = [np.array(w) for one in made.networks.values() for w in one.weights]
        assert made.panels(batch(poison), {})
        found.append(({name: float(value) for name, value in scalars.items()}, weights))
    for scalars, weights in found[1:]:
        assert scalars == found[0][0]
        for a, b in zip(weights, found[0][1]):
            np.testing.assert_array_equal(a, b)
    assert np.isfinite(list(found[0][0].values())).all()


def test_the_content_is_the_mean_over_valid_values():
    made = built("content")
    arrays = batch()
    generated = np.asarray(made.generator(network_inputs(made.generator, arrays)))
    valid = arrays["valid"].numpy() > 0
    expected = np.mean((generated - arrays["high"].numpy())[valid] ** 2)
    assert float(made.validation_step(arrays)["mse"]) == pytest.approx(expected, rel=1e-5)
    nothing = {**arrays, "valid": tf.zeros_like(arrays["valid"])}
    assert float(made.validation_step(nothing)["mse"]) == 0


def test_the_discriminator_sees_no_generated_value_that_is_invalid():
    made = built("srgan,discriminator=srgan-small")
    arrays = batch()
    assert set(made.discriminator.input) == {"fine", "valid"}
    generated = made.generate(arrays, training=True)
    assert float(tf.reduce_max(tf.abs(generated * (1 - arrays["valid"])))) == 0
    assert float(tf.reduce_max(tf.abs(generated))) > 0


RANDOM_NETWORKS = [{"noise": 2}, {"dropout": 0.4, "dropout_kind": "mcdrop"}]


@pytest.mark.parametrize("options", RANDOM_NETWORKS)
def test_random_inputs_are_a_function_of_the_seed(options):
    made = built("content", **options)
    arrays = batch()
    first = made.generate(arrays, training=False)
    np.testing.assert_array_equal(made.generate(arrays, training=False), first)
    assert np.abs(made.generate(arrays, training=False, salt=1) - first).max() > 0
    made.step_seed = tf.constant([5, 7])
    assert np.abs(made.generate(arrays, training=False) - first).max() > 0


@pytest.mark.parametrize("options", RANDOM_NETWORKS)
def test_random_networks_train_in_the_loops_graphs(options):
    made = built("srgan,discriminator=srgan-small", **options)
    stepper = Stepper(made, tf.distribute.OneDeviceStrategy("/cpu:0"), False, seed=3)

    def batches(shard):
        return tf.data.Dataset.from_tensors(batch()).repeat(4)

    taken = stepper.train(stepper.iterator(batches), 0, 3)
    assert (taken.steps, taken.broken) == (3, ())
    scores = [stepper.validate(batches)[0] for _ in range(2)]
    assert scores[0] == scores[1]


def test_a_batch_without_what_the_network_reads_is_told():
    made = built("content")
    arrays = batch()
    del arrays["static"]
    with pytest.raises(KeyError, match="reads static"):
        made.generate(arrays, training=False)


def test_conservation_needs_a_channel_of_both_sides():
    one = schema()
    arrays = {**one.arrays, "low": one.arrays["low"]}
    low = arrays["low"]
    arrays["low"] = SampleArray(("a", "b"), low.units, low.shape, normalization=Normalization(
        "z", ("a", "b"), (0.0, 0.0), (1.0, 1.0)))  # fmt: skip
    other = SampleSchema(DOWNSCALING, arrays, scale=2, margin=1, domain=DOMAIN)
    with pytest.raises(InputError, match="--conserve: none of the targets"):
        Task(other, *networks.resolve("srgan"), conserve=True).build_network()
