"""Ensemble scores against scoringrules and scores; learned distances by callables."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from evaluation.made_fields import random_fields, setting_of
from phire.errors import InputError
from phire.evaluation import ensemble_scores, learned_distance, measure
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.catalogue import statistics
from phire.fields import EnsembleSource
from phire.fields.grid import Grid
from phire.fields.source import ArraySource

GRID = Grid.gaussian(16)
WEIGHTS = np.broadcast_to(GRID.area_weights(), GRID.shape) / GRID.shape[0] / GRID.shape[1]


@pytest.fixture(scope="module")
def ensemble():
    """Truth (5, H, W, 1) and members (5, 6, H, W, 1) that are as likely as the truth."""
    signal = random_fields(GRID, 5, 1, seed=0)

    def white(degree):
        return (2 * degree + 1) / 256

    noise = [random_fields(GRID, 5, 1, seed=seed, spectrum=white) for seed in range(1, 8)]
    noise = np.stack(noise, 1)
    truth = signal + 0.5 * noise[:, 0]
    return truth.astype("f4"), (signal[:, None] + 0.5 * noise[:, 1:]).astype("f4")


def scored(truth, members):
    taken = statistics()["ensemble"](setting_of(truth, GRID))
    times = np.arange(len(truth))
    state = taken.update(taken.empty(), Batch(truth, times), Ensemble(members, times))
    return taken.result(state)


@pytest.mark.parametrize(("name", "estimator"), [("crps", "nrg"), ("crps_fair", "fair")])
def test_crps_equals_that_of_scoringrules(ensemble, name, estimator):
    scoringrules = pytest.importorskip("scoringrules")
    truth, members = (fields.astype(float) for fields in ensemble)
    crps = scoringrules.crps_ensemble(
        truth[..., 0], np.moveaxis(members[..., 0], 1, -1), estimator=estimator
    )
    expected = (crps * WEIGHTS).sum((1, 2))
    result = scored(*ensemble)
    np.testing.assert_allclose(result[name][0], expected, rtol=1e-5)
    np.testing.assert_allclose(result[f"{name}_mean"], expected.mean(), rtol=1e-5)


def test_spread_and_error_equal_numpy(ensemble):
    truth, members = (fields.astype(float) for fields in ensemble)
    result = scored(*ensemble)
    spread = np.sqrt((members.var(1, ddof=1)[..., 0] * WEIGHTS).sum((1, 2)))
    error = np.sqrt(((members.mean(1) - truth)[..., 0] ** 2 * WEIGHTS).sum((1, 2)))
    np.testing.assert_allclose(result["spread"][0], spread, rtol=1e-5)
    np.testing.assert_allclose(result["error"][0], error, rtol=1e-5)
    assert result["spread_skill_ratio"].item() == pytest.approx(1, abs=0.15)
    ratio = result["binned_error"] / result["binned_spread"]
    assert (ratio * result["binned_weight"]).sum().item() == pytest.approx(1.08, abs=0.2)


def test_the_rank_histogram_is_flat_where_the_truth_is_like_the_members(ensemble):
    result = scored(*ensemble)
    assert result.sizes["rank"] == 7
    assert result["rank_histogram"].sum().item() == pytest.approx(1)
    np.testing.assert_allclose(result["rank_histogram"], 1 / 7, atol=0.06)


def test_the_rank_histogram_equals_that_of_scores(ensemble):
    probability = pytest.importorskip("scores.probability")
    truth, members = ensemble
    grid = Grid.pixels(*GRID.shape)  # where all points weigh the same
    taken = statistics()["ensemble"](setting_of(truth, grid))
    times = np.arange(len(truth))
    result = taken.result(taken.measure(Batch(truth, times), Ensemble(members, times)))
    expected = probability.rank_histogram(
        xr.DataArray(members[..., 0], dims=("time", "member", "y", "x")),
        xr.DataArray(truth[..., 0], dims=("time", "y", "x")),
        "member",
    )
    assert np.ptp(expected.values) > 0.001
    np.testing.assert_allclose(result["rank_histogram"][0], expected, rtol=1e-6)


def test_ranks_by_hand_and_with_ties():
    grid = Grid.pixels(1, 4)
    truth = np.array([0.0, 1.5, 5.0, 2.0])[None, None, :, None]
    members = np.broadcast_to(np.array([1.0, 2.0, 3.0])[None, :, None, None, None], (1, 3, 1, 4, 1))
    taken = statistics()["ensemble"](setting_of(truth, grid))
    state = taken.measure(Batch(truth, [0]), Ensemble(members, np.array([0])))
    # 0 is below all, 1.5 above one, 5 above all, 2 ties with the second: half and half.
    np.testing.assert_allclose(state["rank"][0], [1, 1.5, 0.5, 1])


def test_points_missing_in_a_member_are_left_out(ensemble):
    truth, members = ensemble
    holed = members.copy()
    holed[:, 2, 4:8, 3:9] = np.nan
    result = scored(truth, holed)
    outside = np.ones(GRID.shape)
    outside[4:8, 3:9] = 0
    crps = scored(truth, np.where(outside[..., None], members, truth[:, None]))["crps"]
    share = (WEIGHTS * outside).sum()
    np.testing.assert_allclose(result["crps"] * share, crps, rtol=1e-5)


def dataset(fields, **dimensions):
    return xr.Dataset(
        {"t": ((*dimensions, "latitude", "longitude"), fields)},
        {**dimensions, "latitude": GRID.latitudes, "longitude": GRID.longitudes},
    )


def test_a_dimension_member_makes_an_ensemble(ensemble):
    truth, members = ensemble
    times, numbers = np.arange(5), np.arange(6)
    theirs = dataset(truth[..., 0], time=times)
    own = dataset(members[..., 0], time=times, member=numbers)
    result = ensemble_scores(theirs, own)
    np.testing.assert_allclose(result["crps"], scored(truth, members)["crps"], rtol=1e-6)
    mean = own.mean("member")
    np.testing.assert_allclose(
        measure("scores", theirs, own)["rmse"], measure("scores", theirs, mean)["rmse"],
        rtol=1e-5,
    )  # fmt: skip
    # Texture is that of the members, not of their mean.
    spectra = [measure("spectrum", theirs, c)["variance"][0, 10] for c in (own, mean)]
    assert spectra[0] > 1.2 * spectra[1]
    with pytest.raises(InputError, match="member"):
        ensemble_scores(theirs, mean)


def test_members_must_be_alike(ensemble):
    _, members = ensemble
    first = ArraySource(members[:, 0], grid=GRID)
    with pytest.raises(InputError, match="differ"):
        EnsembleSource([first, ArraySource(members[:3, 1], grid=GRID)])
    source = EnsembleSource([first, ArraySource(members[:, 1], grid=GRID)])
    assert source.read_members([1, 2]).shape == (2, 2, *GRID.shape, 1)
    np.testing.assert_allclose(source.read([1]), members[1:2, :2].mean(1))


def test_a_learned_distance_is_whatever_the_callable_says(ensemble):
    truth, members = ensemble
    candidate = members[:, 0].copy()
    candidate[3, 0, 0] = np.nan
    theirs, own = ArraySource(truth, grid=GRID), ArraySource(candidate, grid=GRID)

    def distance(x, y):
        assert np.isfinite(y).all()
        return np.abs(x - y).mean((1, 2, 3))

    result = learned_distance(theirs, own, distance=distance)
    expected = np.abs(truth - candidate).mean((1, 2, 3))
    assert np.isnan(expected[3])
    np.testing.assert_allclose(result["learned_distance"], expected, rtol=1e-6)
    assert result["learned_distance_mean"].item() == pytest.approx(np.nanmean(expected))
    assert "frechet_distance" not in result
    with pytest.raises(InputError, match="learned"):
        learned_distance(theirs, own)


def test_a_network_sees_fields_from_the_north(ensemble):
    truth, members = ensemble
    seen = []

    def distance(x, y):
        seen.append((x, y))
        return np.zeros(len(x))

    southward = Grid.regional(np.sort(GRID.latitudes)[::-1], GRID.longitudes)
    northward = Grid.regional(np.sort(GRID.latitudes), GRID.longitudes)
    own = ArraySource(members[:, 0], grid=southward)
    for theirs in (
        ArraySource(truth, grid=southward),
        ArraySource(truth[:, ::-1], grid=northward),
    ):
        learned_distance(theirs, own, distance=distance)
        x, y = seen.pop()
        np.testing.assert_array_equal(x, truth.astype("f4"))
        np.testing.assert_array_equal(y, members[:, 0].astype("f4"))


def test_the_frechet_distance_of_features_that_differ_by_a_shift():
    random = np.random.default_rng(0)
    truth = random.normal(size=(60, *GRID.shape, 1)).astype("f4")

    def features(fields):
        return fields[:, 2, :3, 0]

    theirs, own = ArraySource(truth, grid=GRID), ArraySource(truth + 2, grid=GRID)
    result = learned_distance(theirs, own, features=features)
    assert result["frechet_distance"].item() == pytest.approx(3 * 2**2, rel=1e-4)


def test_an_array_without_coordinates_is_refused_in_words():
    fields = np.zeros((2, 3, 4, 1))
    with pytest.raises(InputError, match=r"is a ndarray, which has no coordinates: .*ArraySource"):
        measure("scores", fields, fields)
