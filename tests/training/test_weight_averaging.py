"""The moving average of weights, what is exported of it, and what validation draws."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError, WorkError
from phire.training import Phase, set_clipping, train
from phire.training.weight_averaging import WeightAverage
from toy_objective import Line, points


def test_it_is_tensorflow_s_own_moving_average():
    line = Line()
    average = WeightAverage([line.network], 0.9)
    theirs = [tf.Variable(weight.value) for weight in line.network.weights]
    random = np.random.default_rng(0)
    for step in range(120):
        for weight in line.network.weights:
            weight.assign(random.normal(size=weight.shape))
        average.update(tf.constant(step))
        decay = min(0.9, (1 + step + 1) / (10 + step + 1))
        for mine, weight in zip(theirs, line.network.weights):
            mine.assign(decay * mine + (1 - decay) * weight.value)
    own = tf.train.ExponentialMovingAverage(0.9, num_updates=tf.constant(3))
    other = tf.Variable(2.0)
    own.apply([other])
    other.assign(6.0)
    own.apply([other])
    assert float(own.average(other)) == pytest.approx(2 * 4 / 13 + 6 * 9 / 13)  # d = 4 / 13
    for mine, found in zip(theirs, average.variables):
        np.testing.assert_allclose(found.value, mine, rtol=1e-5, atol=1e-7)


def test_the_weights_come_back():
    line = Line()
    average = WeightAverage([line.network], 0.5)
    before = line.network.get_weights()
    for variable in average.variables:
        variable.assign(variable + 1)
    with average.applied():
        np.testing.assert_allclose(line.network.get_weights()[0], before[0] + 1)
    for a, b in zip(line.network.get_weights(), before):
        np.testing.assert_array_equal(a, b)


def cut(count, epoch, skip, shard):
    return points(epoch, skip, shard).take(max(count - skip, 0))


def test_a_run_exports_the_average_and_goes_on_with_it(tmp_path):
    options = {"options": {}, "seed": 3, "deterministic": True, "checkpoint_steps": 10}
    validated = {**options, "validation": lambda shard: points(99, 30, shard)}
    phase = Phase("only", 1, points, 40, {"line": 0.05})
    with pytest.raises(WorkError, match="the records ended"):
        broken = Phase("only", 1, functools.partial(cut, 25), 40, {"line": 0.05})
        train(Line, [broken], run=tmp_path / "parts", ema=0.9, **validated)
    parts, whole, without = (
        train(Line, [phase], run=tmp_path / name, ema=ema, **validated)
        for name, ema in (("parts", 0.9), ("whole", 0.9), ("without", None))
    )
    np.testing.assert_allclose(whole.history["loss"], without.history["loss"], rtol=1e-6)
    assert abs(whole.history["val_loss"][0] - without.history["val_loss"][0]) > 1e-6
    weights = [run.network("line").get_weights() for run in (parts, whole, without)]
    for a, b, c in zip(*weights):
        np.testing.assert_array_equal(a, b)
        assert np.abs(b - c).max() > 0
    for a, b in zip(weights[1], whole.network("line", 1).get_weights()):
        np.testing.assert_array_equal(a, b)
    assert whole.config["ema"] == 0.9


def test_an_impossible_decay_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"^ema 1.5 must lie between 0 and 1"):
        train(Line, [Phase("a", 1, points, 40)], run=tmp_path / "run", options={}, ema=1.5)
    assert not list(tmp_path.iterdir())


class Noisy(Line):
    """Judges inputs with noise that is drawn by the step's seed."""

    def validation_step(self, batch):
        noise = tf.random.stateless_normal(batch["x"].shape, self.random_seed())
        found = super().validation_step({**batch, "x": batch["x"] + 5 * noise})
        return {**found, "noise": tf.reduce_mean(noise)}


def test_validation_draws_the_same_in_every_epoch_and_after_a_resumption(tmp_path):
    options = {"options": {}, "seed": 3, "deterministic": True,
               "validation": lambda shard: points(99, 30, shard)}  # fmt: skip
    learning = Phase("only", 3, points, 40, {"line": 0.05})

    def broken(epoch, skip, shard):
        return points(epoch, skip, shard).take(40 if epoch < 1 else 0)

    with pytest.raises(WorkError, match="the records ended"):
        train(Noisy, [Phase("only", 3, broken, 40, {"line": 0.05})], run=tmp_path / "parts",
              **options)  # fmt: skip
    parts, whole = (
        train(Noisy, [learning], run=tmp_path / name, **options) for name in ("parts", "whole")
    )
    np.testing.assert_array_equal(parts.history["val_loss"], whole.history["val_loss"])
    assert parts.best_epoch == whole.best_epoch
    assert whole.history["val_noise"].nunique() == 1
    other = train(Noisy, [learning], run=tmp_path / "seed", **{**options, "seed": 4})
    assert other.history["val_noise"][0] != whole.history["val_noise"][0]


@pytest.mark.parametrize(
    ("given", "keras_name"),
    [("norm", "global_clipnorm"), ("variable_norm", "clipnorm"), ("value", "clipvalue")],
)
def test_clipping_is_keras_own(given, keras_name):
    start = [np.ones((2, 2), "f4"), np.ones(3, "f4")]
    gradients = [np.full((2, 2), 3.0, "f4"), np.arange(3, dtype="f4")]
    found = []
    for optimizer in (keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0, **{keras_name: 0.5})):
        variables = [keras.Variable(value) for value in start]
        optimizer.build(variables)
        if not found:
            set_clipping([optimizer], **{given: 0.5})
        optimizer.apply([tf.constant(gradient) for gradient in gradients], variables)
        found.append([np.array(variable) for variable in variables])
    for a, b, value in zip(*found, start):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - value).max() <= 0.5


def test_clipping_under_float16_is_of_the_true_gradient():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=8.0)
    variable = keras.Variable(np.zeros(2, "f4"))
    optimizer.build([variable])
    set_clipping([optimizer], norm=1.0)
    optimizer.apply([tf.constant([24.0, 32.0])], [variable])  # 3, 4 without the scale
    np.testing.assert_allclose(variable, [-0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"norm": 1, "value": 1}, "--clip-norm and --clip-value: "),
     ({"norm": -1}, "--clip-norm -1 must be positive")],
)  # fmt: skip
def test_impossible_clipping_is_named(options, said):
    with pytest.raises(InputError, match=said):
        set_clipping([], **options)
