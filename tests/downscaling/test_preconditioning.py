"""Scalings, weights and noise levels against their formulas' numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from networks.truth_weights import truth
from phire.downscaling.preconditioning import (
    check_sigma_range,
    edm_scalings,
    log_uniform_sigma,
    lognormal_sigma,
    output_weight,
    vp_scalings,
    vp_sigma,
    vp_time,
)
from phire.errors import InputError


def denoised_weight(kind, sigma, sigma_data=0.5):
    """The weight of the squared error of D that equals ``output_weight`` on F.

    For ``edm`` it is λ(σ) = (σ²+d²)/(σ·d)².
    """
    ratio = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    return output_weight(kind, sigma, sigma_data) * ratio


@pytest.mark.parametrize(
    ("sigma", "skip", "out", "into", "noise", "weight"),
    [
        (0.1, 0.9615385, 0.0980581, 1.9611614, -0.5756463, 104),
        (1.0, 0.2, 0.4472136, 0.8944272, 0.0, 5),
        (10.0, 0.00249377, 0.4993762, 0.0998752, 0.5756463, 4.01),
    ],
)
def test_edms_scalings(sigma, skip, out, into, noise, weight):
    np.testing.assert_allclose(edm_scalings(sigma, 0.5), (skip, out, into, noise), atol=1e-7)
    np.testing.assert_allclose(denoised_weight("edm", sigma, 0.5), weight)


def test_scalings_are_those_of_the_truth():
    stated = truth("diffusion")
    for data, levels in stated["edm_preconditioning"].items():
        if not data.startswith("sigma_data"):
            continue
        d = float(data.partition("=")[2])
        for level, numbers in levels.items():
            sigma = float(level.partition("=")[2])
            expected = [numbers[name] for name in ("c_skip", "c_out", "c_in", "c_noise_edm")]
            np.testing.assert_allclose(edm_scalings(sigma, d), expected, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(denoised_weight("edm", sigma, d), numbers["weight"])
    vp = stated["vp"]
    for time, sigma in vp["sigma_of_t"].items():
        np.testing.assert_allclose(vp_sigma(float(time)), sigma, rtol=1e-12)
    for sigma, time in vp["t_of_sigma"].items():
        np.testing.assert_allclose(vp_time(float(sigma)), time, rtol=1e-12)
    for level, numbers in vp["preconditioning"].items():
        expected = [numbers[name] for name in ("c_skip", "c_out", "c_in")]
        np.testing.assert_allclose(vp_scalings(float(level.partition("=")[2]))[:3], expected)
    quantiles = {name: np.array(q) for name, q in stated["training_sigma_quantiles"].items()}
    for name, drawn in (
        ("edm_-1.2_1.2", lognormal_sigma(quantiles["q"])),
        ("corrdiff_0_1.2", lognormal_sigma(quantiles["q"], 0, 1.2)),
        ("dd_lognormal_half_-1.6_0.8", lognormal_sigma(quantiles["q"], -1.6, 0.8)),
        ("dd_loguniform_half_0.02_80.1", log_uniform_sigma(quantiles["q"], 0.02, 80.1)),
    ):
        np.testing.assert_allclose(drawn, quantiles[name], rtol=1e-6, err_msg=name)


def test_the_variance_preserving_process():
    times = np.array([1e-3, 0.1, 0.5, 1.0])
    np.testing.assert_allclose(
        vp_sigma(times), [0.01048599, 0.3401765, 3.4129183, 152.16697], rtol=1e-6
    )
    np.testing.assert_allclose(vp_time(np.array([1.0, 10.0])), [0.2589603, 0.6760450], rtol=1e-6)
    np.testing.assert_allclose(vp_time(vp_sigma(times)), times)
    scalings = vp_scalings(np.array([1.0]))
    np.testing.assert_allclose(np.ravel(scalings[:3]), [1, -1, 0.5**0.5])
    np.testing.assert_allclose(scalings.noise, 999 * vp_time(1.0))


def test_the_targets_of_the_network_have_unit_variance():
    random = np.random.default_rng(0)
    clean = random.normal(scale=0.3, size=200_000)
    for sigma in (0.02, 0.3, 5.0):
        noisy = clean + sigma * random.normal(size=clean.size)
        skip, out, into, _ = edm_scalings(sigma, 0.3)
        np.testing.assert_allclose(np.std((clean - skip * noisy) / out), 1, atol=0.01)
        np.testing.assert_allclose(np.std(into * noisy), 1, atol=0.01)


def test_weights_of_the_output_and_of_the_denoised_field_are_one_loss():
    sigma = np.array([0.1, 1.0, 4.0])
    out = edm_scalings(sigma, 0.5).out
    for kind in ("edm", "soft-min-snr", "snr"):
        np.testing.assert_allclose(
            denoised_weight(kind, sigma) * out**2, output_weight(kind, sigma)
        )
    np.testing.assert_allclose(output_weight("edm", sigma), 1)
    np.testing.assert_allclose(output_weight("snr", 1.0), 0.2)
    np.testing.assert_allclose(output_weight("soft-min-snr", 1.0), 0.25 / 1.25**2)


def test_quantiles_draw_the_distribution():
    drawn = lognormal_sigma(np.array([0.1, 0.5, 0.9]), -0.8, 1.3)
    np.testing.assert_allclose(norm.cdf((np.log(drawn) + 0.8) / 1.3), [0.1, 0.5, 0.9])
    np.testing.assert_allclose(log_uniform_sigma(np.array([0, 0.5, 1]), 0.01, 100), [0.01, 1, 100])


def test_impossible_ones_are_named():
    with pytest.raises(InputError, match="must be one of edm, soft-min-snr, snr"):
        output_weight("min-snr", 1.0)
    with pytest.raises(InputError, match="sigma_min 2 must be above 0 and below sigma_max 1"):
        check_sigma_range(2, 1)
