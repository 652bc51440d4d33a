"""The jet-latitude index against closed forms."""

import numpy as np
import pytest

from phire.errors import InputError
from phire.jetstream.jet_latitude_index import (
    DAY,
    jet_latitude,
    lanczos_weights,
    latitude_of_maximum,
    low_pass,
)

STEP = DAY // 4


def test_lanczos_weights_are_a_low_pass_with_the_cutoff_at_half():
    weights = lanczos_weights(cutoff=40, half_width=122)
    k = np.arange(-122, 123)

    def response(period):
        return float(np.sum(weights * np.cos(2 * np.pi * k / period)))

    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights, weights[::-1])
    assert response(400) == pytest.approx(1, abs=0.01)
    assert response(40) == pytest.approx(0.5, abs=0.01)
    assert abs(response(20)) < 0.01


def test_lanczos_weights_by_the_written_formula():
    weights = lanczos_weights(cutoff=7, half_width=10)
    k = np.arange(1, 11)
    written = np.sin(2 * np.pi * k / 7) / (np.pi * k) * np.sin(np.pi * k / 11) / (np.pi * k / 11)
    np.testing.assert_allclose(weights[11:] / weights[10], written / (2 / 7))


def test_low_pass_equals_a_brute_force_sum_and_ends_in_nan():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((120, 3))
    filtered = low_pass(values, STEP, cutoff_days=5, window_days=10)
    weights = lanczos_weights(20, 20)
    assert np.isnan(filtered[:20]).all() and np.isnan(filtered[-20:]).all()
    for t in (20, 57, 99):
        expected = sum(weights[20 + k] * values[t + k] for k in range(-20, 21))
        np.testing.assert_allclose(filtered[t], expected)


def test_latitude_of_maximum_between_rows_in_either_order():
    latitudes = np.arange(15, 76, 2.5)
    centres = np.array([31.0, 44.2, 60.9])
    wind = 30 - 0.05 * (latitudes - centres[:, None]) ** 2
    np.testing.assert_allclose(latitude_of_maximum(wind, latitudes), centres)
    np.testing.assert_allclose(latitude_of_maximum(wind[:, ::-1], latitudes[::-1]), centres)


def test_latitude_of_maximum_stays_on_the_edge():
    latitudes = np.arange(15.0, 76.0, 5.0)
    wind = np.stack([latitudes, -latitudes])
    np.testing.assert_allclose(latitude_of_maximum(wind, latitudes), [75, 15])


def test_jet_latitude_follows_a_slow_jet_and_not_fast_waves():
    days = np.arange(0, 300, STEP / DAY)
    latitudes = np.linspace(90, -90, 73)
    slow = 45 + 8 * np.sin(2 * np.pi * days / 120)
    fast = 12 * np.sin(2 * np.pi * days / 3)
    north = 40 * np.exp(-(((latitudes - slow[:, None]) / 12) ** 2))
    noise = fast[:, None] * np.exp(-(((latitudes - 25) / 5) ** 2))
    south = 80 * np.exp(-(((latitudes + 50) / 10) ** 2))
    index = jet_latitude(north + noise + south, latitudes, STEP)
    known = np.isfinite(index)
    assert np.isnan(index[: int(30 * DAY / STEP)]).all()
    assert known.sum() > 900
    assert np.abs(index - slow)[known].max() < 0.5
    southern = jet_latitude(north + noise + south, latitudes, STEP, band=(-75, -15))
    np.testing.assert_allclose(southern[known], -50, atol=0.1)


def test_short_series_and_narrow_bands_are_refused():
    with pytest.raises(InputError, match="shorter than the filter's window of 61 days"):
        low_pass(np.zeros(100), STEP)
    with pytest.raises(InputError, match="holds 1 of the grid's rows"):
        jet_latitude(np.zeros((400, 3)), np.array([10.0, 40.0, 80.0]), STEP)
