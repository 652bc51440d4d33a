"""Normalisations against Keras's own and closed forms."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from phire.networks.blocks.field_norm import FieldNorm

FIELD = np.random.default_rng(0).normal(3, 2, size=(2, 5, 4, 12)).astype("f4")
MODULATION = np.random.default_rng(1).normal(size=(2, 24)).astype("f4")


def with_weights(layer, given):
    """Gives gamma and beta away from 1 and 0."""
    layer.build(given.shape)
    random = np.random.default_rng(2)
    layer.set_weights([random.normal(1, 0.2, w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("groups, divides", [(4, 4), (12, 12), (8, 4)])
def test_group_is_that_of_keras_by_the_common_divisor(groups, divides):
    layer = with_weights(FieldNorm("group", groups), FIELD)
    keras_layer = keras.layers.GroupNormalization(divides, epsilon=1e-5)
    keras_layer.build(FIELD.shape)
    keras_layer.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(FIELD), keras_layer(FIELD), atol=2e-5)
    weight = np.random.default_rng(3).normal(size=FIELD.shape).astype("f4")
    field = tf.constant(FIELD)
    gradients = []
    for one in (layer, keras_layer):
        with tf.GradientTape() as tape:
            tape.watch(field)
            loss = tf.reduce_sum(one(field) * weight)
        gradients.append(tape.gradient(loss, [field, one.gamma.value, one.beta.value]))
    for found, expected in zip(*gradients):
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 2e-2)])
def test_group_has_the_gradients_of_its_formula(dtype, tolerance):
    """First derivatives, and second ones, which a critic's gradient penalty needs."""
    random = np.random.default_rng(5)
    weight = random.normal(size=FIELD.shape)
    layer = with_weights(
        FieldNorm("group", 4, dtype="mixed_bfloat16" if dtype != "float32" else dtype), FIELD
    )
    gamma, beta = (tf.constant(w.numpy(), "float64") for w in layer.weights)

    def formula(x, modulation):
        groups = tf.reshape(x, (2, 20, 4, 3))
        mean, variance = tf.nn.moments(groups, (1, 3), keepdims=True)
        y = tf.reshape((groups - mean) / tf.sqrt(variance + 1e-5), x.shape) * gamma + beta
        scale, shift = tf.split(modulation[:, None, None], 2, -1)
        return y * (1 + scale) + shift

    def derivatives(function, kind):
        given = [tf.constant(FIELD, kind), tf.constant(MODULATION, kind)]
        with tf.GradientTape() as outer:
            outer.watch(given)
            with tf.GradientTape() as inner:
                inner.watch(given)
                y = function(*given)
                loss = tf.reduce_sum(tf.cast(y, "float64") * weight)
            first = inner.gradient(loss, given)
            norm = tf.add_n([tf.reduce_sum(tf.square(tf.cast(g, "float64"))) for g in first])
        return [y, *first, *outer.gradient(norm, given)]

    for found, right in zip(derivatives(layer, dtype), derivatives(formula, "float64")):
        found = tf.cast(found, "float64")
        np.testing.assert_allclose(found, right, atol=tolerance * float(tf.reduce_max(abs(right))))


def test_gradients_with_an_embedding_are_those_of_finite_differences():
    layer = with_weights(FieldNorm("group", 4), FIELD)
    random = np.random.default_rng(4)
    direction = [random.normal(size=a.shape).astype("f4") for a in (FIELD, MODULATION)]
    weight = random.normal(size=FIELD.shape)
    given = [tf.constant(FIELD), tf.constant(MODULATION)]
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = tf.reduce_sum(layer(*given) * weight.astype("f4"))
    slope = sum(np.sum(g * d) for g, d in zip(tape.gradient(loss, given), direction))

    def along(step):
        moved = [a + step * d for a, d in zip((FIELD, MODULATION), direction)]
        return np.sum(np.asarray(layer(*moved), "f8") * weight)

    np.testing.assert_allclose((along(0.01) - along(-0.01)) / 0.02, slope, rtol=2e-3)


@pytest.mark.parametrize("kind", ["group", "rms", "none"])
def test_the_embedding_scales_and_shifts_the_result(kind):
    layer = with_weights(FieldNorm(kind, 4), FIELD)
    plain = np.asarray(layer(FIELD))
    scale, shift = (m[:, None, None] for m in np.split(MODULATION, 2, axis=-1))
    np.testing.assert_allclose(layer(FIELD, MODULATION), plain * (1 + scale) + shift, atol=1e-4)


def test_rms_divides_each_point():
    layer = with_weights(FieldNorm("rms"), FIELD)
    expected = FIELD / np.sqrt((FIELD**2).mean(-1, keepdims=True) + 1e-5) * layer.get_weights()[0]
    np.testing.assert_allclose(layer(FIELD), expected, atol=1e-5)


def test_statistics_are_of_float32_under_mixed_precision():
    layer = with_weights(FieldNorm("group", 4, dtype="mixed_bfloat16"), FIELD)
    exact = with_weights(FieldNorm("group", 4), FIELD)
    error = np.asarray(layer(FIELD), "f4") - np.asarray(exact(FIELD))
    assert layer(FIELD).dtype == "bfloat16" and np.abs(error).max() < 0.05
