"""Scores by groups of times are those of the times of each group alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from evaluation.made_fields import white_ensemble
from phire.errors import InputError
from phire.evaluation import evaluate, grouped_times, measure
from phire.evaluation.catalogue import statistics
from phire.evaluation.figures import grouped_score_plots
from phire.evaluation.figures.all_figures import plans
from phire.evaluation.figures.grouped_score_plots import group_figure
from phire.evaluation.figures.results_reading import ResultsFolder
from phire.evaluation.member_ranges import member_ends
from phire.evaluation.notes import of_ranges
from phire.evaluation.results import read_provenance
from phire.evaluation.results_folder import ResultFile
from phire.fields import ArraySource, EnsembleSource, Grid
from phire.fields.time_axis import TimeAxis

GRID = Grid.regional(np.linspace(50, 40, 12), np.linspace(0, 15, 14))
TIME = TimeAxis.from_cf(np.arange(16) * 23.25, "days since 2000-01-03")


@pytest.fixture(scope="module")
def sources():
    """Truth, an ensemble and a deterministic candidate over a year."""
    truth, members = white_ensemble(GRID, times=16, members=3, channels=2)
    shared = {"grid": GRID, "channels": ("pr", "t"), "units": ("mm", "K"), "time": TIME}
    each = [ArraySource((members[:, m] + truth).astype("f4"), **shared) for m in range(3)]
    return (
        ArraySource(truth.astype("f4"), **shared),
        EnsembleSource(each),
        ArraySource((0.5 * truth + 0.1).astype("f4"), **shared),
    )


class Part:
    """Some times of a source."""

    def __init__(self, source, places):
        self.source, self.places = source, places
        self.grid, self.channels, self.units = source.grid, source.channels, source.units
        self.time = source.time[places]
        self.members = getattr(source, "members", 0)

    def read(self, times):
        return self.source.read(self.places[np.arange(len(self.places))[times]])

    def read_members(self, times):
        return self.source.read_members(self.places[np.arange(len(self.places))[times]])


def test_each_season_is_taken_alone(sources):
    truth, ensemble, _ = sources
    result = measure("by_season", truth, ensemble, grouped=("scores", "ensemble"))
    assert [*result["season"].values] == ["DJF", "MAM", "JJA", "SON"]
    seasons = TIME.months() % 12 // 3
    np.testing.assert_array_equal(result["times"], np.bincount(seasons))
    for group, name in enumerate(result["season"].values):
        places = np.flatnonzero(seasons == group)
        part = [Part(source, places) for source in (truth, ensemble)]
        here = result.sel(season=name)
        scores, ensembles = (measure(metric, *part) for metric in ("scores", "ensemble"))
        for number, value in (
            ("rmse", scores["rmse_mean"]),
            ("bias", scores["bias_mean"]),
            ("crps_fair", ensembles["crps_fair_mean"]),
            ("spread_skill_ratio", ensembles["spread_skill_ratio"]),
        ):
            np.testing.assert_allclose(here[number], value, rtol=1e-5, err_msg=number)


# Bins of the cities' histograms span the range of the truth at the times given.
@pytest.mark.parametrize(("metric", "tolerance"), [("rain", 1e-6), ("cities", 1e-2)])
def test_ranges_in_a_group_are_those_of_single_members(sources, metric, tolerance):
    truth, ensemble, _ = sources
    result = measure("by_season", truth, ensemble, grouped=(metric, "scores"))
    places = np.flatnonzero(TIME.months() % 12 // 3 == 1)
    alone = [measure(metric, Part(truth, places), Part(one, places)) for one in ensemble.sources]
    for variable, number in statistics()[metric].summary:
        expected = np.stack([one[variable] for one in alone])
        for end, pick in zip(member_ends(number), (np.fmin, np.fmax)):
            np.testing.assert_allclose(
                result.sel(season="MAM")[end], pick.reduce(expected), tolerance, err_msg=end
            )


def test_ranges_of_large_states_are_left_out_and_named(sources, monkeypatch):
    truth, ensemble, _ = sources
    whole = measure("by_season", truth, ensemble, grouped=("rain", "scores"))
    monkeypatch.setattr(grouped_times, "MEMBER_BYTES", 1 << 16)  # rain has histograms
    less = measure("by_season", truth, ensemble, grouped=("rain", "scores"))
    assert {"member_rmse_low", "wet_frequency_ratio"} <= set(less.data_vars)
    assert not {"member_wet_frequency_ratio_low"} & set(less.data_vars)
    for name in less.data_vars:
        xr.testing.assert_allclose(less[name], whole[name], rtol=1e-6)
    (note,) = of_ranges(ResultFile("e", "by_season", ""), less)
    assert "by_season of e has no range of the members of rain:" in note
    assert not list(of_ranges(ResultFile("e", "by_season", ""), whole))


def test_a_note_is_written_if_all_statistics_are_too_large_for_ranges(sources, monkeypatch):
    truth, ensemble, other = sources
    monkeypatch.setattr(grouped_times, "MEMBER_BYTES", 1)
    less = measure("by_season", truth, ensemble, grouped=("rain",))
    assert not [name for name in less.data_vars if str(name).startswith("member_")]
    (note,) = of_ranges(ResultFile("e", "by_season", ""), less)
    assert "no range of the members of rain:" in note
    single = measure("by_season", truth, other, grouped=("rain",))
    assert not list(of_ranges(ResultFile("half", "by_season", ""), single))


def test_a_command_adds_groups_figures_and_intervals(sources, tmp_path):
    truth, ensemble, other = sources
    # Worse and better by turns.
    turns = 0.02 * (-1.0) ** np.arange(16)[:, None, None, None]
    same = ArraySource(
        (other.read(slice(None)) + turns).astype("f4"), grid=GRID, channels=("pr", "t"),
        units=("mm", "K"), time=TIME,
    )  # fmt: skip
    evaluate(
        truth, {"ensemble": ensemble, "half": other, "same": same}, tmp_path,
        metrics=["scores", "events"], by=["season"],
        uncertainty=True,
    )  # fmt: skip
    assert (tmp_path / "figures" / "by-season-t.png").is_file()
    table = pd.read_csv(tmp_path / "summary.csv").set_index("candidate")
    assert (table["rmse_low:t"] < table["rmse:t"]).all()
    assert (table["rmse:t"] < table["rmse_high:t"]).all()
    assert "frequency_bias_low:pr:90 %" in table
    differences = pd.read_csv(tmp_path / "differences.csv", keep_default_na=False)
    here = differences[differences["number"] == "rmse:t"].set_index(["first", "second"])
    assert here.loc[("half", "same"), "equal"] and not here.loc[("ensemble", "half"), "equal"]
    gap = table.loc["ensemble", "rmse:t"] - table.loc["half", "rmse:t"]
    assert here.loc[("ensemble", "half"), "difference"] == pytest.approx(gap, rel=1e-5)
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'class="alike"' in report and 'class="range"' in report
    assert "By hour, month and season" in report


def test_groups_need_dates_and_two_of_them(sources, tmp_path):
    truth, _, other = sources
    with pytest.raises(InputError, match="by hour: all times are of one hour"):
        evaluate(Part(truth, np.arange(0, 16, 4)), {"a": other}, tmp_path, by=["hour"])
    bare = ArraySource(truth.read(slice(None)), grid=GRID)
    with pytest.raises(InputError, match="no dates"):
        evaluate(bare, {"a": bare}, tmp_path, by=["season"])
    with pytest.raises(InputError, match="by week: it must be one of hour, month, season"):
        evaluate(truth, {"a": other}, tmp_path, by=["week"])


def test_of_several_groupings_those_of_one_group_are_left_out(sources, tmp_path, capsys):
    time = TimeAxis.from_cf(np.arange(6) * 6, "hours since 2000-01-03")
    january, other = (
        ArraySource(source.read(slice(0, 6)), grid=GRID, time=time) for source in sources[::2]
    )
    options = {"metrics": ["scores"], "uncertainty": True, "report": False}
    evaluate(january, {"a": other}, tmp_path / "out", by=["hour", "month", "season"], **options)
    made = {path.stem for path in (tmp_path / "out" / "a").glob("*.nc")}
    assert made == {"scores", "by_hour", "uncertainty"}
    told = " ".join(capsys.readouterr().err.split())
    for one in ("month", "season"):
        assert f"by_{one} (all times are of one {one})" in told
        assert f"by_{one} (all times are of one {one})" in " ".join(
            read_provenance(tmp_path / "out")["notes"]
        )
    with pytest.raises(
        InputError,
        match=r"by month: all times are of one month; by season: all times are of one season\.",
    ):
        evaluate(january, {"a": other}, tmp_path / "x", by=["month", "season"], **options)
    assert not (tmp_path / "x").exists()


@pytest.fixture(scope="module")
def by_hour(sources):
    """Scores of the members by hour: the spacing of 23.25 days gives four hours."""
    truth, ensemble, _ = sources
    return {"ensemble": measure("by_hour", truth, ensemble, grouped=("members",))}


@pytest.mark.parametrize("polar", [False, True])
def test_the_range_of_members_is_a_band_in_the_figure(by_hour, polar):
    figure = group_figure(by_hour, dimension="hour", channel="pr", polar=polar)
    axes = figure.axes[0]
    assert axes.get_title("left").startswith("Root mean square error of members")
    (band,) = axes.collections
    edges = band.get_paths()[0].vertices[:, 1]
    dataset = by_hour["ensemble"].sel(channel="pr")
    assert edges.min() == pytest.approx(float(dataset["member_rmse_low"].min()))
    assert edges.max() == pytest.approx(float(dataset["member_rmse_high"].max()))


def test_a_clock_is_open_across_hours_without_values(by_hour):
    morning = {"ensemble": by_hour["ensemble"].isel(hour=slice(0, 3))}  # 0, 6 and 12 h
    figure = group_figure(morning, dimension="hour", channel="t", polar=True)
    angles = figure.axes[0].lines[0].get_xdata()
    np.testing.assert_allclose(angles, np.array([0, 6, 12]) * np.pi / 12)


def test_scores_beyond_one_figure_are_in_further_figures(sources, tmp_path, monkeypatch):
    truth, ensemble, _ = sources
    monkeypatch.setattr(grouped_score_plots, "MOST", 3)
    names = ("scores", "members")
    evaluate(truth, {"e": ensemble}, tmp_path, metrics=names, by=["season"], report=False)
    shown = [p for p in plans(ResultsFolder(tmp_path)) if p.name.startswith("by-season-t")]
    dataset = xr.load_dataset(tmp_path / "e" / "by_season.nc")
    wanted = grouped_score_plots.numbers_of({"e": dataset}, "season", "t")
    assert [plan.name for plan in shown] == [
        "by-season-t", *(f"by-season-t-{n}" for n in range(2, -(-len(wanted) // 3) + 1))
    ]  # fmt: skip
    assert "(2 of" in shown[1].title
    drawn = [number for plan in shown for number in plan.draw.keywords["numbers"]]
    assert drawn == wanted
    assert sum(bool(axes.lines) for axes in shown[1].draw().axes) == 3


def test_hours_go_around_the_clock_and_end_where_they_begin(by_hour):
    figure = group_figure(by_hour, dimension="hour", channel="t", polar=True)
    line = figure.axes[0].lines[0]
    angles, values = line.get_data()
    np.testing.assert_allclose(angles[:-1], by_hour["ensemble"]["hour"].values * 2 * np.pi / 24)
    assert angles[-1] - angles[0] == pytest.approx(2 * np.pi) and values[-1] == values[0]
    assert figure.axes[0].get_theta_direction() == -1  # as a clock
    with pytest.raises(InputError, match="polar"):
        group_figure(by_hour, dimension="season", channel="t", polar=True)
