"""Every statistic, whatever it is: merging in any grouping, missing values, the truth's own."""

from __future__ import annotations

import dataclasses
import functools
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.made_fields import random_fields, setting_of, take
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.catalogue import default_names, statistics
from phire.evaluation.chunks import with_candidate
from phire.evaluation.domain import Domain
from phire.evaluation.grouped_times import GroupedTimes
from phire.evaluation.member_ranges import member_ends
from phire.evaluation.notes import Values, of_values
from phire.evaluation.station_observations import StationObservations
from phire.fields.grid import Grid
from phire.fields.station_tables import StationTable
from phire.fields.time_axis import TimeAxis

COUNT = 7
GRID = Grid.gaussian(24)
FIELDS = random_fields(GRID, COUNT, 2, seed=3).astype("f4")
MEMBERS = np.stack(
    [0.7 * FIELDS + 0.4 * random_fields(GRID, COUNT, 2, seed=m) for m in (4, 5, 6)], axis=1
).astype("f4")
BOX = Domain.box("europe", GRID, (70, -30, 20, 50))


def features(fields):
    """Something to stand for a network's features: means over quarters of the fields."""
    n, rows, columns, channels = fields.shape
    quarters = np.nan_to_num(fields).reshape(n, 2, rows // 2, 2, columns // 2, channels)
    return quarters.mean((2, 4)).reshape(n, -1)


STATIONS = StationObservations(
    StationTable(
        ("vorticity",), ("Bern", "Quito"), np.array([46.95, -0.2]), np.array([7.45, -78.5]),
        np.array([553.0, 2850.0]), np.array([], int), np.array([], int), np.zeros((0, 1)),
    ),
    observed=np.random.default_rng(0).normal(size=(COUNT, 2, 2)),
    points="bilinear",
    orography=None,
    origin=(),
)  # fmt: skip

LEARNED = {
    "distance": lambda x, y: np.abs(features(x) - features(y)).mean(1),
    "features": features,
}


def made(name, truth=FIELDS):
    setting = setting_of(
        truth,
        GRID,
        domain=None if name != "localized_spectrum" else BOX,
        channels=("vorticity", "pr" if name in ("rain", "sal") else "divergence"),
        scale=4,
        pairs=40,
        lags=(1000.0, 2000.0),
        learned=LEARNED,
        sites={"Bern": (46.95, 7.45), "Quito": (-0.2, -78.5)},
        stations=STATIONS,
    )
    if issubclass(statistics()[name], GroupedTimes) or name == "seasonal_quantiles":
        time = TimeAxis.from_cf(15.25 * np.arange(len(truth)), "days since 2000-01-01")
        setting = dataclasses.replace(setting, time=time, grouped=("scores", "ensemble", "events"))
    return statistics()[name](setting)


def state_of(statistic, times, truth=FIELDS, members=MEMBERS):
    """The state of an ensemble at some times, its members apart where they have ranges."""
    batches = Batch(truth[times], times), Ensemble(members[times], times)
    return with_candidate(statistic, statistic.empty(), *batches)


def assert_equal(first, second):
    assert set(first) == set(second)
    for name in first.variables:
        one, two = first[name].values, second[name].values
        if one.dtype.kind not in "fc":
            np.testing.assert_array_equal(one, two)
            continue
        size = np.nanmax(np.abs(np.where(np.isfinite(one), one, 0)), initial=0)
        # Maps and samples are kept in single precision.
        relative = 1e-10 if one.dtype == np.float64 else 2e-7
        np.testing.assert_allclose(one, two, rtol=relative, atol=relative * size, err_msg=name)


def grouped(statistic, parts, tree):
    """Merges the states of parts pairwise, in the order that ``tree`` draws."""
    states = [state_of(statistic, part) for part in parts] + [statistic.empty()]
    while len(states) > 1:
        i = tree.draw(st.integers(0, len(states) - 1))
        first = states.pop(i)
        j = tree.draw(st.integers(0, len(states) - 1))
        second = states.pop(j)
        states.append(statistic.merge(first, second))
    return states[0]


@pytest.mark.parametrize("name", statistics())
@settings(max_examples=5)
@given(data=st.data())
def test_merging_in_any_grouping_gives_the_same(name, data):
    statistic = made(name)
    order = np.array(data.draw(st.permutations(range(COUNT))))
    cuts = sorted(data.draw(st.sets(st.integers(1, COUNT - 1), max_size=4)))
    parts = np.split(order, cuts)
    merged = statistic.described(grouped(statistic, parts, data))
    at_once = statistic.described(state_of(statistic, np.arange(COUNT)))
    assert_equal(merged, at_once)


@pytest.mark.parametrize("name", statistics())
def test_merging_leaves_its_arguments_as_they_are(name):
    statistic = made(name)
    first, second = state_of(statistic, np.arange(3)), state_of(statistic, np.arange(3, COUNT))
    kept = {key: np.array(value) for key, value in first.items()}
    statistic.merge(first, second)
    for key, value in kept.items():
        np.testing.assert_array_equal(first[key], value)


@pytest.mark.parametrize("name", [n for n in statistics() if statistics()[n].of_truth])
def test_the_truth_has_a_result_that_no_candidate_changes(name):
    statistic = made(name)
    alone = statistic.result(
        statistic.update(statistic.empty(), Batch(FIELDS, np.arange(COUNT)), None)
    )
    batch = Batch(FIELDS, np.arange(COUNT))
    with_candidate(statistic, {}, batch, Ensemble(MEMBERS, np.arange(COUNT)))
    after = statistic.result(statistic.update(statistic.empty(), batch, None))
    assert_equal(alone, after)


@pytest.mark.parametrize("name", [n for n in default_names() if n != "samples"])
def test_missing_values_never_become_agreement(name):
    """Fields that are missing altogether give no numbers, or leave the numbers to the others."""
    statistic = made(name)
    times = np.arange(COUNT)
    kind, fields = (Ensemble, MEMBERS) if statistic.ensemble == "all" else (Batch, MEMBERS[:, 0])
    holed = fields.copy()
    holed[2] = np.nan
    some = statistic.update(statistic.empty(), Batch(FIELDS, times), kind(holed, times))
    kept = np.delete(times, 2)
    without = statistic.update(
        statistic.empty(), Batch(FIELDS[kept], kept), kind(fields[kept], kept)
    )
    first, second = statistic.result(some), statistic.result(without)
    for variable in first.data_vars:
        one, two = first[variable], second[variable]
        if "time" in one.dims:
            one = one.sel(time=two["time"])
        if one.dtype.kind != "f" or "smoothed" in str(variable):
            continue
        xr.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("which", ["truth", "candidate"])
def test_infinite_values_are_missing_values(pair, which, value):
    grid, truth, candidate = pair
    fields = {"truth": truth, "candidate": candidate}
    results = []
    for bad in (value, np.nan):
        given = {name: array.copy() for name, array in fields.items()}
        given[which][2, 5:7, 10, 0] = bad
        setting = setting_of(given["truth"], grid)
        results.append(
            [
                take(statistics()[name](setting), given["truth"], given["candidate"])
                for name in ("scores", "distribution", "spectrum", "maps")
            ]
        )
    for infinite, missing in zip(*results):
        xr.testing.assert_identical(infinite, missing)
    assert (results[0][0]["rmse"] > 0).all() and np.isfinite(results[0][0]["psnr"]).all()


def test_infinite_values_are_counted(pair):
    grid, truth, candidate = pair
    truth, candidate = truth.copy(), candidate.copy()
    truth[0, :2, 3, 1] = np.inf
    truth[1, 0, 0, 0] = candidate[0, 0, 0, 0] = np.nan
    counts = Values(setting_of(truth, grid))
    times = np.arange(len(truth))
    state = counts.measure(Batch(truth, times), None)
    assert state["infinite"].tolist() == [0, 2] and state["missing"].tolist() == [1, 0]
    assert state["whole"].tolist() == [5, 5] and (state["fields"] == 6).all()
    told = list(of_values("truth", ("u", "v"), state))
    assert len(told) == 2
    assert "lacks 0.0081 % of the values of u" in told[0] and "5 of 6 fields" in told[0]
    assert "2 infinite values of v: they count as missing" in told[1]
    members = np.stack([truth, candidate], axis=1)
    assert Ensemble(members, times).infinite.tolist() == [0, 2]
    assert not np.isinf(Ensemble(members, times).members).any()


@pytest.mark.parametrize("name", statistics())
def test_results_can_be_written_as_netcdf(name, tmp_path):
    statistic = made(name)
    result = statistic.described(state_of(statistic, np.arange(COUNT)))
    result.to_netcdf(tmp_path / "it.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "it.nc") as read:
        assert set(read.data_vars) == set(result.data_vars)


def single_member(statistic, member):
    """A candidate that is one member, as an ensemble of one where a statistic needs members."""
    times = np.arange(COUNT)
    if statistic.ensemble == "all":
        return Ensemble(MEMBERS[:, member : member + 1], times)
    return Batch(MEMBERS[:, member], times)


def least_over_members(result):
    """Names of variables that are the least over members, and of what they belong to."""
    ends = [name for name in result.data_vars if re.match("member_.*_low$", str(name))]
    names = {end: re.sub("_low$", "", end) for end in ends}
    return {end: n if n in result else n.removeprefix("member_") for end, n in names.items()}


@functools.cache
def named_without_ranges():
    """Statistics of which the docs say that they have no range over members."""
    page = (Path(__file__).parents[2] / "docs/evaluation.md").read_text("utf-8")
    table = page.split("| no range of the members |")[1].split("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[1:]]
    return {name for row in rows for name in re.findall("`(.+?)`", row)}


@pytest.mark.parametrize("name", statistics())
def test_identical_members_have_ranges_of_no_width_about_the_single_candidate(name):
    statistic, times = made(name), np.arange(COUNT)
    alike = np.repeat(MEMBERS[:, :1], 4, axis=1)
    result = statistic.described(state_of(statistic, times, members=alike))
    single = statistic.described(
        with_candidate(statistic, {}, Batch(FIELDS, times), single_member(statistic, 0))
    )
    ranges = least_over_members(result)
    assert bool(ranges) == (name not in named_without_ranges())
    for low, variable in ranges.items():
        high = re.sub("_low$", "_high", low)
        size = float(np.abs(single[variable]).max())
        for end in (low, high):
            np.testing.assert_allclose(
                result[end], single[variable], rtol=1e-5, atol=1e-5 * size, err_msg=end
            )
        np.testing.assert_allclose(result[low], result[high], rtol=1e-9, atol=1e-9 * size)


def test_statistics_named_in_the_docs_as_without_ranges_exist():
    assert set(statistics()) > named_without_ranges()


@pytest.mark.parametrize("name", [n for n, one in statistics().items() if one.member_ranges])
def test_ranges_are_those_of_the_members_one_by_one(name):
    statistic = made(name)
    times = np.arange(COUNT)
    result = statistic.described(state_of(statistic, times))
    # What needs members is given ensembles of one.
    singles = [
        statistic.described(
            with_candidate(statistic, {}, Batch(FIELDS, times), single_member(statistic, m))
        )
        for m in range(MEMBERS.shape[1])
    ]
    ranged = [v for v in statistic.member_ranges if v in result]
    assert ranged
    for variable in ranged:
        values = np.stack([one[variable].values for one in singles])
        for end, pick in zip(member_ends(variable), (np.fmin, np.fmax)):
            expected = pick.reduce(values)
            np.testing.assert_allclose(result[end], expected, rtol=1e-6, atol=1e-12, err_msg=end)
    numbers = dict(statistic.summary_of(result))
    for variable, number in statistic.summary:
        if variable not in ranged:
            continue
        base, separator, labels = number.partition(":")
        assert numbers[f"member_{variable}_low"] == f"member_{base}_low{separator}{labels}"
