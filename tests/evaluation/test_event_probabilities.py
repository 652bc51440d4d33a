"""Brier score, its parts, ROC and reliability against scores, scikit-learn and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from evaluation.made_fields import rainy_ensemble, setting_of, take
from phire.evaluation import probability_scores
from phire.evaluation.catalogue import statistics
from phire.fields import ArraySource, EnsembleSource
from phire.fields.grid import Grid

GRID = Grid.pixels(16, 16)
TRUTH, MEMBERS = rainy_ensemble()


@pytest.fixture(scope="module")
def result():
    """Scores of the rainy ensemble, also above 1 and 5."""
    setting = setting_of(TRUTH, GRID, channels=("pr",), thresholds={"pr": (1.0, 5.0)})
    return take(statistics()["probability"](setting), TRUTH, MEMBERS).sel(channel="pr")


@pytest.mark.parametrize("limit", [1, 5])
def test_scores_equal_those_of_scikit_learn_and_scores(result, limit):
    metrics = pytest.importorskip("sklearn.metrics")
    probability = pytest.importorskip("scores.probability")
    here = result.sel(event=f"> {limit}")
    happened = (TRUTH > limit).ravel()
    chance = (MEMBERS > limit).mean(1).ravel()
    brier = metrics.brier_score_loss(happened, chance)
    assert here["brier_score"].item() == pytest.approx(brier, rel=1e-12)
    assert here["roc_area"].item() == pytest.approx(
        metrics.roc_auc_score(happened, chance), rel=1e-12
    )
    curve = probability.roc_curve_data(
        xr.DataArray(chance, dims="x"),
        xr.DataArray(happened.astype(float), dims="x"),
        np.arange(6) / 5,
    )
    np.testing.assert_allclose(here["hit_rate"][:6], curve["POD"].values[:6], atol=1e-12)
    np.testing.assert_allclose(here["false_alarm_rate"][:6], curve["POFD"].values[:6], atol=1e-12)


def test_the_parts_of_the_brier_score_by_brute_force(result):
    chance, happened = (MEMBERS > 5).mean(1), TRUTH > 5
    base = happened.mean()
    parts = np.zeros(3)
    for value in np.unique(chance):
        at = chance == value
        observed = happened[at].mean()
        gaps = np.array([(value - observed) ** 2, (observed - base) ** 2, abs(value - observed)])
        parts += at.mean() * gaps
    here = result.sel(event="> 5")
    names = ("brier_reliability", "brier_resolution", "expected_calibration_error")
    np.testing.assert_allclose([here[name] for name in names], parts, rtol=1e-12)
    assert here["brier_uncertainty"].item() == pytest.approx(base * (1 - base))
    skill = 1 - here["brier_score"] / here["brier_uncertainty"]
    assert here["brier_skill_score"].item() == pytest.approx(skill.item())


def test_frequencies_by_brute_force_weighted_by_area():
    grid = Grid.gaussian(8)
    truth, members = TRUTH[:, :8], MEMBERS[:, :, :8]
    weights = np.broadcast_to(grid.area_weights(), (4, *grid.shape))
    found = take(statistics()["probability"](setting_of(truth, grid)), truth, members)
    found = found.isel(channel=0).sel(event="90 %")
    limit = found["threshold"].item()
    votes, happened = (members[..., 0] > limit).sum(1), truth[..., 0] > limit
    for count in range(6):
        at = votes == count
        if not at.any():
            continue
        here = found.isel(probability_bin=count)
        assert here["forecast_probability"].item() == pytest.approx(count / 5)
        expected = (weights[at] * happened[at]).sum() / weights[at].sum()
        assert here["observed_frequency"].item() == pytest.approx(expected)
        assert here["forecast_share"].item() == pytest.approx(weights[at].sum() / weights.sum())


def test_thresholds_are_of_the_channels_named():
    pair = np.concatenate([TRUTH, TRUTH], -1), np.concatenate([MEMBERS, MEMBERS], -1)
    channels = {"channels": ("pr", "t"), "grid": GRID, "units": ("mm", "K")}
    truth = ArraySource(pair[0].astype("f4"), **channels)
    members = [ArraySource(pair[1][:, m].astype("f4"), **channels) for m in range(5)]
    found = probability_scores(truth, EnsembleSource(members), thresholds={"pr": [20, 1]})
    assert [*found["event"].values[-2:]] == ["> 1", "> 20"]
    assert found["brier_score"].sel(channel="pr", event="> 1").notnull()
    assert found["brier_score"].sel(channel="t", event="> 1").isnull()
    assert found["threshold"].sel(channel="pr", event="> 20") == 20


def test_equal_quantiles_of_mostly_dry_fields_are_one_event():
    truth, members = (np.maximum(fields - 4, 0) for fields in (TRUTH, MEMBERS))
    assert np.quantile(truth, 0.5) == 0 < np.quantile(truth, 0.9)
    setting = setting_of(truth, GRID, channels=("pr",))
    result = take(statistics()["probability"](setting), truth, members).sel(channel="pr")
    defined = np.isfinite(result["roc_area"])
    assert list(defined["event"].values[defined]) == ["50 %", "90 %", "95 %", "99 %"]
    mean = result["roc_area"].sel(event=defined).mean()
    assert result["roc_area_mean"].item() == pytest.approx(mean.item())
