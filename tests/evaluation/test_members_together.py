"""Statistics that count all members at once: equal to one member after another."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.made_fields import random_fields, setting_of
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.catalogue import statistics
from phire.evaluation.chunks import with_candidate
from phire.evaluation.member_sorting import sorted_members
from phire.fields.grid import Grid

GRID = Grid.gaussian(24)
PIXELS = Grid.pixels(24, 48)
TIMES = np.arange(4)
TRUTH = random_fields(GRID, 4, 2, seed=3).astype("f4")
MEMBERS = np.stack(
    [0.7 * TRUTH + 0.4 * random_fields(GRID, 4, 2, seed=m) for m in (4, 5, 6)], axis=1
).astype("f4")


@settings(max_examples=30)
@given(size=st.integers(1, 40), seed=st.integers(0, 99))
def test_the_sorting_network_sorts_as_numpy_does(size, seed):
    values = np.random.default_rng(seed).integers(-9, 9, (size, 5, 7)).astype("f4")
    given_values = values.copy()
    np.testing.assert_array_equal(sorted_members(values), np.sort(values, axis=0))
    np.testing.assert_array_equal(values, given_values)


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("grid", [GRID, PIXELS], ids=["global", "pixels"])
@pytest.mark.parametrize("name", ["events", "maps", "spectrum", "samples"])
def test_members_at_once_count_as_each_by_itself(name, grid, holes):
    truth, members = TRUTH.copy(), MEMBERS.copy()
    if holes:
        truth[1, 3:6, 4] = members[:, :, :2, 7:9, 0] = np.nan
    statistic = statistics()[name](setting_of(truth, grid, scale=4))
    batch = Batch(truth, TIMES)
    ensemble = Ensemble(members, TIMES)
    at_once = statistic.result(statistic.update({}, batch, ensemble))
    state = {}
    for member in ensemble.each()[: 1 if name == "samples" else 3]:
        state = statistic.update(state, batch, member)
    expected = statistic.result(state)
    for variable in expected.data_vars:
        one, two = at_once[variable].values, expected[variable].values
        if two.dtype.kind == "f":
            size = np.abs(two[np.isfinite(two)]).max(initial=0)
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=2e-6 * size, err_msg=variable)
        else:
            np.testing.assert_array_equal(one, two)


def test_maps_hold_the_error_of_the_mean_of_the_members():
    statistic = statistics()["maps"](setting_of(TRUTH, GRID))
    result = statistic.result(statistic.update({}, Batch(TRUTH, TIMES), Ensemble(MEMBERS, TIMES)))
    error = MEMBERS.astype(float).mean(1) - TRUTH
    expected = np.sqrt((error**2).mean(0))
    np.testing.assert_allclose(result["mean_rmse"].values, np.moveaxis(expected, -1, 0), rtol=1e-5)
    assert (result["mean_rmse"].mean() < result["rmse"].mean()).item()
    single = statistic.result(
        statistic.update({}, Batch(TRUTH, TIMES), Batch(MEMBERS[:, 0], TIMES))
    )
    assert "mean_rmse" not in single


def test_the_fractions_skill_score_of_an_ensemble_is_that_of_its_probabilities():
    truth, members = TRUTH[..., :1], MEMBERS[..., :1]
    setting = setting_of(truth, PIXELS)
    statistic = statistics()["fractions_skill_score"](setting)
    result = statistic.result(statistic.update({}, Batch(truth, TIMES), Ensemble(members, TIMES)))
    limit = result["threshold"].sel(event="90 %").item()
    observed = (truth[..., 0] > limit).astype(float)
    probability = (members[..., 0] > limit).mean(1)

    def fractions(field, size):
        padded = np.pad(field, size // 2)
        squares = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
        return squares.mean((-2, -1))

    for size in (1, 3, 9):
        p, q = (np.stack([fractions(f, size) for f in fs]) for fs in (probability, observed))
        expected = 1 - ((p - q) ** 2).sum() / (p**2 + q**2).sum()
        found = result["fractions_skill_score"].sel(event="90 %", window=size).item()
        assert found == pytest.approx(expected, rel=1e-10)


def test_the_fractions_skill_score_of_members_is_that_of_all_of_them():
    setting = setting_of(TRUTH, PIXELS)
    plain = statistics()["fractions_skill_score"](setting)
    state = {}
    for m in range(MEMBERS.shape[1]):
        state = plain.update(state, Batch(TRUTH, TIMES), Batch(MEMBERS[:, m], TIMES))
    members = statistics()["member_fractions_skill_score"](setting)
    found = members.result(members.update({}, Batch(TRUTH, TIMES), Ensemble(MEMBERS, TIMES)))
    np.testing.assert_allclose(
        found["member_fractions_skill_score"], plain.result(state)["fractions_skill_score"],
        rtol=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize("cuts", [(2,), (1, 2, 4)])
@pytest.mark.parametrize(
    "name", [name for name, one in statistics().items() if one.member_ranges and one.by_default]
)
def test_ranges_of_members_do_not_depend_on_the_batches(name, cuts):
    """Members shared arrays of their states, to which each batch was added once a member."""
    truth = np.maximum(random_fields(GRID, 5, 1, seed=7), 0).astype("f4")
    members = np.stack([np.roll(truth, m, 2) * (1 + m / 8) for m in (0, 1, 2)], axis=1)
    setting = setting_of(truth, PIXELS, channels=("pr",))
    if statistics()[name].refusal(setting) is not None:
        pytest.skip("not of such fields")
    statistic = statistics()[name](setting)
    batches = Batch(truth, np.arange(5)), Ensemble(members, np.arange(5))
    expected = statistic.described(with_candidate(statistic, {}, *batches))
    state = {}
    for times in np.split(np.arange(5), cuts):
        batches = Batch(truth[times], times), Ensemble(members[times], times)
        state = with_candidate(statistic, state, *batches)
    xr.testing.assert_allclose(statistic.described(state), expected, rtol=1e-6)


@pytest.mark.parametrize("grid", [GRID, PIXELS], ids=["global", "pixels"])
def test_the_coherence_of_members_has_the_range_of_each_by_itself(grid):
    statistic = statistics()["spectrum"](setting_of(TRUTH, grid, scale=4))
    batch, ensemble = Batch(TRUTH, TIMES), Ensemble(MEMBERS, TIMES)
    result = statistic.described(with_candidate(statistic, {}, batch, ensemble))
    members = [
        statistic.result(statistic.update({}, batch, member))["coherence"].values
        for member in ensemble.each()
    ]
    assert np.ptp(members, axis=0).max() > 0.01
    for end, pick in (("low", np.fmin), ("high", np.fmax)):
        found = result[f"member_coherence_{end}"].values
        np.testing.assert_allclose(found, pick.reduce(members), rtol=1e-6, atol=1e-9)
    # With independent noise, the members' coherence is below that of their mean, which has less.
    mean = statistic.result(statistic.update({}, batch, Batch(ensemble.fields, TIMES)))
    assert (result["member_coherence_high"] - mean["coherence"]).mean() < 0


def test_ranges_of_kinetic_energy_are_of_the_times_that_all_members_have():
    """A time that one member lacks would otherwise count in the range of the others."""
    members, kept = MEMBERS.copy(), np.array([0, 1, 3])
    members[2, 1, 5, 7] = np.nan
    channels = ("divergence", "vorticity")
    statistic = statistics()["spectrum"](setting_of(TRUTH, GRID, scale=4, channels=channels))
    found, expected = (
        statistic.described(
            with_candidate(
                statistic, {}, Batch(TRUTH[times], TIMES[times]),
                Ensemble(members[times], TIMES[times]),
            )
        )
        for times in (TIMES, kept)
    )  # fmt: skip
    for name in ("kinetic_energy", "member_kinetic_energy_low", "member_kinetic_energy_high"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, err_msg=name)
