"""Noise schedules against stated numbers, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from networks.truth_weights import truth
from phire.downscaling import samplers
from phire.errors import InputError

KARRAS = [
    80, 57.585985, 40.785574, 28.374585, 19.352453, 12.910082, 8.400935, 5.315195, 3.256822,
    1.923340, 1.088171, 0.585348, 0.296442, 0.139516, 0.059947, 0.022935, 0.007528, 0.002, 0,
]  # fmt: skip


def test_karras_of_eighteen_levels():
    sigmas = samplers.schedule("karras", 18, sigma_min=0.002, sigma_max=80)
    np.testing.assert_allclose(sigmas, KARRAS, rtol=1e-6, atol=5e-7)


@pytest.mark.parametrize(
    ("name", "choice", "n", "options"),
    [
        ("edm_n18_0.002_80_rho7", "karras", 18, (0.002, 80)),
        ("dd_example_n20_0.02_80_rho7", "karras,rho=7", 20, (0.02, 80)),
        ("corrdiff_n18_0.002_800_rho7", "karras", 18, (0.002, 800)),
        ("exponential_n5_0.02_80", "exponential", 5, (0.02, 80)),
        ("polyexponential_n5_0.02_80_rho2", "exponential,power=2", 5, (0.02, 80)),
        ("vp_n10_bd19.9_bmin0.1_eps1e-3", "vp", 10, (0.010485992786706403, 152.1669702839464)),
    ],
)
def test_schedules_are_those_of_the_truth(name, choice, n, options):
    stated = truth("diffusion")["schedules"][name]
    sigma_min, sigma_max = options
    sigmas = samplers.schedule(choice, n, sigma_min=sigma_min, sigma_max=sigma_max)
    np.testing.assert_allclose(sigmas, stated, rtol=1e-10)


@pytest.mark.parametrize("name", ["karras", "exponential", "vp", "angle"])
@pytest.mark.parametrize("n", [1, 2, 15])
def test_schedules_descend_from_the_largest_over_the_least_level_to_zero(name, n):
    sigmas = samplers.schedule(name, n, sigma_min=0.01, sigma_max=20)
    assert sigmas.shape == (n + 1,)
    assert (np.diff(sigmas) < 0).all()
    np.testing.assert_allclose(sigmas[0], 20)
    assert sigmas[-1] == 0
    if n > 1:
        np.testing.assert_allclose(sigmas[-2], 0.01)


def test_angles_take_even_steps():
    sigmas = samplers.schedule("angle", 6, sigma_max=80, power=1, sigma_data=0.3)
    angles = np.arctan(sigmas / 0.3)
    np.testing.assert_allclose(np.diff(angles), -angles[0] / 6)


@pytest.mark.parametrize(
    ("choice", "n", "options", "message"),
    [
        ("cosine", 5, {}, "schedule 'cosine' is unknown: choose one of angle, exponential"),
        ("karras", 5, {"sigma_max": 80}, "schedule karras needs the option sigma_min"),
        ("karras,power=2", 5, {}, "schedule karras has no option 'power'"),
        ("karras", 0, {"sigma_min": 1, "sigma_max": 2}, "n=0, the number of noise levels"),
        ("vp", 5, {"sigma_min": 2, "sigma_max": 2}, "sigma_min 2 must be .* below sigma_max 2"),
        ("angle", 5, {"sigma_max": 2}, "either sigma_min or power"),
    ],
)
def test_impossible_schedules_are_named(choice, n, options, message):
    with pytest.raises(InputError, match=message):
        samplers.schedule(choice, n, **options)
