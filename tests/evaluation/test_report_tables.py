"""Tables and sentences of the report, from small tables of known order."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from phire.evaluation.candidate_differences import COLUMNS
from phire.evaluation.figures.results_reading import ResultsFolder
from phire.evaluation.figures.score_plots import score_figure
from phire.evaluation.report.score_tables import key_table, score_tables, summary_by_region
from phire.evaluation.report.strengths import verdicts

SUMMARY = """\
candidate,region,rmse:t,bias:t,correlation:t,log_spectral_error:t,crps:t,learned_distance
sharp,,2.0,0.1,0.90,0.10,,0.3
smooth,,1.0,0.1,0.95,0.80,0.4,0.3
worst,,4.0,-0.5,0.50,0.90,,0.3
"""


@pytest.fixture
def folder(tmp_path):
    """Results of three candidates: a summary, and two seasons of one number."""
    (tmp_path / "summary.csv").write_text(SUMMARY)
    names = ["sharp", "smooth", "worst"]
    made = {"options": {"candidates": {name: {} for name in names}, "truth": {"path": "t.nc"}}}
    (tmp_path / "provenance.json").write_text(json.dumps(made))
    for i, name in enumerate(names):
        (tmp_path / name).mkdir()
        by_season = xr.Dataset(
            {
                "rmse": (("season", "channel"), [[1.0 + i], [5.0 - i]], {"units": "K"}),
                "times": ("season", [7, 0]),
            },
            {"season": ["DJF", "MAM"], "channel": ["t"]},
        )
        by_season.to_netcdf(tmp_path / name / "by_season.nc")
    return ResultsFolder(tmp_path)


def differences_but(*equal):
    """The paired differences of all pairs in RMSE, equal where it is said."""
    pairs = [("sharp", "smooth"), ("sharp", "worst"), ("smooth", "worst")]
    rows = [("", "rmse:t", *pair, 1.0, 0.5, 1.5, pair in equal) for pair in pairs]
    return pd.DataFrame(rows, columns=COLUMNS)


def sentences(folder, differences=None):
    table = score_tables(folder)[0]
    found = verdicts(table, summary_by_region(folder)[""], differences)
    return {verdict.candidate: verdict for verdict in found}


def test_ahead_and_behind_are_counted_where_two_have_a_value_and_differ(folder):
    """RMSE, bias, correlation and log-spectral error: of CRPS there is one value; and all learned
    distances are equal, which puts nobody ahead."""
    said = sentences(folder)
    assert said["sharp"].good.startswith("Ahead in 2 of 5 scores; most clearly: Log-spectral")
    assert "(0.1000; next: 0.8000)" in said["sharp"].good
    assert said["smooth"].good.startswith("Ahead in 3 of 5 scores")
    assert said["worst"].bad.startswith("Behind in 4 of 5 scores")
    assert said["worst"].good.startswith("Ahead in none of 5 scores; nearest to the best:")
    assert said["smooth"].bad.startswith("Behind in none of 5 scores; furthest from the best: L")
    assert "Root mean square error of t (2.000 K; best: 1.000 K)" in said["sharp"].bad


def test_candidates_that_the_test_does_not_tell_apart_are_not_ahead_of_each_other(folder):
    said = sentences(folder, differences_but(("sharp", "smooth")))
    assert said["sharp"].good.startswith("Ahead in 3 of 5")  # in RMSE, too: level with the best
    assert "Root mean square error" not in said["sharp"].bad
    assert sentences(folder, differences_but())["sharp"].good.startswith("Ahead in 2 of 5")


def test_one_candidate_has_nothing_to_be_compared_with(folder):
    rows = SUMMARY.splitlines()
    (folder.path / "summary.csv").write_text("\n".join(rows[:2]) + "\n")
    said = sentences(ResultsFolder(folder.path))
    assert list(said) == ["sharp"] and said["sharp"].good.startswith("There is no other candidate")


def test_seasons_with_times_have_tables(folder):
    tables = score_tables(folder)
    assert [(table.region, table.times) for table in tables] == [("", ""), ("", "DJF")]
    ((heading, channel, rows),) = tables[1].sections
    assert heading == channel == "t" and rows[0].number.name == "rmse:t"
    assert [cell.value for cell in rows[0].cells] == ["1.000", "2.000", "3.000"]
    assert [cell.best for cell in rows[0].cells] == [True, False, False]


def test_key_numbers_are_a_part_of_the_table(folder):
    table = score_tables(folder)[0]
    key = key_table(table)
    names = [row.number.name for _, _, rows in key.sections for row in rows]
    everything = [row.number.name for _, _, rows in table.sections for row in rows]
    assert set(names) < set(everything) and "correlation:t" not in names
    assert {"rmse:t", "log_spectral_error:t", "learned_distance"} <= set(names)
    assert np.isfinite([float(c.value) for c in key.sections[0][2][0].cells]).all()


def test_the_score_of_a_mean_has_the_range_of_its_members_beside_it(folder):
    lines = SUMMARY.splitlines()
    wide = [f"{lines[0]},member_rmse_low:t,member_rmse_high:t", f"{lines[1]},,",
            f"{lines[2]},1.25,1.5", f"{lines[3]},,"]  # fmt: skip
    (folder.path / "summary.csv").write_text("\n".join(wide) + "\n")
    table = score_tables(ResultsFolder(folder.path))[0]
    rows = {row.number.name: row for _, _, rows in table.sections for row in rows}
    assert [cell.limits for cell in rows["rmse:t"].cells] == ["", "(members 1.250 … 1.500)", ""]


def test_series_of_a_mean_have_the_band_of_its_members():
    time = {"time": np.arange(6), "channel": ["t"]}
    series = np.linspace(1, 2, 6)[None]
    scores = xr.Dataset({"rmse": (("channel", "time"), series)}, time)
    ends = {
        f"member_rmse{end}": (("channel", "time"), series * by)
        for end, by in (("_low", 1.2), ("_high", 1.8))
    }
    data = {"truth": scores, "e": scores.assign(ends), "f": scores}
    figure = score_figure(data, channel="t")
    (band,) = figure.axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    # Running means of three times, as the line; two at the ends.
    assert (heights.min(), heights.max()) == pytest.approx((1.2 * 1.1, 1.8 * 1.9))
