"""Statistics against lag by closed forms and scikit-image."""

import numpy as np
import pytest
import xarray as xr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from phire.rplearn.lag_statistics import LagStatistics, add_scales, pixel_measures, scale_to


def test_pixel_measures_equal_scikit_image():
    rng = np.random.default_rng(0)
    first = rng.standard_normal((2, 40, 36, 2)).astype(np.float32)
    second = (first + 0.3 * rng.standard_normal(first.shape)).astype(np.float32)
    lowest, highest = np.array([-5.0, -4.0]), np.array([5.0, 6.0])
    measures = pixel_measures(first, second, lowest, highest)
    for i in range(2):
        a, b = first[i], second[i]
        assert measures["l1"][i] == pytest.approx(np.abs(a - b).mean(), rel=1e-5)
        assert measures["l2"][i] == pytest.approx(((a - b) ** 2).mean(), rel=1e-5)
        scaled = [(x - lowest) / 10 for x in (a, b)]
        expected = peak_signal_noise_ratio(*scaled, data_range=1)
        assert measures["psnr"][i] == pytest.approx(50 - expected, rel=1e-5)
        similarity = np.mean(
            [
                # Only the windows that lie wholly inside count.
                structural_similarity(
                    scaled[0][..., c],
                    scaled[1][..., c],
                    data_range=1,
                    gaussian_weights=True,
                    sigma=1.5,
                    use_sample_covariance=False,
                    full=True,
                )[1][5:-5, 5:-5].mean()
                for c in range(2)
            ]
        )
        assert measures["ssim"][i] == pytest.approx((1 - similarity) / 2, rel=1e-5)


def test_equal_pairs_have_finite_measures():
    patch = np.ones((1, 16, 16, 1), np.float32)
    measures = pixel_measures(patch, patch, np.array([0.0]), np.array([2.0]))
    assert measures["l1"] == measures["l2"] == 0
    assert measures["ssim"] == pytest.approx(0, abs=1e-6)
    assert np.isfinite(measures["psnr"]).all()


def test_scale_is_the_least_squares_factor_over_the_upper_half():
    values, target = np.array([9.0, 9.0, 1.0, 2.0]), np.array([0.0, 0.0, 2.0, 4.0])
    assert scale_to(values, target) == pytest.approx(2)
    factors = np.linspace(0, 4, 4001)
    noisy = target + np.array([0, 0, 0.1, -0.3])
    squares = [np.sum((f * values[2:] - noisy[2:]) ** 2) for f in factors]
    assert scale_to(values, noisy) == pytest.approx(factors[np.argmin(squares)], abs=1e-3)


def test_mean_spread_count_and_rank_correlation_per_lag():
    statistics = LagStatistics(4)
    statistics.update(np.array([1, 1, 2]), {"a": np.array([1.0, 3.0, 5.0]), "b": np.zeros(3)})
    statistics.update(np.array([4, 4]), {"a": np.array([6.0, 6.0]), "b": np.zeros(2)})
    result = statistics.result()
    np.testing.assert_allclose(result["mean"].sel(measure="a"), [2, 5, np.nan, 6])
    np.testing.assert_allclose(result["std"].sel(measure="a"), [1, 0, np.nan, 0])
    np.testing.assert_array_equal(result["count"], [2, 1, 0, 2])
    assert float(result["spearman"].sel(measure="a")) > 0.9
    assert np.isnan(result["spearman"].sel(measure="b"))


def test_saturation_shows_in_the_rise_over_the_upper_half():
    labels = np.repeat(np.arange(1, 9), 5)
    statistics = LagStatistics(8)
    statistics.update(labels, {"rising": labels * 1.0, "flat": np.minimum(labels, 3) * 1.0})
    rise = statistics.result()["upper_rise"]
    assert float(rise.sel(measure="rising")) == pytest.approx(8 / 5 - 1)
    assert float(rise.sel(measure="flat")) == 0


def test_scales_are_taken_against_both_squared_errors():
    learned = xr.Dataset({"mean": (("layer", "lag"), [[1.0, 1.0, 2.0, 2.0]])})
    pixels = xr.Dataset(
        {
            "mean": (("measure", "lag"), [[0.0, 0.0, 4.0, 4.0]]),
            "l2_without_log1p": ("lag", [0.0, 0.0, 6.0, 6.0]),
        },
        coords={"measure": ["l2"]},
    )
    scaled = add_scales(learned, pixels)
    assert float(scaled["scale"][0]) == pytest.approx(2)
    assert float(scaled["scale_without_log1p"][0]) == pytest.approx(3)
