"""The table of Iberia's ensembles has the scores of an ensemble with the truth's distribution."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scoringrules
import xarray as xr
from click.testing import CliRunner

from loading import load_script
from phire.cli.phire_eval import main as phire_eval


def test_scores_of_members_like_the_truth(tmp_path):
    random = np.random.default_rng(0)
    shape = (12, 8, 10)
    axes = {
        "time": pd.date_range("2000-12-01", periods=12),
        "lat": np.arange(44.0, 40.0, -0.5),
        "lon": np.arange(-9.5, -4.5, 0.5),
    }
    dims, units = ("time", "lat", "lon"), {"units": "K"}
    truth = random.normal(size=shape)
    members = random.normal(size=(5, *shape))
    xr.Dataset({"tas": (dims, truth, units)}, axes).to_netcdf(tmp_path / "truth.nc")
    xr.Dataset({"tas": (("member", *dims), members, units)}, axes).to_netcdf(
        tmp_path / "members.nc"
    )
    result = CliRunner().invoke(
        phire_eval,
        [f"{tmp_path}/truth.nc", "--candidate", f"drawn={tmp_path}/members.nc", "--out",
         f"{tmp_path}/results", "--metrics", "ensemble,rank_uniformity", "--no-report"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    study = load_script("study_iberia")
    crps, error, ratio, half, most, rank_error = study.ensemble_scores(tmp_path / "results/drawn")
    # Weighted by the areas of the rows, as the latitudes' cosine.
    weights = np.broadcast_to(np.cos(np.radians(axes["lat"]))[:, None], shape)
    fair = scoringrules.crps_ensemble(truth, np.moveaxis(members, 0, -1), estimator="fair")
    assert abs(crps - np.average(fair, weights=weights)) < 1e-3
    squared = (members.mean(0) - truth) ** 2
    assert abs(error - np.sqrt(np.average(squared, weights=weights))) < 1e-3
    # 960 independent points: three standard errors.
    assert abs(ratio - 1) < 0.08 and abs(half - 0.5) < 0.05 and abs(most - 0.9) < 0.03
    assert 0 < rank_error < 0.15
    load_script("seed_spread")  # which the study imports
    (row,) = study.ensemble_table([tmp_path / "results"])[2:]
    assert row.startswith("| results: drawn | 1 |") and f"{crps:.3f}" in row
