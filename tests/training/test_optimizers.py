"""phire's Adam is Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.errors import InputError
from phire.training import Adam, for_float16
from phire.training.optimizers import set_weight_decay

pytestmark = pytest.mark.versions

OPTIONS = [{}, {"clipnorm": 0.5}, {"epsilon": 1e-3, "beta_1": 0.5}, {"amsgrad": True}]


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_takes_the_steps_of_kerass(options, jit):
    random = np.random.default_rng(0)
    start = [random.normal(size=shape).astype("f4") for shape in [(5, 3), (4,)]]
    gradients = [
        [random.normal(size=x.shape).astype("f4") * 10.0**power for x in start]
        for power in (0, -3, 2, -8, 0)
    ]
    mine, keras_own = (
        after_steps(kind(0.01, **options), start, gradients, jit)
        for kind in (Adam, keras.optimizers.Adam)
    )
    for one, other in zip(mine, keras_own, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-12)
    assert not np.allclose(mine[0], start[0], atol=0.01)


def after_steps(optimizer, start, gradients, jit):
    """Variables and state after a step by each of the gradients, at falling rates."""
    variables = [keras.Variable(x) for x in start]
    optimizer.build(variables)
    apply = tf.function(lambda one: optimizer.apply(one, variables), jit_compile=jit)
    for step, one in enumerate(gradients):
        optimizer.learning_rate = 0.01 / (step + 1)
        apply([tf.constant(x) for x in one])
    return [np.asarray(x) for x in [*variables, *optimizer.variables]]


def test_weight_decay_is_that_of_adamw_without_vectors():
    start = [np.ones((5, 3), "f4"), np.ones(4, "f4")]
    gradients = [[np.full(x.shape, power, "f4") for x in start] for power in (1.0, 0.1, -3.0)]
    decayed = Adam(0.01)
    set_weight_decay([decayed], 2.0)
    expected = keras.optimizers.AdamW(0.01, weight_decay=2.0)
    plain = Adam(0.01)
    mine, adamw, without = (
        after_steps(one, start, gradients, False) for one in (decayed, expected, plain)
    )
    np.testing.assert_allclose(mine[0], adamw[0], rtol=2e-5)
    assert np.abs(mine[0] - without[0]).min() > 0.01
    np.testing.assert_array_equal(mine[1], without[1])
    with pytest.raises(InputError, match="--weight-decay -1 must be positive"):
        set_weight_decay([decayed], -1)


def test_a_gradient_of_rows_goes_through_kerass():
    variable = keras.Variable(np.zeros((4, 2), "f4"))
    optimizer = Adam(0.1)
    optimizer.build([variable])
    rows = tf.IndexedSlices(tf.ones((1, 2)), tf.constant([2]), tf.constant([4, 2]))
    optimizer.apply([rows], [variable])
    np.testing.assert_allclose(np.asarray(variable)[2], -0.1, rtol=1e-3)


def test_what_overflows_in_float16_changes_nothing():
    variable = keras.Variable(np.ones(3, "f4"))
    optimizer = for_float16(Adam(0.1), "float16")
    optimizer.build([variable])
    optimizer.apply([tf.constant([1.0, np.inf, 0.0])], [variable])
    np.testing.assert_array_equal(variable, 1)
    optimizer.apply([tf.constant([1e5, 2e5, 0.0])], [variable])
    np.testing.assert_allclose(variable, [0.9, 0.9, 1], rtol=1e-3)
