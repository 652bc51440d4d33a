"""Samplers on exact denoisers: stated numbers, order of convergence, spread of drawn samples."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from networks.truth_weights import truth
from phire.downscaling import samplers
from phire.downscaling.preconditioning import edm_scalings
from phire.downscaling.samplers.single_step import ancestral_levels, churn_factor
from phire.errors import InputError

MEAN, STD = 0.3, 0.5
DETERMINISTIC = ["euler", "heun", "dpm2", "dpmpp-2m", "ab2-angle"]
STOCHASTIC = ["dpmpp-2m-sde", "ancestral"]


def denoise(x, sigma):
    """The exact denoiser of N(MEAN, STD²)."""
    return (STD**2 * x + sigma**2 * MEAN) / (STD**2 + sigma**2)


def exact(x, start, end):
    """The solution of the sampler's equation for that denoiser."""
    return MEAN + (x - MEAN) * np.sqrt((STD**2 + end**2) / (STD**2 + start**2))


def edm_sigmas():
    return samplers.schedule("karras", 18, sigma_min=0.002, sigma_max=80)


@pytest.mark.parametrize(
    ("method", "sample", "first"),
    [
        ("euler", 0.7230314, 57.8868602),
        ("heun", 0.8276246, 57.8870969),
        ("dpm2", 0.8158010, 57.8870446),
        ("dpmpp-2m", 0.8311401, 57.8868602),
    ],
)
def test_a_gaussian_by_eighteen_levels(method, sample, first):
    sigmas = edm_sigmas()
    np.testing.assert_allclose(samplers.integrate(denoise, 80.3, sigmas, method), sample, atol=5e-8)
    np.testing.assert_allclose(
        samplers.integrate(denoise, 80.3, sigmas[:2], method), first, atol=5e-8
    )
    np.testing.assert_allclose(exact(80.3, 80, 0), 0.7999902, atol=5e-8)


@pytest.mark.parametrize(
    "schedule", ["edm_n18_0.002_80", "dd_n20_0.02_80", "corrdiff_n18_0.002_800"]
)
def test_every_state_is_that_of_the_truth(schedule):
    stated = truth("diffusion")["gaussian"][schedule]
    _, n, low, high = schedule.split("_")
    sigmas = samplers.schedule("karras", int(n[1:]), sigma_min=float(low), sigma_max=float(high))
    names = {"euler": "euler", "heun": "heun", "dpm2": "dpm2", "dpmpp-2m": "dpmpp_2m"}
    for method, name in names.items():
        states = [stated["x_start"]]
        for i in range(1, len(sigmas)):
            states.append(samplers.integrate(denoise, stated["x_start"], sigmas[: i + 1], method))
        np.testing.assert_allclose(states, stated[name], rtol=1e-9)


@pytest.mark.parametrize(
    ("method", "following"), [("euler", 3.0711103), ("heun", 3.1404016), ("dpm2", 3.1076096)]
)
def test_a_churned_step(method, following):
    # In a run of 18 steps S_churn 10 is at the cap, as it is in one.
    sigmas = edm_sigmas()[8:10]
    x = samplers.integrate(
        denoise, 3.5568215197655366, sigmas, method, lambda step: 1.0, churn=10, churn_noise=1.005
    )
    np.testing.assert_allclose(x, following, atol=1e-7)
    outside = {"churn": 10, "churn_max": 1.0}
    np.testing.assert_allclose(
        samplers.integrate(denoise, 3.5, sigmas, method, lambda step: 1.0, **outside),
        samplers.integrate(denoise, 3.5, sigmas, method),
    )


def test_churn_and_ancestral_levels():
    np.testing.assert_allclose([churn_factor(10, 20), churn_factor(40, 18)], 2**0.5 - 1)
    np.testing.assert_allclose(churn_factor(3, 39), 3 / 39)
    np.testing.assert_allclose(ancestral_levels(10, 5), (2.5, 4.3301270), rtol=1e-7)
    np.testing.assert_allclose(ancestral_levels(1, 0.5, 0.5), (0.4506939, 0.2165064), rtol=1e-6)
    np.testing.assert_allclose(ancestral_levels(0.1, 0.05), (0.025, 0.0433013), rtol=1e-6)


@pytest.mark.parametrize(
    ("method", "factor"),
    [
        ("euler", 0.005287893),
        ("heun", 0.006595308),
        ("dpm2", 0.006447513),
        ("dpmpp-2m", 0.006639251),
        ("ab2-angle", 0.006249878),  # exact for the data that its preconditioning assumes
    ],
)
def test_an_untrained_network_scales_the_start(method, factor):
    def untrained(x, sigma):
        return edm_scalings(sigma, 0.5).skip * x

    start = np.array([1.0, -3.0])
    np.testing.assert_allclose(
        samplers.integrate(untrained, start, edm_sigmas(), method), factor * start, rtol=1e-6
    )


@pytest.mark.parametrize("method", DETERMINISTIC)
def test_the_order_of_convergence(method):
    options = {"sigma_data": 1.3} if method == "ab2-angle" else {}
    errors = []
    for n in (40, 80, 160):
        sigmas = np.geomspace(20, 0.05, n + 1)
        sample = samplers.integrate(denoise, 12.0, sigmas, method, **options)
        errors.append(abs(sample - exact(12.0, 20, 0.05)))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, 1 if method == "euler" else 2, atol=0.2)


@pytest.mark.parametrize(("method", "order"), [("ancestral", 1), ("dpmpp-2m-sde", 2)])
def test_the_weak_order_of_stochastic_ones(method, order):
    errors = []
    for n in (40, 80, 160):
        sigmas = np.append(np.geomspace(400, 1e-3, n), 0)
        errors.append(abs(samplers.spread_ratios([0.5], sigmas, method)[0] - 1))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, order, atol=0.3)


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_without_noise_the_stochastic_ones_are_the_others(eta):
    sigmas = edm_sigmas()
    noise = (lambda step: 0.3) if eta else None
    for stochastic, other in (("ancestral", "euler"), ("dpmpp-2m-sde", "dpmpp-2m")):
        sample = samplers.integrate(denoise, 60.0, sigmas, stochastic, noise, eta=eta)
        same = np.isclose(sample, samplers.integrate(denoise, 60.0, sigmas, other), rtol=1e-9)
        assert same == (eta == 0)


def test_the_noise_factor_multiplies_the_added_noise():
    """With data that are 0, only the decaying noise remains, in proportion to the factor."""
    sigmas = [10.0, 4.0, 1.0]

    def last(factor):
        return samplers.integrate(
            lambda x, sigma: 0.0 * x, 0.0, sigmas, "dpmpp-2m-sde", lambda step: 1.0,
            noise_factor=factor,
        )  # fmt: skip

    # Of a step from σ to σ′, the factor of the field is (σ′/σ)² and the variance σ′²(1 − (σ′/σ)²).
    once = 4 * np.sqrt(1 - 0.4**2) * 0.25**2 + np.sqrt(1 - 0.25**2)
    assert last(1.0) == pytest.approx(once)
    assert last(1.5) == pytest.approx(1.5 * once)
    with pytest.raises(InputError, match="noise_factor=0 must be positive"):
        last(0.0)


@pytest.mark.parametrize("method", [*DETERMINISTIC, *STOCHASTIC, "heun,churn=8"])
def test_ten_thousand_samples_of_a_mixture(method):
    weights, means, widths = np.array([0.3, 0.7]), np.array([-0.8, 0.4]), np.array([0.1, 0.25])

    def of_mixture(x, sigma):
        variances = widths**2 + sigma**2
        squares = (x[:, None] - means) ** 2 / variances
        likely = weights / np.sqrt(variances) * np.exp(-(squares - squares.min(1)[:, None]) / 2)
        each = (widths**2 * x[:, None] + sigma**2 * means) / variances
        return (likely * each).sum(axis=1) / likely.sum(axis=1)

    random = np.random.default_rng(0)
    count = 10_000
    which = random.choice(2, size=count, p=weights)
    data = means[which] + widths[which] * random.normal(size=count)
    sigmas = samplers.schedule("exponential", 100, sigma_min=0.01, sigma_max=20)
    start = 20 * random.normal(size=count)
    sample = samplers.integrate(of_mixture, start, sigmas, method, random)
    spread = np.sqrt(np.sum(weights * (widths**2 + means**2)) - np.sum(weights * means) ** 2)
    np.testing.assert_allclose(sample.std(), spread, rtol=0.03)
    assert wasserstein_distance(sample, data) < 0.04 * spread


@pytest.mark.parametrize("method", [*DETERMINISTIC, *STOCHASTIC, "euler,churn=5"])
def test_the_precision_is_that_of_the_start(method):
    import tensorflow as tf

    start = np.linspace(-40, 40, 12).reshape(2, 2, 3, 1)
    sigmas = samplers.schedule("karras", 9, sigma_min=0.02, sigma_max=40)
    fine = samplers.integrate(denoise, start, sigmas, method, np.random.default_rng(0))
    coarse = samplers.integrate(
        denoise, start.astype("f4"), sigmas, method, np.random.default_rng(0)
    )
    tensor = samplers.integrate(
        denoise, tf.constant(start, "float32"), sigmas, method, np.random.default_rng(0)
    )
    assert (fine.dtype, coarse.dtype, tensor.dtype) == (np.float64, np.float32, tf.float32)
    np.testing.assert_allclose(coarse, fine, atol=1e-4)
    np.testing.assert_allclose(tensor, fine, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "sigmas", "message"),
    [
        ("rk4", [1, 0], "sampler 'rk4' is unknown: choose one of ab2-angle, ancestral"),
        ("heun,eta=1", [1, 0], "sampler heun has no option 'eta': it has churn=0.0"),
        ("heun", [1, 2, 0], "noise levels that descend to 0"),
        ("ddim", [1, 0], "signal levels that ascend"),
        ("heun,churn=5", [1, 0], "sampler heun draws noise with these options"),
    ],
)
def test_impossible_choices_are_named(method, sigmas, message):
    with pytest.raises(InputError, match=message):
        samplers.integrate(denoise, 1.0, sigmas, method)


def test_samplers_load_no_tensorflow():
    code = (
        "import sys; from phire.downscaling import samplers; "
        "samplers.integrate(lambda x, s: 0 * x, 1.0, [1.0, 0.0], 'heun'); "
        "print('loaded:', *sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True
    )
    assert done.stdout.decode().splitlines()[-1] == "loaded:"
