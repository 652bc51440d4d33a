"""DDPM and DDIM: noise rates, times and single steps against stated numbers."""

from __future__ import annotations

import numpy as np
import pytest

from downscaling.noisy_fields import noised, velocity
from networks.truth_weights import truth
from phire.downscaling import samplers
from phire.downscaling.samplers.ddpm_and_ddim import (
    clean_and_noise,
    clipped,
    ddim_step,
    ddpm_step,
    posterior_variance,
)
from phire.downscaling.samplers.discrete_levels import (
    betas,
    noise_to_signal,
    sampled_levels,
    signal_levels,
    timesteps,
)
from phire.errors import InputError

X, EPSILON, Z = np.array([0.3, -1.2, 2]), np.array([0.5, 0.1, -0.7]), np.array([0.25, -0.5, 1])


@pytest.fixture(scope="module")
def signal():
    return signal_levels(betas("linear"))


@pytest.mark.parametrize(
    ("kind", "zero", "expected"),
    [
        ("linear", False, (0.9998999834, 0.0777966529, 4.03583035e-5)),
        ("scaled-linear", False, (0.9998999834, 0.3312746286, 7.33411987e-4)),
        ("cosine", False, (0.9999586940, 0.4922850430, 2.42873499e-9)),
        ("linear", True, (0.9998999834, 0.0752462000, 0)),
    ],
)
def test_signal_levels(kind, zero, expected):
    levels = signal_levels(betas(kind, zero_terminal_snr=zero))
    # The stated ones are of float32, whose product of 1000 factors is off by 1e-5 of itself.
    np.testing.assert_allclose(levels[[0, 500, 999]], expected, rtol=2e-4, atol=1e-12)


def test_rates_and_levels_are_those_of_the_truth():
    stated = truth("deepr")["schedules"]
    names = {"linear": "linear", "scaled_linear": "scaled-linear", "squaredcos_cap_v2": "cosine",
             "sigmoid": "sigmoid"}  # fmt: skip
    for name, kind in names.items():
        rates = betas(kind)
        numbers = stated[name]
        np.testing.assert_allclose(rates[[0, 500, 999]], numbers["beta[0,500,999]"], rtol=2e-4)
        np.testing.assert_allclose(
            signal_levels(rates)[[0, 1, 250, 500, 750, 998, 999]],
            numbers["alphas_cumprod[0,1,250,500,750,998,999]"],
            rtol=2e-4,
        )
        if kind != "sigmoid":
            levels = signal_levels(betas(kind, zero_terminal_snr=True))
            numbers = stated[f"{name}, zero terminal SNR (DDIM)"]
            np.testing.assert_allclose(
                levels[[0, 500, 998, 999]], numbers["alphas_cumprod[0,500,998,999]"],
                rtol=4e-3, atol=1e-10,
            )  # fmt: skip
    for spacing in ("leading", "linspace", "trailing"):
        for n in (10, 7):
            expected = stated[f"timesteps {spacing}"][f"N={n}"]
            assert timesteps(n, 1000, spacing).tolist() == expected


def test_levels_of_sampling_ascend_to_all_signal(signal):
    levels = sampled_levels(betas("linear"), 10)
    assert levels.shape == (11,)
    np.testing.assert_array_equal(levels[[0, -2, -1]], [signal[999], signal[99], 1])
    assert sampled_levels(betas("cosine", zero_terminal_snr=True), 5)[0] == 0
    np.testing.assert_allclose(
        noise_to_signal(signal[[999, 500, 0]]), [157.4072723, 3.4429674, 0.0100013], rtol=2e-4
    )


@pytest.mark.parametrize(
    ("kind", "eta", "clip", "expected"),
    [
        ("epsilon", 0, None, (0.164827585, -1.954553843, 3.586540461)),
        ("epsilon", 0, 1, (0.164827585, -0.350166798, -0.188641220)),
        ("epsilon", 1, None, (0.162803665, -2.352716684, 4.565689087)),
        ("v", 0, None, (0.209510744, -1.199312806, 2.090605736)),
    ],
)
def test_a_step_of_ddim(signal, kind, eta, clip, expected):
    clean, epsilon = clean_and_noise(kind, X, EPSILON, signal[500])
    x = ddim_step(clipped(clean, clip), epsilon, signal[500], signal[400], eta, Z)
    np.testing.assert_allclose(x, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("following", "variance", "clip", "expected"),
    [
        (400, "small", None, (0.162803695, -2.352716446, 4.565689087)),
        (400, "large", None, (0.175346851, -2.377802849, 4.615861416)),
        (499, "small", None, (0.321320117, -1.257262826, 2.117762566)),
        (499, "small", 1, (0.321320117, -1.246111393, 2.091522932)),
        (499, "large", None, (0.321330875, -1.257284403, 2.117805719)),
    ],
)
def test_a_step_of_ddpm(signal, following, variance, clip, expected):
    clean, _ = clean_and_noise("epsilon", X, EPSILON, signal[500])
    x = ddpm_step(X, clipped(clean, clip), signal[500], signal[following], variance, Z)
    np.testing.assert_allclose(x, expected, rtol=2e-5)
    np.testing.assert_allclose(posterior_variance(signal[500], signal[400]), 0.523012936, rtol=1e-5)


def test_every_step_of_the_truth(signal):
    stated = truth("deepr")["schedules"]
    kinds = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}
    compared = 0
    for name, numbers in stated.items():
        if not name.startswith("DDIM linear t=500"):
            continue
        _, _, _, _, kind, clip, eta = name.split()
        bound = 1 if clip == "clip=True" else None
        clean, epsilon = clean_and_noise(kinds[kind], X, EPSILON, signal[500])
        clean = clipped(clean, bound)
        np.testing.assert_allclose(clean, numbers["x0"], rtol=2e-5, atol=1e-6, err_msg=name)
        x = ddim_step(clean, epsilon, signal[500], signal[400], float(eta[4:]), Z)
        np.testing.assert_allclose(x, numbers["prev"], rtol=2e-5, atol=1e-5, err_msg=name)
        compared += 1
    assert compared == 12
    clean, epsilon = clean_and_noise("epsilon", X, EPSILON, signal[0])
    for following, name in ((1.0, "DDIM linear t=0 (last) N=10 epsilon clip=False eta=0"),
                            (signal[0], "same, set_alpha_to_one=False")):  # fmt: skip
        x = ddim_step(clean, epsilon, signal[0], following)
        np.testing.assert_allclose(x, stated[name]["prev"], rtol=1e-5)
    last = ddpm_step(X, clean, signal[0], 1.0)
    expected = stated["DDPM linear t=0 N=1000 (no noise) clip=False"]["prev"]
    np.testing.assert_allclose(last, expected, rtol=1e-5)


def test_noise_and_velocity(signal):
    np.testing.assert_allclose(
        noised(X, Z, signal[500]), (0.323754698, -0.814861715, 1.518155217), rtol=2e-5
    )
    expected = (-0.218364149, 1.012916923, -1.641707897)
    np.testing.assert_allclose(velocity(X, Z, signal[500]), expected, rtol=2e-5)


@pytest.mark.parametrize("kind", ["epsilon", "v", "x0"])
def test_all_predictions_mean_the_same(kind, signal):
    clean, noise = X, Z
    x = noised(clean, noise, signal[300])
    given = {"epsilon": noise, "v": velocity(clean, noise, signal[300]), "x0": clean}[kind]
    found = clean_and_noise(kind, x, given, signal[300])
    np.testing.assert_allclose(found, (clean, noise), atol=1e-12)


@pytest.mark.parametrize(("eta", "other"), [(0.0, "euler"), (0.6, "ancestral,eta=0.6")])
def test_ddim_is_euler_or_ancestral_in_coordinates_of_sigma(eta, other):
    levels = sampled_levels(betas("cosine"), 12)
    sigmas = noise_to_signal(levels)
    start = np.array([0.4, -1.1, 2.2])
    noises = np.random.default_rng(0).normal(size=(12, 3))

    def by_sigma(x, sigma):
        return (0.25 * x + sigma**2 * 0.3) / (0.25 + sigma**2)

    def by_signal(x, signal):
        return by_sigma(x / signal**0.5, float(noise_to_signal(signal)))

    there = samplers.integrate(by_signal, start, levels, "ddim", lambda step: noises[step], eta=eta)
    here = samplers.integrate(
        by_sigma, start / levels[0] ** 0.5, sigmas, other, lambda step: noises[step]
    )
    np.testing.assert_allclose(there, here, rtol=1e-9)


def test_ddpm_is_ddim_with_all_its_noise():
    levels = sampled_levels(betas("linear"), 9)
    noises = np.random.default_rng(1).normal(size=(9, 3))
    samples = [
        samplers.integrate(
            lambda x, signal: 0.4 * x - 0.1, X, levels, method, lambda step: noises[step]
        )
        for method in ("ddpm", "ddim,eta=1")
    ]
    np.testing.assert_allclose(*samples, rtol=1e-9)


@pytest.mark.parametrize("method", ["ddpm", "ddim"])
def test_ten_thousand_samples_from_pure_noise(method):
    levels = sampled_levels(betas("cosine", zero_terminal_snr=True), 250)
    mean, variance = 0.7, 0.4**2

    def denoise(x, signal):
        return mean + signal**0.5 * variance * (x - signal**0.5 * mean) / (
            signal * variance + 1 - signal
        )

    random = np.random.default_rng(2)
    sample = samplers.integrate(denoise, random.normal(size=10_000), levels, method, random)
    np.testing.assert_allclose([sample.mean(), sample.std()], [0.7, 0.4], rtol=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: betas("quadratic"), "must be one of linear, scaled-linear"),
        (lambda: timesteps(5, 10, "even"), "must be one of leading, linspace, trailing"),
        (lambda: timesteps(11, 10), "11 evaluations must be between 1 and the 10 times"),
        (lambda: clean_and_noise("score", X, X, 0.5), "must be one of epsilon, v, x0"),
        (lambda: clean_and_noise("epsilon", X, X, 0.0), "choose v or x0"),
        (lambda: ddpm_step(X, X, 0.2, 0.5, "learned"), "must be one of small, large"),
    ],
)
def test_impossible_ones_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
