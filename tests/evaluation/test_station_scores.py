"""Station observations as the truth at points: values and scores by numpy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.made_fields import white_ensemble
from phire.errors import InputError
from phire.evaluation import evaluate, scores_at_stations
from phire.fields import ArraySource, EnsembleSource, Grid
from phire.fields.time_axis import TimeAxis

GRID = Grid.regional(np.linspace(50, 40, 11), np.linspace(-3, 6, 10))
PLACES = {"Bern": (47.2, 5.4, 553.0), "west": (41.4, -2.0, 12.0)}
TIME = TimeAxis.from_cf(np.arange(12) * 30, "days since 2000-01-03")


@pytest.fixture(scope="module")
def sources():
    truth, members = white_ensemble(GRID, times=12, members=3)
    shared = {"grid": GRID, "channels": ("t",), "units": ("K",), "time": TIME}
    each = [ArraySource((members[:, m] + truth).astype("f4"), **shared) for m in range(3)]
    return ArraySource(truth.astype("f4"), **shared), EnsembleSource(each)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A CSV file, and the observations (2, 12) in it, one of them missing."""
    observed = np.random.default_rng(0).normal(size=(2, 12)).round(3)
    observed[0, 3] = np.nan
    lines = ["station,time,latitude,longitude,elevation,t"]
    for s, (name, place) in enumerate(PLACES.items()):
        for t in range(12):
            value = "" if np.isnan(observed[s, t]) else observed[s, t]
            lines.append(f"{name},{TIME.format(t)},{','.join(map(str, place))},{value}")
    lines.append("Oslo,2000-01-03,59.9,10.8,23,1.0")
    path = tmp_path_factory.mktemp("stations") / "stations.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path, observed


def bilinear(fields, latitude, longitude):
    """Values of fields (..., H, W) by hand."""
    row, column = (50 - latitude), (longitude + 3)
    i, j = int(row), int(column)
    y, x = row - i, column - j
    above = (1 - x) * fields[..., i, j] + x * fields[..., i, j + 1]
    below = (1 - x) * fields[..., i + 1, j] + x * fields[..., i + 1, j + 1]
    return (1 - y) * above + y * below


def nearest(fields, latitude, longitude):
    return fields[..., round(50 - latitude), round(longitude + 3)]


@pytest.mark.parametrize(("points", "way"), [("nearest", nearest), ("bilinear", bilinear)])
def test_scores_at_stations_are_those_of_their_points(sources, table, points, way):
    scoringrules = pytest.importorskip("scoringrules")
    truth, ensemble = sources
    path, observed = table
    orography = ArraySource(
        np.arange(110.0).reshape(1, 11, 10, 1), channels=("z",), units=("m",), grid=GRID
    )
    result = scores_at_stations(
        truth, ensemble, stations=path, station_points=points, orography=orography
    ).isel(channel=0)
    assert list(result["station"].values) == ["Bern", "west"]
    members = ensemble.read_members(np.arange(12))[..., 0].astype(float)
    for s, (name, (latitude, longitude, height)) in enumerate(PLACES.items()):
        here, there = result.sel(station=name), np.isfinite(observed[s])
        values = way(members, latitude, longitude)
        np.testing.assert_allclose(here["station_value"], values.mean(1), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(here["member_station_value_high"], values.max(1), rtol=1e-6)
        np.testing.assert_array_equal(here["station_observed"], observed[s])
        error = (values.mean(1) - observed[s])[there]
        assert here["station_rmse"].item() == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
        assert here["station_mae"].item() == pytest.approx(np.abs(error).mean(), rel=1e-5)
        assert here["station_bias"].item() == pytest.approx(error.mean(), rel=1e-5)
        expected = np.corrcoef(values.mean(1)[there], observed[s][there])[0, 1]
        assert here["station_correlation"].item() == pytest.approx(expected, rel=1e-5)
        crps = scoringrules.crps_ensemble(observed[s][there], values[there], estimator="fair")
        assert here["station_crps_fair"].item() == pytest.approx(crps.mean(), rel=1e-5)
        surface = way(np.arange(110.0).reshape(11, 10), latitude, longitude)
        assert here["height_difference"].item() == pytest.approx(surface - height)


def test_an_evaluation_scores_and_draws_stations(sources, table, tmp_path):
    truth, ensemble = sources
    evaluate(truth, {"ensemble": ensemble}, tmp_path, metrics=["stations"], stations=table[0])
    assert (tmp_path / "figures" / "stations-t.png").is_file()
    assert (tmp_path / "figures" / "station-Bern-t.png").is_file()
    assert pd.read_csv(tmp_path / "summary.csv")["station_rmse:t"].item() > 0
    with pytest.raises(InputError, match="stations"):
        evaluate(truth, {"ensemble": ensemble}, tmp_path, metrics=["stations"],
                 stations=table[0], station_points="bilinear")  # fmt: skip


def test_a_table_without_a_channel_is_refused(sources, tmp_path):
    path = tmp_path / "stations.csv"
    path.write_text("station,time,latitude,longitude,rain\nBern,2000-01-03,47,5,1\n")
    with pytest.raises(InputError, match="reports one of t at a time"):
        scores_at_stations(*sources, stations=path)
    with pytest.raises(InputError, match="station_points"):
        scores_at_stations(*sources, stations=path, station_points="closest")
