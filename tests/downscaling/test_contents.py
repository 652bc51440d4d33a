"""Content losses against closed forms and independent implementations."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.fft
import scipy.stats
import tensorflow as tf
from skimage.metrics import structural_similarity
from sklearn.metrics import mean_pinball_loss

from complete_samples import DOMAIN, schema
from phire.cli.part_choice import registry_of
from phire.downscaling.contents.registry import content
from phire.downscaling.contents.weighted_sum import build_content, parse_content
from phire.downscaling.contents.weighting import AreaWeights
from phire.downscaling.generator_task import Task
from phire.errors import InputError
from phire.fields.conservative_maps import cell_areas
from phire.fields.normalization import Normalization
from phire.records.schema import DOWNSCALING, SampleArray, SampleSchema

RANDOM = np.random.default_rng(0)
NAMES = {
    "mse", "mae", "rmse", "huber", "quantile", "asymmetric", "dssim", "msdssim", "spectral",
    "gradient", "dssim_mae", "dssim_mse", "dssim_mae_mse", "msdssim_mae", "msdssim_mae_mse",
}  # fmt: skip


def task(patch=(96, 88), channels=("a", "b"), mean=(2.0, 3.0), window=None):
    normalization = Normalization("z", channels, mean, (1.5,) * len(channels))
    steps = () if window is None else (window,)

    def array(size):
        units = ("mm",) * len(channels)
        shape = (*steps, *size, len(channels))
        return SampleArray(channels, units, shape, normalization=normalization)

    arrays = {"low": array((patch[0] // 4, patch[1] // 4)), "high": array(patch)}
    return Task(SampleSchema(DOWNSCALING, arrays, scale=4, window=window), "srgan", {})


def pair(shape=(3, 96, 88, 2), seed=1):
    """Smooth truths, and generated fields near them."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[-3], : shape[-2]]
    waves = np.sin(rows / 7) * np.cos(columns / 5)
    truth = waves[..., None] + 0.3 * random.normal(size=shape)
    return truth.astype("f4"), (truth + 0.4 * random.normal(size=shape) + 0.2).astype("f4")


def loss(text, truth, generated, weights=None, of=None):
    return float(build_content(parse_content(text), of or task())(truth, generated, weights))


def test_all_contents_are_parts():
    assert set(content.parts()) == NAMES
    assert set(registry_of("content").parts()) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_content_is_least_at_the_truth_and_has_finite_gradients(name):
    truth, generated = (tf.constant(x) for x in pair(seed=2))
    built = build_content([(1.0, name)], task())
    # MS-SSIM's variances are differences of float32 squares.
    assert float(built(truth, truth, None)) == pytest.approx(0, abs=2e-6)
    for point in (truth, generated, tf.zeros_like(truth)):
        for weights in (None, tf.cast(truth > 0, tf.float32), tf.zeros_like(truth)):
            masked = [x if weights is None else x * weights for x in (truth, point)]
            with tf.GradientTape() as tape:
                tape.watch(masked[1])
                value = built(*masked, weights)
            gradient = tape.gradient(value, masked[1])
            assert np.isfinite(value) and np.isfinite(gradient).all()
            if weights is None and point is generated:
                assert float(value) > 1e-3 and float(tf.reduce_max(tf.abs(gradient))) > 0


@pytest.mark.parametrize("name", sorted(NAMES))
def test_nothing_invalid_enters_a_content(name):
    truth, generated = pair()
    valid = np.ones_like(truth)
    valid[:, 20:60, 30:50, 0] = 0
    values = []
    for poison in (0.0, 50.0):
        a, b = truth.copy(), generated.copy()
        a[valid == 0] = b[valid == 0] = poison
        values.append(loss(name, a * valid, b * valid, valid))
    assert values[0] == values[1]
    # Errors at valid points alone: what lies apart from the hole is judged as without one.
    equal = np.where(np.roll(valid, 5, 1) > 0, truth, generated)
    assert loss(name, truth * valid, equal * valid, valid) >= 0


def test_contents_of_values():
    truth, generated = pair()
    error = truth - generated
    size = np.abs(error)
    assert loss("mse", truth, generated) == pytest.approx(np.mean(error**2), rel=1e-5)
    assert loss("mae", truth, generated) == pytest.approx(np.mean(size), rel=1e-5)
    roots = np.sqrt(np.mean(error**2, (1, 2)))
    assert loss("rmse", truth, generated) == pytest.approx(roots.mean(), rel=1e-5)
    huber = np.where(size < 0.3, error**2 / 2, 0.3 * (size - 0.15))
    assert loss("huber(delta=0.3)", truth, generated) == pytest.approx(huber.mean(), rel=1e-5)
    expected = mean_pinball_loss(truth.ravel(), generated.ravel(), alpha=0.9)
    assert loss("quantile(level=0.9)", truth, generated) == pytest.approx(expected, rel=1e-5)
    halves = loss("quantile", truth, generated)
    assert halves == pytest.approx(loss("mae", truth, generated) / 2, rel=1e-5)


def test_the_asymmetric_content_weighs_rare_underestimates():
    truth, generated = pair()
    physical = np.maximum(truth * 1.5 + [2.0, 3.0], 0)
    gamma = np.empty_like(physical)
    for c, mean in enumerate((2.0, 3.0)):
        shape, scale = mean**2 / 1.5**2, 1.5**2 / mean
        gamma[..., c] = scipy.stats.gamma.cdf(physical[..., c], shape, scale=scale)
    expected = np.abs(truth - generated) + 3 * gamma**2 * np.maximum(truth - generated, 0)
    found = loss("asymmetric(weight=3)", truth, generated)
    assert found == pytest.approx(expected.mean(), rel=1e-4)
    given = loss("asymmetric(shape=2,scale=[1,4])", truth, generated)
    gamma = scipy.stats.gamma.cdf(physical, 2, scale=[1, 4])
    expected = np.abs(truth - generated) + gamma**2 * np.maximum(truth - generated, 0)
    assert given == pytest.approx(expected.mean(), rel=1e-4)


def test_dssim_is_scikit_images():
    truth, generated = pair()
    expected = []
    for c in range(2):
        least = truth[..., c].min()
        span = truth[..., c].max() - least
        for a, b in zip(truth[..., c] - least, generated[..., c] - least):
            expected.append(structural_similarity(
                np.float64(a), np.float64(b), data_range=span, gaussian_weights=True, sigma=1.5,
                    use_sample_covariance=False,
            ))  # fmt: skip
    found = loss("dssim", truth, generated)
    assert found == pytest.approx((1 - np.mean(expected)) / 2, rel=1e-4)


def test_a_bias_counts_in_dssim_but_not_in_dl4ds_own():
    truth, _ = pair()
    truth -= 3
    assert loss("dssim", truth, truth - 2) > 0.05
    assert loss("dssim(preset=dl4ds)", truth, truth - 2) < 0.001


@pytest.mark.parametrize("name", ["dssim", "msdssim"])
def test_dl4ds_preset_is_tensorflows_ssim_of_shifted_fields(name):
    truth, generated = pair((3, 96, 88, 1))
    span = max(truth.max(), generated.max()) - min(truth.min(), generated.min())
    a, b = (x - min(x.min(), 0) for x in (truth, generated))
    one = task(channels=("a",), mean=(1.0,))
    if name == "dssim":
        similarity = tf.image.ssim(a, b, span)
    else:
        powers = (0.0448, 0.2856, 0.3001, 0.2363)
        similarity = tf.image.ssim_multiscale(a, b, span, power_factors=powers)
    expected = float(tf.reduce_mean((1 - similarity) / 2))
    assert loss(f"{name}(preset=dl4ds)", truth, generated, of=one) == pytest.approx(
        expected, rel=1e-4
    )


def test_msdssim_of_odd_sizes_is_tensorflows():
    truth, generated = pair((2, 83, 95, 1))
    truth, generated = truth - truth.min(), generated - truth.min()
    powers = np.array([0.0448, 0.2856, 0.3001])
    similarity = tf.image.ssim_multiscale(
        truth, generated, truth.max(), power_factors=powers, filter_size=7
    )
    expected = float(tf.reduce_mean((1 - similarity) / 2))
    one = task((83, 95), ("a",), (1.0,))
    found = loss("msdssim(size=7,levels=3)", truth, generated, of=one)
    assert found == pytest.approx(expected, rel=1e-4)


def test_masked_ssim_is_of_the_valid_points_of_each_window():
    truth, generated = pair((1, 15, 15, 1))
    valid = (RANDOM.random(truth.shape) < 0.7).astype("f4")
    one = task((15, 15), ("a",), (1.0,))
    least, span = truth[valid > 0].min(), np.ptp(truth[valid > 0])
    profile = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    kernel = np.outer(profile, profile)
    values, weights = [], []
    for i in range(5):
        for j in range(5):
            cut = (0, slice(i, i + 11), slice(j, j + 11), 0)
            w = kernel * valid[cut] / (kernel * valid[cut]).sum()
            x, y = np.float64(truth[cut] - least), np.float64(generated[cut] - least)
            mx, my = (w * x).sum(), (w * y).sum()
            vx, vy, cov = (w * (x - mx) ** 2).sum(), (w * (y - my) ** 2).sum(), (
                w * (x - mx) * (y - my)).sum()  # fmt: skip
            c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
            values.append((2 * mx * my + c1) / (mx**2 + my**2 + c1)
                          * (2 * cov + c2) / (vx + vy + c2))  # fmt: skip
            weights.append(valid[0, i + 5, j + 5, 0])
    expected = (1 - np.average(values, weights=weights)) / 2
    found = loss("dssim", truth * valid, generated * valid, valid, one)
    assert found == pytest.approx(expected, rel=1e-4)


def test_mixtures_have_dl4ds_weights():
    truth, generated = pair()
    parts = {name: loss(name, truth, generated) for name in ("mae", "mse", "dssim", "msdssim")}
    for name, weights in {
        "dssim_mae": {"dssim": 0.8, "mae": 0.2},
        "dssim_mse": {"dssim": 0.8, "mse": 0.2},
        "dssim_mae_mse": {"dssim": 0.6, "mae": 0.2, "mse": 0.2},
        "msdssim_mae": {"msdssim": 0.8, "mae": 0.2},
        "msdssim_mae_mse": {"msdssim": 0.6, "mae": 0.2, "mse": 0.2},
    }.items():
        expected = sum(weight * parts[part] for part, weight in weights.items())
        assert loss(name, truth, generated) == pytest.approx(expected, rel=1e-5)
        written = "+".join(f"{weight}*{part}" for part, weight in weights.items())
        assert loss(written, truth, generated) == pytest.approx(expected, rel=1e-5)


def test_the_spectral_content_is_of_scipys_transform():
    truth, generated = pair()
    amplitudes = [
        np.log(scipy.fft.dctn(np.float64(x), axes=(1, 2), norm="ortho") ** 2 + 1e-4) / 2
        for x in (truth, generated)
    ]
    expected = np.abs(amplitudes[1] - amplitudes[0]).mean()
    found = loss("spectral(epsilon=1e-2)", truth, generated)
    assert found == pytest.approx(expected, rel=1e-3)
    # Twice the amplitude is ln 2 at every wavenumber.
    one = loss("spectral(epsilon=1e-6)", truth, 2 * truth)
    assert one == pytest.approx(np.log(2), rel=1e-3)


@pytest.mark.parametrize("power", [1, 2])
def test_the_gradient_content_is_of_first_differences(power):
    truth, generated = pair()
    error = np.float64(generated - truth)
    expected = np.mean([np.mean(np.abs(np.diff(error, axis=axis)) ** power) for axis in (1, 2)])
    assert loss(f"gradient(power={power})", truth, generated) == pytest.approx(expected, rel=1e-4)
    assert loss("gradient", truth, truth + 5) == pytest.approx(0, abs=1e-6)


def test_steps_of_a_window_count_as_fields():
    truth, generated = pair((2, 3, 96, 88, 2))
    of = task(window=3)
    for name in sorted(NAMES):
        apart = loss(name, truth.reshape(6, 96, 88, 2), generated.reshape(6, 96, 88, 2))
        assert loss(name, truth, generated, of=of) == pytest.approx(apart, rel=1e-6), name


def test_area_weights_are_cell_areas_at_the_patchs_place():
    weights = AreaWeights(schema())(tf.constant([[0, 0], [31, 40]]))
    areas = cell_areas(DOMAIN)
    areas = areas / areas.mean()
    np.testing.assert_allclose(weights[0, :, :, 0], areas[:8, :8], rtol=1e-6)
    np.testing.assert_allclose(weights[1, :, :, 0], areas[31:39, 40:], rtol=1e-6)
    assert weights[1].numpy().min() > 1.1 * weights[0].numpy().max()
    truth, generated = pair((2, 8, 8, 2))
    expected = np.average((truth - generated) ** 2, weights=np.broadcast_to(weights, truth.shape))
    assert loss("mse", truth, generated, weights) == pytest.approx(expected, rel=1e-5)
    bare = dataclasses.replace(schema(), domain=None)
    with pytest.raises(InputError, match="area needs records with positions"):
        AreaWeights(bare)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dsim", "content dsim is neither a metric directory nor one of asymmetric, dssim"),
        ("huber(delta=0)", "delta=0 must be positive"),
        ("huber(gamma=1)", "content huber has no option 'gamma'"),
        ("hubert(delta=1)", "content 'hubert' is unknown"),
        ("quantile(level=1.5)", "level=1.5 must lie between 0 and 1"),
        ("spectral(epsilon=0)", "epsilon=0 must be positive"),
        ("gradient(power=0.5)", "power=0.5 must be at least 1"),
        ("dssim(size=4)", "size=4 must be an odd number"),
        ("msdssim(levels=5)", "levels=5 must be from 1 to 4"),
        ("dssim(preset=x)", "preset=x must be one of none, dl4ds"),
        ("asymmetric(shape=1)", "give both shape and scale"),
        ("asymmetric(weight=0)", "weight=0 and power=2 must be positive"),
        ("mse+", "is not a weighted sum"),
    ],
)
def test_contents_that_do_not_fit_are_refused(text, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        build_content(parse_content(text), task())


def test_patches_too_small_for_a_window_are_told():
    with pytest.raises(InputError, match="needs patches of 81 points a side"):
        build_content([(1.0, "msdssim")], task((80, 96)))
    with pytest.raises(InputError, match=r"patches of 11 points .* have 8: give dssim\(size=…\)"):
        build_content([(1.0, "dssim_mae")], task((8, 8)))
    with pytest.raises(InputError, match="with a positive mean"):
        build_content([(1.0, "asymmetric")], task(mean=(0.0, 1.0)))
