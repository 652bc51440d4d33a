"""Series at sites: the nearest points, scores by numpy, and what a user may give."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.made_fields import white_ensemble
from phire.errors import InputError
from phire.evaluation import evaluate, series_at_sites
from phire.evaluation.site_series import nearest_points, parse_sites
from phire.fields import ArraySource, EnsembleSource, Grid
from phire.fields.time_axis import TimeAxis

GRID = Grid.regional(np.linspace(50, 40, 11), np.linspace(-3, 6, 10))
SITES = {"Bern": (46.95, 7.45 - 2), "west": (41.2, 358.1)}


@pytest.fixture(scope="module")
def sources():
    """Truth and an ensemble at twelve months."""
    truth, members = white_ensemble(GRID, times=12, members=3)
    time = TimeAxis.from_cf(np.arange(12) * 30.5, "days since 2000-01-03")
    shared = {"grid": GRID, "channels": ("t",), "units": ("K",), "time": time}
    each = [ArraySource((members[:, m] + truth).astype("f4"), **shared) for m in range(3)]
    return ArraySource(truth.astype("f4"), **shared), EnsembleSource(each)


def test_series_are_those_of_the_nearest_points(sources):
    truth, ensemble = sources
    result = series_at_sites(truth, ensemble, sites=SITES).isel(channel=0)
    members = ensemble.read_members(np.arange(12))[..., 0]
    for site, (row, column) in (("Bern", (3, 8)), ("west", (9, 1))):
        here = result.sel(site=site)
        own, theirs = members[:, :, row, column], truth.read(slice(None))[:, row, column, 0]
        np.testing.assert_allclose(here["site_value"], own.mean(1), rtol=1e-5)
        np.testing.assert_allclose(here["member_site_value_high"], own.max(1), rtol=1e-6)
        error = own.mean(1) - theirs
        assert here["site_rmse"].item() == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
        assert here["site_bias"].item() == pytest.approx(error.mean(), rel=1e-4)
        expected = np.corrcoef(own.mean(1), theirs)[0, 1]
        assert here["site_correlation"].item() == pytest.approx(expected, rel=1e-5)
        assert here["site_latitude"] == GRID.latitudes[row]


def test_a_perfect_candidate_and_a_perfect_member_have_scores(sources):
    """As at a dry site, where all members may equal the truth."""
    truth, ensemble = sources
    result = series_at_sites(truth, truth, sites=SITES)
    assert (result["site_rmse"] == 0).all()
    perfect = ArraySource(
        truth.read(slice(None)), channels=("t",), units=("K",), grid=GRID, time=truth.time
    )
    other = ArraySource(
        ensemble.read_members(np.arange(12))[:, 0], channels=("t",), units=("K",), grid=GRID,
        time=truth.time,
    )  # fmt: skip
    result = series_at_sites(truth, EnsembleSource([perfect, other]), sites=SITES)
    assert (result["member_site_rmse_low"] == 0).all()
    assert (result["member_site_rmse_high"] > 0).all()


def test_a_command_draws_and_scores_sites(sources, tmp_path):
    truth, ensemble = sources
    evaluate(truth, {"ensemble": ensemble}, tmp_path, metrics=["sites"], sites=SITES)
    assert (tmp_path / "figures" / "site-Bern-t.png").is_file()
    assert (tmp_path / "figures" / "site-boxes-Bern-t.png").is_file()
    table = pd.read_csv(tmp_path / "summary.csv")
    assert table["site_rmse:t:Bern"].item() > 0


def test_the_nearest_point_across_the_seam():
    grid = Grid.gaussian(16)
    rows, columns = nearest_points(grid, {"a": (0.0, -0.5), "b": (89.9, 10)})
    assert columns[0] == 0 and rows[1] == int(grid.latitudes.argmax())


def test_sites_are_named_on_the_command_line_or_in_a_file(tmp_path):
    path = tmp_path / "sites.csv"
    path.write_text("name,latitude,longitude\nBern,46.95,7.45\n", encoding="utf-8")
    assert parse_sites([str(path), "Rom=41.9,12.5"]) == {"Bern": (46.95, 7.45), "Rom": (41.9, 12.5)}
    for wrong, message in (
        (["Bern=46"], "NAME=LATITUDE,LONGITUDE"),
        (["Bern=100,7"], "give the latitude first"),
        (["nothing.csv"], "neither"),
    ):
        with pytest.raises(InputError, match=message):
            parse_sites(wrong)
    path.write_text("name,lat\nBern,46.95\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column latitude, longitude"):
        parse_sites([str(path)])


def test_a_site_outside_the_data_is_refused(sources):
    with pytest.raises(InputError, match=r"site Oslo=59\.9,10\.8 lies outside the data"):
        series_at_sites(*sources, sites={"Oslo": (59.9, 10.8)})
