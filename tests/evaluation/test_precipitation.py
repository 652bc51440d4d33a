"""Indices of rain by brute force at each point."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from evaluation.made_fields import setting_of, take
from phire.errors import InputError
from phire.evaluation import evaluate, rain_indices
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.catalogue import statistics
from phire.evaluation.chunks import with_candidate
from phire.evaluation.figures.all_figures import plans
from phire.evaluation.figures.results_reading import ResultsFolder
from phire.evaluation.rain_channels import wet_values
from phire.fields import ArraySource, EnsembleSource
from phire.fields.grid import Grid

GRID = Grid.regional(np.linspace(50, 40, 5), np.linspace(0, 6, 6))


@pytest.fixture
def rain():
    """Truth and candidate (40, 5, 6, 1) of gamma-distributed rain, half of it dry."""
    random = np.random.default_rng(0)
    fields = random.gamma(0.5, 8, size=(2, 40, 5, 6, 1)) * (random.random((2, 40, 5, 6, 1)) > 0.4)
    return fields


def longest(flags):
    runs = [len(list(run)) for wet, run in itertools.groupby(flags) if wet]
    return max(runs, default=0)


def test_indices_by_brute_force(rain):
    truth, candidate = rain
    candidate = candidate.copy()
    candidate[7, 2, 3] = np.nan
    result = take(
        statistics()["rain"](setting_of(truth, GRID, channels=("pr",))), truth, candidate
    ).sel(channel="pr")
    for row, column in np.ndindex(*GRID.shape):
        series = candidate[:, row, column, 0]
        known = series[np.isfinite(series)]
        wet = known >= 1
        here = result.isel(latitude=row, longitude=column)
        expected = {
            "wet_frequency": wet.mean(),
            "wet_intensity": known[wet].mean(),
            "heavy_frequency": (known >= 10).mean(),
            "greatest": known.max(),
            "wet_spell": longest(series >= 1),
            "dry_spell": longest(series < 1),
        }
        for name, value in expected.items():
            assert here[name].item() == pytest.approx(value, rel=1e-6), name
    weights = np.broadcast_to(GRID.area_weights(), GRID.shape)
    assert result["wet_spell_mean"].item() == pytest.approx(
        np.average(result["wet_spell"], weights=weights)
    )
    both = np.isfinite(candidate[..., 0])
    theirs = np.where(both & (truth[..., 0] >= 1), 1, 0).sum(0) / both.sum(0)
    ratio = np.average(result["wet_frequency"], weights=weights) / np.average(
        theirs, weights=weights
    )
    assert result["wet_frequency_ratio"].item() == pytest.approx(ratio, rel=1e-6)
    assert result["spell_share"].sel(length=1).values == pytest.approx(1)


def test_the_quantile_of_wet_values(rain):
    truth = rain[0]
    grid = Grid.pixels(5, 6)
    result = take(statistics()["rain"](setting_of(truth, grid, channels=("pr",))), truth)
    expected = np.quantile(truth[truth >= 1], 0.98)
    width = 3 * truth.max() / 16384
    assert result["wet_quantile_mean"].item() == pytest.approx(expected, abs=0.02 * expected)
    assert width < 0.02 * expected


def test_spells_of_members_are_their_own(rain):
    truth, candidate = rain
    taker = statistics()["rain"](setting_of(truth, GRID, channels=("pr",)))
    members = np.stack([truth, candidate], 1)
    state = taker.empty()
    for times in (np.arange(25), np.arange(25, 40)):
        batches = Batch(truth[times], times), Ensemble(members[times], times)
        state = with_candidate(taker, state, *batches)
    each = [take(taker, truth, fields)["wet_spell"] for fields in (truth, candidate)]
    np.testing.assert_allclose(taker.described(state)["wet_spell"], sum(each) / 2)


@pytest.mark.parametrize("apart", [True, False])
def test_the_greatest_value_of_an_ensemble_is_the_mean_of_its_members(rain, apart):
    """That of all members is of more values, and would judge no ensemble well."""
    truth, candidate = rain
    taker = statistics()["rain"](setting_of(truth, GRID, channels=("pr",)))
    members, state = np.stack([truth, candidate, candidate[::-1]], 1), {}
    for times in (np.arange(25), np.arange(25, 40)):
        batches = Batch(truth[times], times), Ensemble(members[times], times)
        state = with_candidate(taker, state, *batches, apart=apart)
    expected = (truth.max(0) + 2 * candidate.max(0))[..., 0] / 3
    result = taker.described(state).isel(channel=0)
    np.testing.assert_allclose(result["greatest"], expected, rtol=1e-6)
    alone = take(taker, truth, candidate).isel(channel=0)
    assert ("member_greatest_ratio_low" in result) == apart
    if apart:
        assert result["member_greatest_ratio_low"] == pytest.approx(
            min(1.0, alone["greatest_ratio"].item()), rel=1e-6
        )


@pytest.mark.parametrize(
    ("name", "units", "wet"),
    [
        ("pr", "kg m-2 s-1", 1 / 86400),
        ("tp", "m", 1e-3),
        ("rr", "mm", 1.0),
        ("precipitation", "kg m-2", 1.0),
        ("rain_rate", "mm h-1", 1 / 24),
        ("tas", "K", None),
        ("pressure", "mm", None),
    ],
)
def test_precipitation_is_told_by_name_and_units(name, units, wet):
    setting = setting_of(np.zeros((2, 5, 6, 1)), GRID, channels=(name,))
    found = wet_values(dataclasses.replace(setting, units=(units,)))
    assert found == ({} if wet is None else {0: pytest.approx(wet)})


def test_other_channels_are_refused_in_words(rain):
    source = ArraySource(rain[0].astype("f4"), grid=GRID, channels=("t",), units=("K",))
    with pytest.raises(InputError, match="no channel is precipitation"):
        rain_indices(source, source)


def test_an_ensemble_holds_once_what_all_members_share(rain):
    """The truth's bits for each of 16 members would be 270 MB, of 500 times of 512 × 512 points."""
    truth, candidate = rain
    taker = statistics()["rain"](setting_of(truth, GRID, channels=("pr",)))
    members = np.stack([truth, candidate, candidate[::-1]], 1)
    state = taker.measure(Batch(truth, np.arange(40)), Ensemble(members, np.arange(40)))
    apart = {key.partition("/")[2] for key in state if "/" in key}
    assert apart == {"wet", "wet_count", "sum", "heavy", "maximum", "histogram"}
    assert {"times", "present", "count", "wet_truth", "sum_truth", "maximum_truth"} <= set(state)
    maps = sum(state[f"0/{key}"].itemsize for key in ("wet_count", "sum", "heavy", "maximum"))
    assert maps <= 24  # bytes a point, of fields in double precision


def test_maps_of_rain_show_the_range_of_an_ensembles_members(rain, tmp_path):
    truth, candidate = (fields.astype("f4") for fields in rain)

    def source(fields):
        return ArraySource(fields, grid=GRID, channels=("pr",), units=("mm/day",))

    ensemble = EnsembleSource([source(candidate), source(candidate[::-1]), source(truth)])
    evaluate(source(truth), {"ensemble": ensemble}, tmp_path, metrics=["rain"], report=False)
    drawn = {plan.name: plan for plan in plans(ResultsFolder(tmp_path))}
    figure = drawn["map-members-greatest-pr"].draw()
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    every, least, greatest = (np.ma.filled(image, np.nan) for image in images)
    each = [np.nanmax(fields[..., 0], 0) for fields in (truth, candidate)]
    np.testing.assert_allclose(np.sort(least, None), np.sort(np.minimum(*each), None), rtol=1e-6)
    np.testing.assert_allclose(np.sort(greatest, None), np.sort(np.maximum(*each), None), rtol=1e-6)
    assert (least <= every).all() and (every <= greatest).all()
