"""Spread of Gaussian modes: the truth's table, and which sampler is the default."""

from __future__ import annotations

import numpy as np
import pytest

from networks.truth_weights import truth
from phire.downscaling import samplers

MODES = (0.005, 0.02, 0.1, 0.5, 2.0)


def karras(n, sigma_min, sigma_max):
    return samplers.schedule("karras", n, sigma_min=sigma_min, sigma_max=sigma_max)


@pytest.mark.parametrize(
    ("method", "sigmas", "ratios"),
    [
        ("heun", karras(18, 0.002, 80), (1.1370345, 1.1426125, 1.0901707, 1.0552493, 1.0360314)),
        ("heun", karras(18, 0.002, 800), (1.4580296, 1.3717950, 1.2202251, 1.1317410, 1.0860766)),
        ("euler", karras(9, 0.002, 80), (0.4945701, 0.5828603, 0.6317735, 0.6989858, 0.7468197)),
        (
            "dpm2,churn=10,churn_noise=1.005,churn_min=0.04,churn_max=50",
            karras(20, 0.02, 80),
            (0.2447898, 0.7433283, 1.0648484, 1.0663542, 1.0536819),
        ),
    ],
)
def test_presets_of_others(method, sigmas, ratios):
    np.testing.assert_allclose(samplers.spread_ratios(MODES, sigmas, method), ratios, atol=6e-8)


def test_every_number_of_the_truth():
    stated = truth("diffusion")["gaussian_modes_std_ratio"]
    names = {
        "heun": "heun", "dpm2": "dpm2", "dpmpp2m": "dpmpp-2m", "trig_ab2_karras": "ab2-angle",
    }  # fmt: skip
    compared = 0
    for name, ratios in stated["ode"].items():
        solver, evaluations, levels = name.split()
        sigma_min, sigma_max = levels.split("-")
        n = int(evaluations.removeprefix("nfe"))
        if solver in names:
            method = names[solver]
            n = (n + 1) // 2 if method in ("heun", "dpm2") else n
            sigmas = karras(n, float(sigma_min), float(sigma_max))
        elif solver.startswith("trig_ab2"):
            method, power = "ab2-angle", {"uniform": 1, "theta^2": 2, "theta^3": 3}[solver[9:]]
            sigmas = samplers.schedule("angle", n, sigma_max=float(sigma_max), power=power)
        else:
            continue  # Heun in the angle, which phire does not have
        spread = samplers.spread_ratios(stated["s"], sigmas, method, start_with_data=True)
        np.testing.assert_allclose(spread, np.abs(ratios), rtol=1e-9, err_msg=name)
        compared += 1
    assert compared == 88


def test_churn_and_presets_of_the_truth():
    stated = truth("diffusion")["gaussian_modes_std_ratio"]
    churn = "churn=10,churn_min=.04,churn_max=50"
    for name, method, sigmas in (
        (
            "dd_best dpm2 n20 0.02-80 churn10 snoise1.005 tmin.04 tmax50",
            f"dpm2,{churn},churn_noise=1.005",
            karras(20, 0.02, 80),
        ),
        ("dpm2 n20 0.02-80 no churn", "dpm2", karras(20, 0.02, 80)),
        (
            "dpm2 n20 0.002-80 churn10 snoise1 tmin.04 tmax50",
            f"dpm2,{churn}",
            karras(20, 0.002, 80),
        ),
        (
            "heun n20 0.02-80 churn10 snoise1.005",
            f"heun,{churn},churn_noise=1.005",
            karras(20, 0.02, 80),
        ),
        ("edm heun n18 0.002-80", "heun", karras(18, 0.002, 80)),
        ("corrdiff heun n18 0.002-800", "heun", karras(18, 0.002, 800)),
        ("corrdiff euler n9 0.002-80 (deterministic sampler)", "euler", karras(9, 0.002, 80)),
        ("euler n18 0.002-80", "euler", karras(18, 0.002, 80)),
        ("dd vpsde-like euler n39 churn3 karras", "euler,churn=3", karras(39, 0.002, 80)),
    ):
        spread = samplers.spread_ratios(stated["s"], sigmas, method)
        np.testing.assert_allclose(
            spread, stated["with_churn_and_presets"][name], rtol=1e-9, err_msg=name
        )


def test_one_mode_of_the_datas_own_spread():
    stated = truth("diffusion")["one_dimensional_solver_test"]["gaussian_matched"]
    names = {
        "heun_edm": "heun", "dpm2_edm": "dpm2", "dpmpp2m_edm": "dpmpp-2m",
        "trig_ab2_karras": "ab2-angle",
    }  # fmt: skip
    for level, solvers in stated.items():
        sigma_max = float(level.partition("=")[2])
        for name, method in names.items():
            for evaluations, numbers in solvers[name].items():
                n = int(evaluations.removeprefix("nfe"))
                n = (n + 1) // 2 if method in ("heun", "dpm2") else n
                (ratio,) = samplers.spread_ratios([0.5], karras(n, 0.002, sigma_max), method)
                # The truth's is of drawn quantiles, whose standard deviation is a little less.
                np.testing.assert_allclose(ratio, numbers["std_ratio"], rtol=5e-4)


@pytest.mark.parametrize("levels", [(0.002, 80.0), samplers.sigma_range(np.square(MODES))])
def test_the_default_has_the_least_error_of_spread_for_twenty_evaluations(levels):
    errors = {}
    for method in ("euler", "heun", "dpm2", "dpmpp-2m", "dpmpp-2m-sde", "ancestral", "ab2-angle"):
        n = 10 if method in ("heun", "dpm2") else samplers.DEFAULT_STEPS
        for name in ("karras", "exponential", "vp", "angle"):
            sigmas = samplers.schedule(name, n, sigma_min=levels[0], sigma_max=levels[1])
            ratios = samplers.spread_ratios(MODES, sigmas, method)
            errors[method, name] = np.abs(ratios - 1).mean()
    assert min(errors, key=errors.get) == (samplers.DEFAULT_METHOD, samplers.DEFAULT_SCHEDULE)
    assert min(errors.values()) < 0.03
