"""Candidates are compared on the points and times that the truth and all candidates have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from phire.downscaling.interpolated_source import InterpolatedSource
from phire.evaluation import evaluate
from phire.fields import ArraySource, CoarsenedSource, Grid, TimeAxis

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.normal(size=(3, 16, 24, 1)).astype("f4")
GRID = Grid.regional(50 - 0.5 * np.arange(16), 0.5 * np.arange(24))


def source(fields):
    return ArraySource(
        fields.astype("f4"), channels=("t",), units=("K",), grid=GRID,
        time=TimeAxis(3600 * np.arange(len(fields)), "standard"),
    )  # fmt: skip


def evaluated(output, candidates, truth=TRUTH, **options):
    options = {"metrics": ("scores", "distribution", "spectrum"), "report": False, **options}
    evaluate(source(truth), candidates, output, **options)
    return pd.read_csv(output / "summary.csv").set_index("candidate")


def test_a_candidate_gains_nothing_by_leaving_out_its_errors(tmp_path, capsys):
    error = np.zeros_like(TRUTH)
    error[:, :4] = 3.0
    holed = TRUTH + error + 0.1
    holed[1, :4] = np.nan
    candidates = {"whole": source(TRUTH + error), "holed": source(holed)}
    summary = evaluated(tmp_path / "out", candidates)
    weights = np.cos(np.deg2rad(GRID.latitudes))
    expected = [(9 * (np.arange(16) < 4) * weights).sum() / weights.sum(), 0.0]
    with xr.open_dataset(tmp_path / "out" / "whole" / "scores.nc") as scores:
        found = scores["rmse"].values[0] ** 2
    np.testing.assert_allclose(found, [expected[0], 0, expected[0]], rtol=1e-2, atol=1e-9)
    assert summary.loc["holed", "rmse:t"] > summary.loc["whole", "rmse:t"]
    told = " ".join(capsys.readouterr().err.split())
    assert "andidate holed lacks 8.3 % of the values of t" in told
    assert (
        "8.3 % of the truth's values of t are missing in a candidate: truth and candidates are"
        in told
    )
    for name in ("truth", "whole", "holed"):  # spectra are of the same times
        with xr.open_dataset(tmp_path / "out" / name / "spectrum.nc") as spectrum:
            assert (spectrum["used_times"] == 2).all()


def test_a_candidate_that_comes_later_is_compared_on_common_points(tmp_path, capsys):
    holed = TRUTH.copy()
    holed[:, 3, 4] = np.nan
    first = {"whole": source(TRUTH + 1)}
    evaluated(tmp_path / "out", first)
    capsys.readouterr()
    evaluated(tmp_path / "out", {**first, "holed": source(holed)})
    told = " ".join(capsys.readouterr().err.split())
    assert "arlier results in this folder were computed on more points: pass overwrite" in told


def test_baselines_of_a_masked_truth_have_its_points(tmp_path):
    truth = TRUTH.copy()
    truth[:, 2:5, 3:7] = np.nan
    truth[0, 9, 9] = np.inf
    coarse = CoarsenedSource(source(truth), 4)
    candidates = {name: InterpolatedSource(coarse, GRID, name) for name in ("nearest", "bicubic")}
    evaluated(tmp_path / "out", candidates, truth, scale=4)
    fields = candidates["bicubic"].read(slice(None))
    assert np.isfinite(fields[np.isfinite(truth)]).all()
