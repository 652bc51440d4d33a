"""Embeddings against the numbers of diffusers and DeepR, and closed forms."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from networks.truth_weights import truth
from phire.fields.covariates import covariates
from phire.networks.blocks.embeddings import (
    Covariate,
    CovariateTokens,
    CovariateValues,
    FourierFeatures,
    LogLevel,
    Sinusoids,
    ZeroIfDropped,
)

HOURS = np.array([0, 6, 23], "f4")


@pytest.mark.parametrize(
    "beginning, layer, given",
    [
        ("UNet2DModel positional", Sinusoids(8), [0, 1, 500]),
        ("hour positional", Sinusoids(8, 24, sine_first=True), HOURS),
    ],
)
def test_embeddings_are_those_of_the_references(beginning, layer, given):
    stated = [v for k, v in truth("deepr")["embeddings"].items() if k.startswith(beginning)]
    np.testing.assert_allclose(layer(np.array(given, "f4")), stated[0], atol=1e-5)


def test_an_odd_width_ends_with_a_zero():
    assert np.asarray(Sinusoids(5)(HOURS)).shape == (3, 5)
    assert np.all(np.asarray(Sinusoids(5)(HOURS))[:, 4] == 0)


def test_fourier_frequencies_are_frozen_and_reproducible():
    one, other = FourierFeatures(64, 16.0), FourierFeatures(64, 16.0)
    x = np.array([-1.3, 0.7], "f4")
    np.testing.assert_array_equal(one(x), other(x))
    assert not one.trainable_variables
    frequency = np.asarray(one.frequency)
    assert 10 < frequency.std() < 22
    expected = np.sin(2 * np.pi * x[:, None].astype("f8") * frequency)
    np.testing.assert_allclose(np.asarray(one(x))[:, :64], expected, atol=1e-4)


def test_level_zero_has_a_finite_logarithm():
    found = np.asarray(LogLevel(0.25)(np.array([0, 1, np.e**4], "f4")))
    np.testing.assert_allclose(found[1:], [0, 1], atol=1e-6)
    assert np.isfinite(found[0]) and found[0] < -6


def test_classes_count_round_the_period():
    time = np.array([[0, 1], [23.9, 366], [24, 365]], "f4")
    np.testing.assert_array_equal(Covariate(0, 24)(time), [0, 23, 0])
    np.testing.assert_array_equal(Covariate(1, 366)(time), [1, 0, 365])


def test_values_are_those_of_the_records_covariates():
    times = (np.arange(0, 365 * 24, 7) * 3600).astype(np.int64)
    given = covariates(times, "noleap", ("hour", "day"))
    found = np.asarray(CovariateValues([24.0, 365.2425])(given))
    hours = times // 3600 % 24
    np.testing.assert_array_equal(np.floor(found[:, 0]), hours)
    np.testing.assert_allclose(found[:, 0], hours, atol=1e-4)
    np.testing.assert_allclose(found[:, 1], times / 86400 / 365 * 365.2425, atol=1e-3)


def test_tokens_tell_value_and_covariate():
    tokens = np.asarray(CovariateTokens(6, [24, 365])(np.array([[6, 6], [7, 6]], "f4")))
    assert tokens.shape == (2, 2, 6)
    assert np.abs(tokens[0, 0] - tokens[1, 0]).max() > 0.1  # another hour
    np.testing.assert_array_equal(tokens[0, 1], tokens[1, 1])
    assert np.abs(tokens[0, 0] - tokens[0, 1]).max() > 0.1  # the same value, another covariate


def test_tokens_of_dropped_covariates_are_zero():
    tokens = np.ones((2, 2, 6), "f4")
    time = np.array([[0, 0, 1, 0], [0, 1, 0, 0]], "f4")
    found = np.asarray(ZeroIfDropped()(tokens, time))
    np.testing.assert_array_equal(found[:, :, 0], [[0, 1], [1, 0]])
    assert ZeroIfDropped.from_config(ZeroIfDropped(1).get_config()).index == 1


def test_mixed_precision_does_not_round_time_steps():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = Sinusoids(8)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(
        layer(np.array([501.0], "f4")), Sinusoids(8)(np.array([501.0], "f4"))
    )
