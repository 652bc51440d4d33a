"""Sums of gradients do not depend on what else is still in memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from phire.training.determinism import enable_determinism

pytestmark = pytest.mark.versions

TERMS = (1e8, -1e8, 1.0)
"""Their sum is 1 or, where the small one comes first or second, 0."""


@pytest.fixture(autouse=True)
def deterministic():
    enable_determinism()


def sum_of(terms):
    return tf.add_n(terms)


def gradient_of(terms):
    """The gradient of what is used three times, each use with one of the terms for its gradient."""

    def use(x, term):
        return tf.custom_gradient(lambda x: (tf.reduce_sum(x), lambda upstream: term))(x)

    x = tf.ones_like(terms[0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = use(x, terms[0]) + use(x, terms[1]) + use(x, terms[2])
    return tape.gradient(loss, x)


def summed(add, terms, kept):
    """The sum within a graph that returns some of the terms as well."""

    @tf.function
    def run(given):
        # Computed, so that their memory may be used again unless they are returned.
        computed = [tf.sin(one) * 0.0 + one for one in tf.unstack(given)]
        return add(computed), [computed[i] for i in kept]

    return run(tf.tile(tf.constant(terms)[:, None], (1, 8)))[0].numpy()


@pytest.mark.parametrize("add", [sum_of, gradient_of])
@pytest.mark.parametrize("terms", list(itertools.permutations(TERMS)))
def test_the_order_is_the_same_whichever_terms_are_needed_elsewhere(add, terms):
    alone = summed(add, terms, ())
    assert set(alone) <= {0.0, 1.0}
    for kept in ((0,), (0, 1), (1, 2), (0, 1, 2)):
        np.testing.assert_array_equal(summed(add, terms, kept), alone)


def test_whole_numbers_and_two_terms_are_added_as_ever():
    assert tf.add_n([tf.constant(1), tf.constant(2), tf.constant(3)]).numpy() == 6
    assert tf.add_n([tf.constant(1.5), tf.constant(2.0)]).numpy() == 3.5
