"""RALSD against numbers of an independent implementation and pysteps' radial spectrum."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.made_fields import rainy_ensemble, setting_of, take
from phire.evaluation.catalogue import statistics
from phire.fields.grid import Grid

TRUTH, MEMBERS = rainy_ensemble()


def test_the_distance_of_rain_is_that_of_an_independent_implementation():
    taker = statistics()["log_spectral_distance"](setting_of(TRUTH, Grid.pixels(16, 16)))
    power = taker.power(np.moveaxis(TRUTH[2:3], -1, 1))[0, 0]
    expected = [402766.09874577506, 4271.765557874793, 44627.016396044346, 11686.638074202987]
    np.testing.assert_allclose(power[:4], expected, rtol=1e-9)
    found = take(taker, TRUTH, MEMBERS)["log_spectral_distance_mean"].item()
    assert found == pytest.approx(1.4701155342164611, rel=1e-9)


@pytest.mark.parametrize("shape", [(16, 16), (21, 21)])
def test_radial_spectra_equal_those_of_pysteps(shape):
    spectral = pytest.importorskip("pysteps.utils.spectral")
    field = np.random.default_rng(0).normal(size=(1, *shape, 1))
    taker = statistics()["log_spectral_distance"](setting_of(field, Grid.pixels(*shape)))
    found = taker.power(np.moveaxis(field, -1, 1))[0, 0]
    expected = spectral.rapsd(field[0, ..., 0], fft_method=np.fft)
    np.testing.assert_allclose(found * 1.0, expected[: len(found)] * field.size, rtol=1e-6)


def test_a_missing_value_leaves_its_time_out():
    holed = MEMBERS[:, 0].copy()
    holed[1, 3, 3] = np.nan
    taker = statistics()["log_spectral_distance"](setting_of(TRUTH, Grid.pixels(16, 16)))
    result, whole = (take(taker, TRUTH, fields) for fields in (holed, MEMBERS[:, 0]))
    series = result["log_spectral_distance"][0]
    assert np.isnan(series[1])
    kept = np.delete(whole["log_spectral_distance"][0].values, 1)
    np.testing.assert_allclose(np.delete(series.values, 1), kept)
    mean = np.sqrt((kept**2).mean())
    assert result["log_spectral_distance_mean"].item() == pytest.approx(mean)
