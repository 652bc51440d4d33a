"""Scores against NumPy, scikit-image and by hand; missing values, regions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from skimage.metrics import structural_similarity as skimage_similarity

from evaluation.made_fields import random_fields, setting_of, take
from phire.evaluation.catalogue import statistics
from phire.evaluation.domain import Domain
from phire.evaluation.running_mean import smoothed, smoothing_window
from phire.evaluation.structural_similarity import structural_similarity
from phire.fields.grid import Grid


def scored(truth, candidate, grid, **options):
    return take(statistics()["scores"](setting_of(truth, grid, **options)), truth, candidate)


def weights_of(grid):
    weights = np.broadcast_to(grid.area_weights(), grid.shape)
    return weights / weights.sum()


def test_scores_equal_numpy(pair):
    grid, truth, candidate = pair
    result = scored(truth, candidate, grid)
    weights = weights_of(grid)
    truth, candidate = truth.astype(float), candidate.astype(float)
    error = candidate - truth
    for c in range(2):
        for i in range(len(truth)):
            at = {"channel": c, "time": i}
            x, y, e = truth[i, ..., c], candidate[i, ..., c], error[i, ..., c]
            expected = {
                "rmse": np.sqrt((weights * e**2).sum()),
                "mae": (weights * np.abs(e)).sum(),
                "bias": (weights * e).sum(),
                "correlation": np.corrcoef(x.ravel(), y.ravel())[0, 1],
                "psnr": 10 * np.log10(np.ptp(truth[..., c]) ** 2 / (weights * e**2).sum()),
            }
            covariance = np.cov(x.ravel(), y.ravel(), aweights=weights.ravel())
            expected["correlation"] = covariance[0, 1] / np.sqrt(
                covariance[0, 0] * covariance[1, 1]
            )
            a, b = x - truth[..., c].mean(0), y - truth[..., c].mean(0)
            expected["anomaly_correlation"] = (weights * a * b).sum() / np.sqrt(
                (weights * a**2).sum() * (weights * b**2).sum()
            )
            for name, value in expected.items():
                assert result[name].isel(at).item() == pytest.approx(value, rel=2e-5), name
    together = np.sqrt((weights[..., None] * error**2).sum((1, 2)).mean(0))
    np.testing.assert_allclose(result["rmse_mean"], together, rtol=1e-5)


def test_units_are_those_of_the_channels(pair):
    grid, truth, candidate = pair
    result = scored(truth, candidate, grid, channels=("u", "v"))
    assert result["rmse"].attrs["units"] == "m s**-1"
    assert result["psnr"].attrs["units"] == "dB"


def test_similarity_equals_scikit_image():
    random = np.random.default_rng(0)
    truth = random.normal(size=(40, 50)) + 280
    candidate = truth + random.normal(size=(40, 50))
    similarity, full = structural_similarity(truth, candidate, 7.0)
    expected = skimage_similarity(truth, candidate, data_range=7.0)
    assert full is None
    assert similarity.mean() == pytest.approx(expected, rel=1e-4)
    assert structural_similarity(truth, truth, 7.0)[0].mean() == pytest.approx(1, abs=1e-5)


def test_similarity_of_fields_without_coordinates_is_that_of_scikit_image():
    random = np.random.default_rng(1)
    truth = random.normal(size=(2, 30, 41, 1)).astype("f4")
    candidate = truth + 0.5 * random.normal(size=truth.shape).astype("f4")
    result = scored(truth, candidate, Grid.pixels(30, 41))
    for i in range(2):
        expected = skimage_similarity(
            truth[i, ..., 0], candidate[i, ..., 0], data_range=float(np.ptp(truth))
        )
        assert result["ssim"][0, i].item() == pytest.approx(expected, rel=1e-5)


def test_similarity_goes_on_across_the_seam():
    random = np.random.default_rng(2)
    truth, candidate = random.normal(size=(2, 20, 36))
    wrapped, _ = structural_similarity(truth, candidate, 5.0, wraps=True)
    turned, _ = structural_similarity(
        np.roll(truth, 11, 1), np.roll(candidate, 11, 1), 5.0, wraps=True
    )
    assert wrapped.shape == (14, 36)
    np.testing.assert_allclose(np.roll(wrapped, 11, 1), turned, rtol=1e-3, atol=1e-5)


def test_the_range_is_the_truths_alone(pair):
    grid, truth, candidate = pair
    wild = candidate.copy()
    wild[0, 0, 0] = 1e3
    for name in ("psnr", "ssim"):
        first = scored(truth, candidate, grid)[name]
        second = scored(truth, wild, grid)[name]
        np.testing.assert_allclose(first[:, 1:], second[:, 1:], rtol=1e-6)


def test_total_variation_by_hand():
    truth = np.array([[0.0, 1, 3], [2, 2, 2]])[None, ..., None]
    candidate = np.array([[0.0, 2, 0], [2, 2, 5]])[None, ..., None]
    result = scored(truth, candidate, Grid.pixels(2, 3))
    # Neighbours along rows: 4 + 3 against 1 + 2; along columns 2 + 0 + 5 against 2 + 1 + 1.
    expected = ((4 + 3) + (2 + 0 + 5) - (1 + 2) - (2 + 1 + 1)) / 6
    assert result["total_variation_difference"].item() == pytest.approx(expected)


def test_a_hole_changes_no_score_outside_it(pair):
    """Scores of a region without the hole, and maps outside it, stay bit for bit the same."""
    grid, truth, candidate = pair
    holed = candidate.copy()
    holed[2, 2:5, 3:9] = np.nan
    south = Domain.box("south", grid, (-20, 0, -80, 359))
    same = [scored(truth, fields, grid, domain=south) for fields in (candidate, holed)]
    for name in ("rmse", "mae", "bias", "correlation", "psnr", "ssim"):
        np.testing.assert_array_equal(same[0][name], same[1][name])
    first, second = scored(truth, candidate, grid), scored(truth, holed, grid)
    for name in ("rmse", "correlation", "ssim", "total_variation_difference"):
        np.testing.assert_allclose(first[name][:, :2], second[name][:, :2], rtol=1e-12, atol=1e-15)
        assert (first[name][:, 2] != second[name][:, 2]).all()


def test_a_hole_gives_the_score_of_the_rest(pair):
    grid, truth, candidate = pair
    holed = candidate.copy()
    holed[:, 5:9, 10:20, 0] = np.nan
    mask = np.ones(grid.shape)
    mask[5:9, 10:20] = 0
    rest = Domain.masked("rest", grid, mask)
    first = scored(truth, holed, grid)
    second = scored(truth, candidate, grid, domain=rest)
    for name in ("rmse", "mae", "bias", "correlation"):
        np.testing.assert_allclose(first[name][0], second[name][0], rtol=1e-6)


def test_missing_everywhere_is_no_score(pair):
    grid, truth, candidate = pair
    result = scored(truth, np.full_like(candidate, np.nan), grid)
    for name in ("rmse", "mae", "correlation", "ssim", "psnr"):
        assert np.isnan(result[name]).all(), name


def test_a_box_gives_the_scores_of_the_window(pair):
    grid, truth, candidate = pair
    box = Domain.box("box", grid, (60, -30, 0, 40))
    window = np.ix_(range(len(truth)), range(*box.rows.indices(32)), box.columns, range(2))
    cut, own = truth[window], candidate[window]
    assert cut.shape[1:3] == box.shape
    weights = box.weights / box.weights.sum() / box.shape[1]
    expected = np.sqrt(((own - cut) ** 2 * weights[..., None]).sum((1, 2)))
    result = scored(truth, candidate, grid, domain=box)
    np.testing.assert_allclose(result["rmse"].T, expected, rtol=1e-5)


def test_maps_equal_numpy(pair):
    grid, truth, candidate = pair
    result = take(statistics()["maps"](setting_of(truth, grid)), truth, candidate)
    error = candidate.astype(float) - truth
    expected = {
        "mean": candidate.mean(0),
        "std": candidate.std(0),
        "rmse": np.sqrt((error**2).mean(0)),
        "mae": np.abs(error).mean(0),
        "bias": error.mean(0),
        "std_difference": candidate.std(0) - truth.std(0),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(
            result[name], np.moveaxis(value, -1, 0), rtol=1e-4, atol=1e-5, err_msg=name
        )
    place = (5, 7)
    expected = np.corrcoef(truth[(slice(None), *place, 0)], candidate[(slice(None), *place, 0)])
    assert result["correlation"][(0, *place)].item() == pytest.approx(expected[0, 1], rel=1e-4)


def test_a_hole_leaves_the_maps_outside_it():
    grid = Grid.gaussian(16)
    truth, candidate = random_fields(grid, 5, 1, seed=1), random_fields(grid, 5, 1, seed=2)
    holed = candidate.copy()
    holed[1, 3:5, 4:8] = np.nan
    statistic = statistics()["maps"](setting_of(truth, grid))
    first, second = take(statistic, truth, candidate), take(statistic, truth, holed)
    outside = np.ones(grid.shape, bool)
    outside[3:5, 4:8] = False
    for name in ("mean", "rmse", "correlation"):
        np.testing.assert_allclose(
            first[name].values[:, outside], second[name].values[:, outside], rtol=1e-6
        )
    assert (second["count"].values[0, 3:5, 4:8] == 4).all()


def test_points_without_any_value_leave_the_maps_of_the_others():
    """The sea of a land data set: the correlation map of the land was missing, too."""
    grid = Grid.gaussian(16)
    truth, candidate = random_fields(grid, 5, 1, seed=1), random_fields(grid, 5, 1, seed=2)
    statistic = statistics()["maps"](setting_of(truth, grid))
    whole = take(statistic, truth, candidate)
    sea = truth.copy()
    sea[:, 3:5, 4:8] = np.nan
    found = take(statistic, sea, candidate)
    land = np.ones(grid.shape, bool)
    land[3:5, 4:8] = False
    for name in ("rmse", "correlation"):
        np.testing.assert_allclose(
            found[name].values[:, land], whole[name].values[:, land], rtol=1e-6
        )
        assert np.isnan(found[name].values[:, ~land]).all()


def test_running_means_leave_missing_values_out():
    values = np.array([1.0, np.nan, 3, 5, 7])[:, None]
    np.testing.assert_allclose(smoothed(values, 3)[:, 0], [1, 2, 4, 5, 6])
    assert smoothing_window(200) == 11
    assert smoothing_window(5) == 3
    np.testing.assert_allclose(smoothed(np.array([[2.0]]), 3), [[2]])


@pytest.mark.parametrize("window", [3, 7, 41])
def test_running_means_are_those_of_each_window(window):
    values = np.random.default_rng(0).normal(size=(25, 2, 3))
    values[4:9, 0] = values[20:, 1, 2] = np.nan
    windows = (values[max(0, t - window // 2) : t + window // 2 + 1] for t in range(25))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # windows without values
        expected = [np.nanmean(one, axis=0) for one in windows]
    np.testing.assert_allclose(smoothed(values, window), expected, atol=1e-12)
    flat = smoothed(values.reshape(25, -1).astype("f4"), window)
    np.testing.assert_allclose(flat, np.reshape(expected, (25, -1)), atol=1e-6)
