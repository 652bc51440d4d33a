"""Scores of real radar fields against pysteps, and of ensembles against xskillscore."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from evaluation.made_fields import setting_of, take, white_ensemble
from phire.evaluation.catalogue import statistics
from phire.fields.grid import Grid

RADAR = Path(os.environ.get("PHIRE_REALDATA", "")) / "radar_knmi_2010-08-26_5min.nc"
GRID = Grid.pixels(20, 30)
TRUTH, MEMBERS = white_ensemble(GRID, times=4, members=6)


@pytest.fixture(scope="module")
def radar():
    """Rain an hour apart (2, h, w); persistence is the forecast."""
    if not RADAR.is_file():
        pytest.skip("PHIRE_REALDATA has no radar file")
    with xr.open_dataset(RADAR) as dataset:
        rain = next(v for v in dataset.data_vars.values() if v.ndim == 3)
        fields = rain.isel(time=[12, 0]).values.astype("f4")
    return np.nan_to_num(fields)[:, 200:500, 200:500]


@pytest.mark.parametrize("threshold", [0.105, 0.51])
def test_the_fractions_skill_score_of_radar_is_that_of_pysteps(radar, threshold):
    spatial = pytest.importorskip("pysteps.verification.spatialscores")
    truth, forecast = (field[None, ..., None] for field in radar)
    assert (truth > threshold).mean() > 0.005  # it rains
    setting = setting_of(
        truth, Grid.pixels(*truth.shape[1:3]), channels=("pr",), thresholds={"pr": (threshold,)}
    )
    result = take(statistics()["fractions_skill_score"](setting), truth, forecast).sel(channel="pr")
    for window in (1, 3, 9, 33):
        expected = spatial.fss(radar[1], radar[0], threshold, window)
        found = result["fractions_skill_score"].sel(event=f"> {threshold:g}", window=window).item()
        assert 0 < found < 1 and found == pytest.approx(expected, rel=1e-6)


def as_arrays():
    members = xr.DataArray(MEMBERS[..., 0], dims=("time", "member", "y", "x"))
    return xr.DataArray(TRUTH[..., 0], dims=("time", "y", "x")), members


def test_crps_ranks_and_brier_scores_are_those_of_xskillscore():
    xskillscore = pytest.importorskip("xskillscore")
    observed, members = as_arrays()
    setting = setting_of(TRUTH, GRID, channels=("t",), thresholds={"t": (0.4,)})
    ensemble = take(statistics()["ensemble"](setting), TRUTH, MEMBERS).sel(channel="t")
    expected = xskillscore.crps_ensemble(observed, members, dim=["time", "y", "x"])
    assert ensemble["crps_mean"].item() == pytest.approx(expected.item(), rel=1e-6)
    counts = xskillscore.rank_histogram(observed, members, dim=["time", "y", "x"])
    np.testing.assert_allclose(ensemble["rank_histogram"], counts / counts.sum(), rtol=1e-9)
    probability = take(statistics()["probability"](setting), TRUTH, MEMBERS).sel(channel="t")
    here = probability.sel(event="> 0.4")
    brier = xskillscore.threshold_brier_score(observed, members, 0.4, dim=["time", "y", "x"])
    assert here["brier_score"].item() == pytest.approx(brier.item(), rel=1e-6)
    area = xskillscore.roc(
        observed > 0.4, (members > 0.4).mean("member"), bin_edges="continuous",
        dim=["time", "y", "x"], return_results="area",
    )  # fmt: skip
    assert here["roc_area"].item() == pytest.approx(area.item(), rel=1e-6)


def test_scores_of_events_are_those_of_xskillscore():
    xskillscore = pytest.importorskip("xskillscore")
    observed, members = as_arrays()
    setting = setting_of(TRUTH, GRID, channels=("t",), thresholds={"t": (0.4,)})
    result = take(statistics()["events"](setting), TRUTH, MEMBERS).sel(channel="t", event="> 0.4")
    edges = np.array([-np.inf, 0.4, np.inf])
    table = xskillscore.Contingency(
        observed.broadcast_like(members), members, edges, edges, dim=["time", "member", "y", "x"]
    )
    for variable, expected in (
        ("frequency_bias", table.bias_score()),
        ("hit_rate", table.hit_rate()),
        ("false_alarm_ratio", table.false_alarm_ratio()),
        ("equitable_threat_score", table.equit_threat_score()),
    ):
        assert result[variable].item() == pytest.approx(expected.item(), rel=1e-6)
