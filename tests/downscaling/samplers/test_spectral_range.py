"""Noise levels from the spectrum: modes in orthonormal scaling, and what the range costs."""

from __future__ import annotations

import numpy as np
import pytest

from phire.downscaling import samplers
from phire.errors import InputError


def test_white_noise_has_its_spread_in_every_mode():
    fields = np.random.default_rng(0).normal(scale=0.7, size=(4000, 6, 5, 2)).astype("f4")
    variances = samplers.mode_variances(fields)
    assert variances.shape == (6, 5, 2)
    np.testing.assert_allclose(np.sqrt(variances), 0.7, rtol=0.05)


def test_the_range_spans_the_modes_and_leaves_out_rounding_errors():
    spectrum = np.array([[4.0, 0.01], [1e-20, np.nan], [0.0, 1.0]])
    sigma_min, sigma_max = samplers.sigma_range(spectrum)
    np.testing.assert_allclose([sigma_min, sigma_max], [0.1 / 3, 8.0])


def test_the_range_costs_what_is_stated():
    modes = np.array([0.01, 3.0])
    sigma_min, sigma_max = samplers.sigma_range(modes**2)
    sigmas = np.append(np.geomspace(sigma_max, sigma_min, 2000), 0)
    small, large = samplers.spread_ratios(modes, sigmas)
    np.testing.assert_allclose(small, (1 + 1 / 9) ** -0.5, rtol=2e-3)  # 5 % too little
    np.testing.assert_allclose(large, (1 + 1 / 16) ** -0.5, rtol=2e-3)  # 3 %


@pytest.mark.parametrize("spectrum", [np.zeros(4), np.full(3, np.nan), np.array([])])
def test_fields_without_variance_are_named(spectrum):
    with pytest.raises(InputError, match="the fields have no variance"):
        samplers.sigma_range(spectrum)
