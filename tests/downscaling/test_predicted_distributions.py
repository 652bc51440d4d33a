"""Distributions: likelihoods against SciPy, means and quantiles of every normalization."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
from sklearn.metrics import mean_pinball_loss

from phire.cli.part_choice import registry_of
from phire.downscaling.predicted_distributions.registry import distribution
from phire.errors import InputError
from phire.fields.normalization import Normalization

CHANNELS = ("a", "b")
KINDS = ("z", "minmax", "sqrt", "log:0.1", "log1p", "none", "z,log:0.5")
NAMES = ("gaussian", "bernoulli-gamma", "quantiles")


def normalization(kind):
    return Normalization(
        kind, CHANNELS, (2.0, 3.0), (1.5, 2.5), (0.4, 0.6), (0.7, 0.5), minimum=(0.0, 0.0),
        maximum=(20.0, 30.0),
    )  # fmt: skip


def outputs(parameters, count=400):
    return np.random.default_rng(2).normal(size=(count, 2 * parameters)).astype("f4")


def softplus(x):
    return np.logaddexp(0, np.float64(x))


def test_all_are_parts():
    assert set(distribution.parts()) == set(registry_of("distribution").parts()) == set(NAMES)


def test_the_gaussians_loss_is_scipys():
    made, raw = distribution.build("gaussian,least=0.01", normalization("z")), outputs(2)
    truth = np.random.default_rng(3).normal(size=(400, 2)).astype("f4")
    expected = -scipy.stats.norm.logpdf(truth, raw[:, :2], softplus(raw[:, 2:]) + 0.01)
    np.testing.assert_allclose(made.loss(tf.constant(truth), tf.constant(raw)), expected, rtol=1e-4,
                               atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_bernoulli_gammas_loss_is_scipys(kind):
    norm = normalization(kind)
    made, raw = distribution.build("bernoulli-gamma,threshold=0.1", norm), outputs(3)
    random = np.random.default_rng(4)
    rain = random.gamma(0.7, 4, (400, 2)) * (random.random((400, 2)) < 0.6)
    truth = norm.apply(rain).astype("f4")
    logit, shape, scale = np.split(np.float64(raw), 3, axis=-1)
    wet, shape, scale = 1 / (1 + np.exp(-logit)), softplus(shape) + 1e-3, softplus(scale) + 1e-3
    unit = np.array([1.5, 2.5])
    seen = norm.invert(truth).astype("f8")
    density = scipy.stats.gamma.logpdf(np.maximum(seen, 0.1) / unit, shape, scale=scale)
    expected = -np.where(seen > 0.1, np.log(wet) + density, np.log(1 - wet))
    found = made.loss(tf.constant(truth), tf.constant(raw))
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_the_quantiles_loss_is_scikit_learns():
    levels = [0.1, 0.5, 0.8]
    made = distribution.build({"name": "quantiles", "levels": levels}, normalization("z"))
    raw, truth = outputs(3), outputs(1)
    expected = [
        mean_pinball_loss(truth.ravel(), raw[:, 2 * k : 2 * k + 2].ravel(), alpha=level)
        for k, level in enumerate(levels)
    ]
    found = np.mean(made.loss(tf.constant(truth), tf.constant(raw)))
    assert found == pytest.approx(np.mean(expected), rel=1e-5)


def scipys(name, norm, raw):
    """Quantile function of each value by SciPy, (levels, …) → physical."""
    if name == "gaussian":
        mean, deviation = np.float64(raw[:, :2]), softplus(raw[:, 2:]) + 1e-3
        return lambda level: norm.invert(scipy.stats.norm.ppf(level, mean, deviation))
    logit, shape, scale = np.split(np.float64(raw), 3, axis=-1)
    wet, shape, scale = 1 / (1 + np.exp(-logit)), softplus(shape) + 1e-3, softplus(scale) + 1e-3
    unit = np.array([1.5, 2.5])

    def quantile(level):
        within = np.clip((level - 1 + wet) / wet, 0, 1)
        return scipy.stats.gamma.ppf(within, shape, scale=scale * unit)

    return quantile


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["gaussian", "bernoulli-gamma"])
def test_quantiles_and_means_are_scipys(name, kind):
    norm = normalization(kind)
    made = distribution.build(name, norm)
    raw = outputs(made.parameters, 20)
    expected = scipys(name, norm, raw)
    for level in (0.05, 0.5, 0.99):
        np.testing.assert_allclose(made.quantile(raw, level), expected(level), rtol=1e-5, atol=1e-6)
    if name == "gaussian":
        mean, deviation = np.float64(raw[:, :2]), softplus(raw[:, 2:]) + 1e-3
        grid = np.linspace(-9, 9, 20001)[:, None, None]
        values = norm.invert(mean + deviation * grid) * scipy.stats.norm.pdf(grid)
        integral = scipy.integrate.simpson(values, x=grid[:, 0, 0], axis=0)
        np.testing.assert_allclose(made.mean(raw), integral, rtol=2e-3, atol=2e-3)
    members = made.quantile(np.repeat(raw[None], 4000, 0),
                            np.random.default_rng(0).random((4000, 20, 2)))  # fmt: skip
    error = members.std(0) / np.sqrt(4000)
    assert (np.abs(members.mean(0) - made.mean(raw)) < 5 * error + 1e-6).all()


@pytest.mark.parametrize("kind", ["z", "log:0.1"])
def test_quantiles_interpolate_between_their_levels(kind):
    norm = normalization(kind)
    levels = [0.1, 0.5, 0.8]
    made = distribution.build({"name": "quantiles", "levels": levels}, norm)
    raw = outputs(3, 10)
    known = np.sort(np.float64(raw).reshape(10, 3, 2), axis=1)
    for level in (0.0, 0.1, 0.3, 0.5, 0.77, 0.95):
        expected = [[np.interp(level, levels, known[i, :, c]) for c in range(2)] for i in range(10)]
        np.testing.assert_allclose(made.quantile(raw, level), norm.invert(np.array(expected)))
    fine = np.mean([made.quantile(raw, (k + 0.5) / 4000) for k in range(4000)], axis=0)
    np.testing.assert_allclose(made.mean(raw), fine, rtol=1e-3, atol=1e-3)
    one = distribution.build("quantiles,levels=[0.7]", norm)
    np.testing.assert_allclose(one.quantile(raw[:, :2], 0.2), norm.invert(np.float64(raw[:, :2])))


@pytest.mark.parametrize("name", NAMES)
def test_the_center_is_the_mean_of_linear_normalizations(name):
    norm = normalization("z")
    made = distribution.build(name, norm)
    # Where the quantiles are in order, as the center takes them.
    raw = np.sort(outputs(made.parameters).reshape(400, -1, 2), axis=1).reshape(400, -1)
    np.testing.assert_allclose(
        norm.invert(np.asarray(made.center(tf.constant(raw)))), made.mean(raw), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("specification", "said"),
    [
        ("gaussian,least=0", "least=0 must be positive"),
        ("bernoulli-gamma,threshold=0", "threshold=0 must be positive"),
        ("bernoulli-gamma,threshold=[1,2,3]", "one for each of a, b"),
        ("quantiles,levels=[0.5,0.2]", "must be ascending"),
        ("quantiles,levels=[0.5,1.2]", "between 0 and 1"),
        ("quantiles,levels=0.5", "must be ascending"),
        ("gumbel", "distribution 'gumbel' is unknown"),
    ],
)
def test_impossible_options_are_refused(specification, said):
    with pytest.raises(InputError, match=said):
        distribution.build(specification, normalization("z"))


def test_bernoulli_gamma_is_of_amounts():
    wind = Normalization("z", ("u", "v"), (2.0, -3.0), (1.5, 2.5))
    with pytest.raises(InputError, match="the mean of v is -3"):
        distribution.build("bernoulli-gamma", wind)
