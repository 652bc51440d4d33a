"""Scores as in DL4DS against scikit-image, scikit-learn's formulas and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from evaluation.made_fields import random_fields, setting_of, take
from phire.evaluation import evaluate
from phire.evaluation.catalogue import statistics
from phire.evaluation.structural_similarity import GAUSSIAN, structural_similarity
from phire.fields.grid import Grid
from phire.fields.source import ArraySource

GRID = Grid.gaussian(24)
TRUTH = 280 + 9 * random_fields(GRID, 3, 1, seed=1).astype("f4")
CANDIDATE = (TRUTH + 4 * random_fields(GRID, 3, 1, seed=2)).astype("f4")


def test_scores_are_those_of_independent_implementations():
    metrics = pytest.importorskip("skimage.metrics")
    result = take(statistics()["dl4ds"](setting_of(TRUTH, GRID)), TRUTH, CANDIDATE).isel(channel=0)
    both = np.concatenate([TRUTH, CANDIDATE]).astype(float)
    span = both.max() - both.min()
    truth, candidate = (f[..., 0].astype(float) for f in (TRUTH, CANDIDATE))
    expected = {
        "dl4ds_psnr": [
            metrics.peak_signal_noise_ratio(t, c, data_range=span)
            for t, c in zip(truth, candidate)
        ],
        "dl4ds_ssim": [
            metrics.structural_similarity(
                t, c, data_range=span, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False,
            )
            for t, c in zip(truth, candidate)
        ],
        "dl4ds_rmse": np.sqrt(((candidate - truth) ** 2).mean((1, 2))),
        "dl4ds_mae": np.abs(candidate - truth).mean((1, 2)),
        "dl4ds_pearson": [
            stats.pearsonr(t.ravel(), c.ravel())[0] for t, c in zip(truth, candidate)
        ],
        "dl4ds_spearman": [
            stats.spearmanr(t.ravel(), c.ravel())[0] for t, c in zip(truth, candidate)
        ],
    }  # fmt: skip
    for name, values in expected.items():
        np.testing.assert_allclose(result[name], values, rtol=1e-4, err_msg=name)
        assert result[f"{name}_mean"].item() == pytest.approx(np.mean(values), rel=1e-4)
        assert result[f"{name}_std"].item() == pytest.approx(np.std(values), rel=1e-2)
    bias = 100 * (candidate - truth).mean(0) / truth.mean(0)
    np.testing.assert_allclose(result["dl4ds_normalised_bias"], bias, atol=1e-5)
    rmse = 100 * np.sqrt(((candidate - truth) ** 2).mean(0)) / truth.mean(0)
    np.testing.assert_allclose(result["dl4ds_normalised_rmse"], rmse, rtol=1e-5)


def test_missing_kelvins_are_zeros_and_enlarge_the_range():
    """DL4DS multiplies both fields by the mask, so that a sea of 0 K has a part in the range."""
    metrics = pytest.importorskip("skimage.metrics")
    sea = np.arange(48) < 20
    truth, candidate = (np.where(sea[:, None], np.nan, f) for f in (TRUTH, CANDIDATE))
    result = take(statistics()["dl4ds"](setting_of(truth, GRID)), truth, candidate)
    t, c = (np.nan_to_num(f[..., 0]).astype(float) for f in (truth, candidate))
    span = max(t.max(), c.max())
    assert span > 4 * np.ptp(TRUTH)
    expected = [
        metrics.structural_similarity(
            *pair, data_range=span, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for pair in zip(t, c)
    ]
    np.testing.assert_allclose(result["dl4ds_ssim"].isel(channel=0), expected, rtol=1e-4)


def test_the_similarity_of_a_field_with_itself_is_one():
    field = TRUTH[0, ..., 0].astype(float)
    found, _ = structural_similarity(field, field, np.array([1.0, 30.0]), window=GAUSSIAN)
    assert found.shape == (2, 14, 38)
    np.testing.assert_allclose(found, 1)


def test_maps_are_those_of_each_point_in_time_and_are_drawn(tmp_path):
    sources = [ArraySource(f, channels=["t"], units=["K"], grid=GRID) for f in (TRUTH, CANDIDATE)]
    evaluate(sources[0], {"a": sources[1]}, tmp_path, metrics=["dl4ds"])
    with xr.open_dataset(tmp_path / "a" / "dl4ds.nc") as result:
        result = result.isel(channel=0).load()
    truth, candidate = (f[..., 0].astype(float) for f in (TRUTH, CANDIDATE))
    rmse = np.sqrt(((candidate - truth) ** 2).mean(0))
    np.testing.assert_allclose(result["dl4ds_rmse_map"], rmse, rtol=1e-5)
    pearson = stats.pearsonr(truth, candidate, axis=0)[0]
    np.testing.assert_allclose(result["dl4ds_pearson_map"], pearson, atol=1e-5)
    drawn = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    maps = {"rmse-map", "pearson-map", "normalised-rmse", "normalised-bias"}
    assert drawn >= {f"map-dl4ds-{name}-t" for name in maps} | {"dl4ds-violins-t"}
