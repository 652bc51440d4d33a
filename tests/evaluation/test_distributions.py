"""Distributions against NumPy and SciPy; cities; fractions skill score; high-pass; projections."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evaluation.made_fields import random_fields, setting_of, take, white_ensemble
from phire.evaluation import distributions, evaluate, quantiles_by_season
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.catalogue import statistics
from phire.evaluation.cities import cities_within, neighbourhood
from phire.evaluation.domain import Domain
from phire.evaluation.feature_distances import frechet_distance
from phire.evaluation.histograms import Bins, quantiles, sums_in_few_bins, wasserstein
from phire.evaluation.projections import rv_coefficient
from phire.fields.grid import Grid
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.source import ArraySource
from phire.fields.time_axis import TimeAxis

PIXELS = Grid.pixels(60, 80)


def skewed(seed, shape=(4, 60, 80, 2)):
    return np.random.default_rng(seed).gamma(3, size=shape).astype("f4")


def taken(name, truth, candidate=None, grid=PIXELS, **options):
    return take(statistics()[name](setting_of(truth, grid, **options)), truth, candidate)


def test_quantiles_and_moments_equal_numpy():
    truth, candidate = skewed(0), 1.2 * skewed(1)
    result = taken("distribution", truth, candidate)
    levels = result["quantile"].values
    for c in range(2):
        values = candidate[..., c].astype(float)
        # Between the outermost values, quantiles are a matter of convention.
        inner = slice(1, -1)
        expected = np.quantile(values, levels[inner])
        found = result["quantile_value"][c, inner]
        np.testing.assert_allclose(found, expected, rtol=0.01)
        assert result["mean"][c].item() == pytest.approx(values.mean(), rel=1e-5)
        assert result["std"][c].item() == pytest.approx(values.std(), rel=1e-5)
        assert result["minimum"][c].item() == values.min()
        assert result["maximum"][c].item() == values.max()


def test_the_wasserstein_distance_equals_scipys():
    truth, candidate = skewed(0), 1.2 * skewed(1)
    result = taken("distribution", truth, candidate)
    for c in range(2):
        expected = stats.wasserstein_distance(truth[..., c].ravel(), candidate[..., c].ravel())
        assert result["wasserstein"][c].item() == pytest.approx(expected, rel=2e-3)


def test_the_wasserstein_distance_weighs_by_area():
    grid = Grid.gaussian(16)
    truth, candidate = random_fields(grid, 2, 1, seed=1), random_fields(grid, 2, 1, seed=2) + 0.3
    weights = np.broadcast_to(grid.area_weights(), (2, *grid.shape)).ravel()
    expected = stats.wasserstein_distance(truth.ravel(), candidate.ravel(), weights, weights)
    result = taken("distribution", truth, candidate, grid)
    assert result["wasserstein"].item() == pytest.approx(expected, rel=2e-3)


def test_densities_are_densities():
    truth, candidate = skewed(0), skewed(1)
    result = taken("distribution", truth, candidate)
    np.testing.assert_allclose((result["density"] * result["bin_width"]).sum("bin"), 1)
    error = result["error_density"]
    width = result["error_bin_centre"].diff("error_bin")[:, 0]
    np.testing.assert_allclose((error * width).sum("error_bin"), 1)
    mean = (error * width * result["error_bin_centre"]).sum("error_bin")
    np.testing.assert_allclose(mean, (candidate - truth).mean((0, 1, 2)), atol=0.05)


def test_errors_of_large_ensembles_are_those_of_every_few_rows(monkeypatch):
    """Values are all counted, and errors in every second row for two members."""
    monkeypatch.setattr(distributions, "MEMBER_ERRORS", 1)
    truth, members = white_ensemble(PIXELS, times=3, members=2)
    statistic = statistics()["distribution"](setting_of(truth, PIXELS))
    times = np.arange(3)
    states = statistic.measure_members(Batch(truth, times), Ensemble(members, times))
    found = sum(state["error"][0] for state in states)
    errors = (members - truth[:, None])[:, :, ::2]
    edges = statistic.error_bins.edges[0]
    expected, _ = np.histogram(errors, [-np.inf, *edges[1:-1], np.inf])
    weight = found.sum() / errors.size
    assert np.abs(found / weight - expected).sum() <= 4  # values at the edge of a bin
    values = sum(state["own"][0] for state in states)
    assert values.sum() == pytest.approx(members.size * weight)


@given(
    st.integers(1, 40).flatmap(
        lambda count: st.tuples(
            st.just(count), st.lists(st.integers(0, count - 1), min_size=0, max_size=200)
        )
    )
)
def test_sums_in_few_bins_equal_those_of_numpy(drawn):
    count, places = drawn
    weights = np.random.default_rng(len(places)).random(len(places))
    places = np.array(places, np.uint8)
    expected = np.bincount(places, weights, minlength=count)
    np.testing.assert_allclose(sums_in_few_bins(places, weights, count), expected, rtol=1e-12)


def test_a_hole_leaves_the_distribution_of_the_rest():
    truth, candidate = skewed(0), skewed(1)
    candidate[:, 10:20, 5:15] = np.nan
    result = taken("distribution", truth, candidate)
    kept = np.isfinite(candidate)
    expected = stats.wasserstein_distance(truth[kept], candidate[kept])
    assert result["wasserstein"].mean().item() == pytest.approx(expected, rel=0.2)
    mask = np.ones(PIXELS.shape)
    mask[10:20, 5:15] = 0
    rest = taken("distribution", truth, skewed(1), domain=Domain.masked("rest", PIXELS, mask))
    np.testing.assert_allclose(result["quantile_value"], rest["quantile_value"], rtol=2e-2)


def test_histograms_with_empty_bins():
    edges = np.arange(6.0)
    histogram = np.array([0, 2, 0, 0, 2.0])
    np.testing.assert_allclose(quantiles(histogram, edges, [0, 0.25, 0.75, 1]), [1, 1.5, 4.5, 5])
    assert np.isnan(quantiles(np.zeros(5), edges, [0.5])).all()
    shifted = np.array([2, 0, 0, 2, 0.0])
    assert wasserstein(histogram, shifted, np.array(1.0)) == pytest.approx(1)
    assert wasserstein(histogram, 7 * histogram, np.array(1.0)) == 0
    assert np.isnan(wasserstein(histogram, np.zeros(5), np.array(1.0)))


def test_values_beyond_the_bins_count_in_the_outer_ones():
    bins = Bins.between(np.array([0.0]), np.array([1.0]), 4)
    np.testing.assert_array_equal(bins.histogram(np.array([-5, 0.1, 0.9, 7]), 0), [2, 0, 0, 2])


def test_cities_are_compared_where_they_lie():
    grid = Grid.driscoll_healy(64)
    truth = random_fields(grid, 30, 1, seed=1)
    candidate = random_fields(grid, 30, 1, seed=2) + 0.2
    result = taken("cities", truth, candidate, grid)
    assert result.sizes["city"] == len(cities_within(grid))
    for city in cities_within(grid)[::20]:
        for size in (1, 2, 3):
            rows, columns = neighbourhood(grid, city.latitude, city.longitude, size=size)
            values = [fields[:, rows, columns, 0].ravel() for fields in (truth, candidate)]
            at = {"city": city.name, "size": size}
            expected = stats.wasserstein_distance(*values)
            assert result["wasserstein"].sel(at).item() == pytest.approx(
                expected, rel=0.02, abs=2e-3
            )
            assert result["mean"].sel(at).item() == pytest.approx(values[1].mean(), abs=1e-5)
    assert set(result["city_longitude"].values < 0) == {True, False}


def test_cities_of_a_region_only():
    grid = Grid.driscoll_healy(64)
    truth = random_fields(grid, 3, 1)
    box = Domain.box("europe", grid, (72, -12, 35, 40))
    result = taken("cities", truth, None, grid, domain=box)
    assert 3 < result.sizes["city"] < 40
    assert (result["city_latitude"] > 34).all()


def test_fractions_skill_score_equals_that_of_scores():
    spatial = pytest.importorskip("scores.spatial")

    truth, candidate = skewed(0, (3, 60, 80, 1)), skewed(1, (3, 60, 80, 1))
    candidate = 0.5 * candidate + 0.5 * np.roll(truth, 2, axis=2)
    result = taken("fractions_skill_score", truth, candidate)
    arrays = [
        xr.DataArray(fields[..., 0], dims=("time", "y", "x")) for fields in (candidate, truth)
    ]
    for event in ("90 %", "95 %"):
        threshold = result["threshold"].sel(event=event).item()
        for window in (1, 3, 9):
            expected = spatial.fss_2d(
                *arrays,
                event_threshold=threshold,
                window_size=(window, window),
                spatial_dims=("y", "x"),
                zero_padding=True,
                threshold_operator=np.greater,
            )
            own = result["fractions_skill_score"].sel(event=event, window=window).item()
            # Theirs takes no windows around the outermost points, for even windows' sake.
            assert own == pytest.approx(float(expected), abs=0.01)


def test_fractions_skill_score_by_brute_force():
    grid = Grid.gaussian(16)
    truth, candidate = random_fields(grid, 2, 1, seed=1), random_fields(grid, 2, 1, seed=2)
    result = taken("fractions_skill_score", truth, candidate, grid)
    weights = np.broadcast_to(grid.area_weights(), grid.shape)
    threshold = result["threshold"].sel(event="90 %").item()

    def fractions(field, size):
        exceeds = np.pad((field > threshold).astype(float), ((0, 0), (size // 2,) * 2), "wrap")
        exceeds = np.pad(exceeds, ((size // 2,) * 2, (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(exceeds, (size, size))
        return windows.mean((-1, -2))

    for size in (1, 5):
        p, q = (
            np.stack([fractions(f, size) for f in fields[..., 0]]) for fields in (candidate, truth)
        )
        expected = 1 - (weights * (p - q) ** 2).sum() / (weights * (p**2 + q**2)).sum()
        own = result["fractions_skill_score"].sel(event="90 %", window=size).item()
        assert own == pytest.approx(expected, rel=1e-9)


def test_fractions_skill_score_of_a_perfect_candidate():
    truth = skewed(0)
    np.testing.assert_allclose(taken("fractions_skill_score", truth, truth)[
        "fractions_skill_score"], 1)  # fmt: skip


def test_high_passed_errors_equal_a_high_pass_by_hand():
    grid = Grid.gaussian(32)
    truth, error = random_fields(grid, 2, 1, seed=1), 0.7 * random_fields(grid, 2, 1, seed=2)
    result = taken("high_pass", truth, truth + error, grid, scale=4)
    np.testing.assert_array_equal(result["degree"], [4, 8])
    harmonics = SphericalHarmonics(grid, threads=1)
    weights = np.broadcast_to(grid.area_weights(), grid.shape) / grid.shape[0] / grid.shape[1]

    def high_pass(field):
        coefficients = harmonics.analyse(field)
        coefficients[..., harmonics.degrees >= 8] = 0
        return field - harmonics.synthesise(coefficients)

    left, own = high_pass(error[..., 0]), high_pass(truth[..., 0])
    rmse = np.sqrt((left**2 * weights).sum((1, 2)).mean())
    assert result["rmse"].sel(degree=8).item() == pytest.approx(rmse, rel=1e-5)
    std = np.sqrt((own**2 * weights).sum((1, 2)))[:, None, None]
    for multiple in (1, 2):
        expected = ((np.abs(left) > multiple * std) * weights).sum((1, 2)).mean()
        found = result["exceedance"].sel(degree=8, multiple=multiple).item()
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_projections_of_the_truth_itself_agree(pair):
    grid, truth, candidate = pair
    same = taken("projections", truth, truth, grid)
    np.testing.assert_allclose(same["wasserstein"].dropna("component"), 0, atol=1e-9)
    np.testing.assert_allclose(same["rv_coefficient"], 1)
    np.testing.assert_allclose(same["frechet"], 0, atol=1e-6)
    other = taken("projections", truth, candidate, grid)
    assert (other["rv_coefficient"] < 1).all() and (other["frechet"] > 0).all()


def test_projections_keep_inner_products():
    """The principal component of fields that vary along one pattern is that pattern's amplitude."""
    grid = Grid.gaussian(32)
    pattern = random_fields(grid, 1, 1, seed=1)
    noise = random_fields(grid, 40, 1, seed=2)
    amplitude = np.random.default_rng(3).normal(size=(40, 1, 1, 1))
    truth = 3 * amplitude * pattern + 0.1 * noise
    shift = 2.0
    result = taken("projections", truth, truth + 3 * shift * pattern, grid)
    found = result["wasserstein"].sel(projection="principal", component=1).item()
    assert found == pytest.approx(shift / amplitude.std(), rel=0.05)


def test_rv_coefficient_is_invariant_to_rotation():
    random = np.random.default_rng(4)
    first = random.normal(size=(50, 4))
    rotation, _ = np.linalg.qr(random.normal(size=(4, 4)))
    assert rv_coefficient(first, 3 * first @ rotation + 1) == pytest.approx(1)
    assert rv_coefficient(first, random.normal(size=(50, 4))) < 0.3
    assert np.isnan(rv_coefficient(first, np.ones((50, 4))))


def test_the_frechet_distance_of_gaussians_in_closed_form():
    random = np.random.default_rng(5)
    first, second = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 4.0, 1.0])
    mean = random.normal(size=3)
    # Commuting covariances: |Δμ|² + Σ (√λ − √κ)².
    assert frechet_distance(mean, first, 0 * mean, second) == pytest.approx(
        (mean**2).sum() + 1 + 0 + 4
    )
    rotation, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turned = [rotation @ matrix @ rotation.T for matrix in (first, second)]
    assert frechet_distance(mean, turned[0], mean, turned[1]) == pytest.approx(5)


def test_divergences_equal_those_of_scipy():
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import entropy

    random = np.random.default_rng(3)
    grid = Grid.pixels(60, 80)
    truth = random.normal(size=(3, 60, 80, 1))
    candidate = 1.3 * random.normal(size=(3, 60, 80, 1)) + 0.2
    result = take(statistics()["distribution"](setting_of(truth, grid)), truth, candidate)
    inner = np.linspace(truth.min(), truth.max(), 101)
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    q, p = (np.histogram(fields, edges)[0] / fields.size for fields in (truth, candidate))
    # The fine bins' edges are not exactly those of numpy's hundred.
    found = result["jensen_shannon"].item()
    assert found == pytest.approx(jensenshannon(p, q) ** 2, rel=0.03)
    assert result["kullback_leibler"].item() == pytest.approx(entropy(q + 1e-6, p + 1e-6), rel=0.05)
    limit = np.quantile(truth, 0.999)
    ratio = (candidate > limit).mean() / (truth > limit).mean()
    assert result["tail_ratio"].item() == pytest.approx(ratio, rel=0.1)
    same = take(statistics()["distribution"](setting_of(truth, grid)), truth, truth)
    assert same["jensen_shannon"] == 0 and same["kullback_leibler"] == pytest.approx(0, abs=1e-12)
    assert same["tail_ratio"] == 1


def test_quantiles_by_season_are_those_of_the_times_of_a_season(tmp_path):
    time = TimeAxis.from_cf(np.arange(24) * 15, "days since 2001-01-03")
    grid = Grid.pixels(20, 30)
    truth = np.random.default_rng(0).normal(size=(24, 20, 30, 1)).astype("f4")
    months = time.months()
    # Too warm in winter and too cold in summer by as much: right over the year.
    shift = np.select([months % 12 // 3 == 0, months % 12 // 3 == 2], [0.5, -0.5], 0.0)
    shared = {"channels": ("t",), "units": ("K",), "grid": grid, "time": time}
    sources = [ArraySource((truth + s).astype("f4"), **shared)
               for s in (0, shift[:, None, None, None])]  # fmt: skip
    result = quantiles_by_season(*sources).isel(channel=0)
    assert list(result["season"].values) == ["DJF", "MAM", "JJA", "SON"]
    for season, name in enumerate(("DJF", "MAM", "JJA", "SON")):
        here = result.sel(season=name)
        own = (truth + shift[:, None, None, None])[months % 12 // 3 == season].ravel()
        for level in (0.1, 0.5, 0.98):
            found = here["quantile_value"].sel(quantile=level).item()
            assert found == pytest.approx(np.quantile(own, level), abs=0.02)
        expected = {0: 0.5, 2: 0.5}.get(season, 0)
        assert here["seasonal_wasserstein"].item() == pytest.approx(expected, abs=2e-3)
    assert result["seasonal_wasserstein_worst"].item() == pytest.approx(0.5, abs=2e-3)
    evaluate(sources[0], {"shifted": sources[1]}, tmp_path, metrics=["seasonal_quantiles"])
    assert (tmp_path / "figures" / "seasonal-quantiles-t.png").is_file()
