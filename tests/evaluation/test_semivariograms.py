"""Semivariograms against the closed form of random fields, and GSTools."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import eval_legendre

from evaluation.made_fields import random_fields, setting_of, take
from phire.errors import InputError
from phire.evaluation import semivariogram
from phire.evaluation.catalogue import statistics
from phire.evaluation.domain import Domain
from phire.evaluation.semivariograms import bootstrap
from phire.fields.grid import EARTH_RADIUS, Grid
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.source import ArraySource

GRID = Grid.gaussian(64)
SPACING = np.deg2rad(180 / 64) * EARTH_RADIUS / 1e3  # about 313 km
LAGS = (650.0, 1000.0, 2000.0, 5000.0)


def taken(truth, candidate=None, grid=GRID, **options):
    options = {"lags": LAGS, "pairs": 500, **options}
    return take(statistics()["semivariogram"](setting_of(truth, grid, **options)), truth, candidate)


def closed_form(variance, lags):
    """γ(h) = Σ S(l) (1 − P_l(cos h)) of one field, on average over all its pairs."""
    degree = np.arange(len(variance))
    angle = np.asarray(lags) * 1e3 / EARTH_RADIUS
    return (variance * (1 - eval_legendre(degree, np.cos(angle)[:, None]))).sum(1)


def test_a_random_field_has_the_semivariogram_of_its_spectrum():
    field = random_fields(GRID, 1, 1, spectrum=lambda degree: 1 / (3.0 + degree) ** 2.5)
    variance = SphericalHarmonics(GRID, threads=1).degree_spectrum(field[0, ..., 0])
    lags = (650.0, 2000.0)
    result = taken(field, pairs=100_000, lags=lags)
    expected = closed_form(variance, lags)
    np.testing.assert_allclose(result["semivariogram"][0], expected, rtol=0.03)
    assert min(LAGS) > 2 * SPACING


@pytest.mark.parametrize("direction", ["", "_zonal", "_meridional"])
def test_one_zonal_wave_differs_by_direction(direction):
    wave = np.broadcast_to(np.sin(2 * np.deg2rad(GRID.latitudes))[:, None], GRID.shape)
    result = taken(wave[None, ..., None], pairs=20_000)[f"semivariogram{direction}"][0, 0].item()
    isotropic = closed_form(
        SphericalHarmonics(GRID, threads=1).degree_spectrum(np.ascontiguousarray(wave)), LAGS
    )[0]
    assert {
        "": result == pytest.approx(isotropic, rel=0.03),
        "_zonal": result < 0.1 * isotropic,
        "_meridional": result == pytest.approx(2 * isotropic, rel=0.1),
    }[direction]


def test_directions_in_a_region_equal_gstools():
    gstools = pytest.importorskip("gstools")
    rows, columns = 40, 60
    # Near the equator a small grid is nearly flat: 0.25° are 27.8 km.
    grid = Grid.regional(np.arange(rows) * 0.25 - 5, np.arange(columns) * 0.25)
    step = np.deg2rad(0.25) * EARTH_RADIUS / 1e3
    model = gstools.Gaussian(dim=2, var=2.0, len_scale=8 * step)
    random = gstools.SRF(model, seed=3)
    fields = np.stack(
        [
            random((np.arange(rows) * step, np.arange(columns) * step), seed=seed,
                   mesh_type="structured")
            for seed in range(8)
        ]
    )[..., None]  # fmt: skip
    lags = 4 * step, 8 * step
    result = taken(fields, grid=grid, lags=lags, pairs=4000)
    for direction, axis in (("_meridional", 0), ("_zonal", 1)):
        expected = np.mean(
            [gstools.vario_estimate_axis(f[..., 0], "xy"[axis])[[4, 8]] for f in fields], 0
        )
        np.testing.assert_allclose(
            result[f"semivariogram{direction}"][0], expected, rtol=0.08, err_msg=direction
        )


def test_normalised_by_the_truths_variance():
    fields = random_fields(GRID, 3, 1)
    weights = np.broadcast_to(GRID.area_weights(), GRID.shape) / GRID.shape[0] / GRID.shape[1]
    mean = (fields[..., 0] * weights).sum((1, 2))
    variance = (((fields[..., 0] - mean[:, None, None]) ** 2) * weights).sum((1, 2)).mean()
    result = taken(fields)
    np.testing.assert_allclose(
        result["semivariogram_normalised"], result["semivariogram"] / variance, rtol=1e-5
    )


def test_the_same_pairs_for_truth_and_candidates():
    fields = random_fields(GRID, 2, 1)
    alone, again = taken(fields), taken(fields, 3 * fields)
    np.testing.assert_allclose(9 * alone["semivariogram"], again["semivariogram"], rtol=1e-9)
    np.testing.assert_allclose(again["semivariogram_ratio"], 9, rtol=1e-9)
    assert again["semivariogram_log_error"].item() == pytest.approx(np.log(9))


def test_lags_below_the_spacing_are_missing():
    result = taken(random_fields(GRID, 1, 1), lags=(25.0, 0.99 * SPACING, 1.01 * SPACING))
    np.testing.assert_array_equal(np.isfinite(result["semivariogram"][0]), [False, False, True])


def test_a_hole_leaves_out_the_pairs_that_touch_it():
    fields = random_fields(GRID, 2, 1)
    holed = fields.copy()
    holed[:, 20:30, 40:60] = np.nan
    whole, result = taken(fields), taken(fields, holed)
    assert (result["pair_count"] < whole["pair_count"]).all()
    np.testing.assert_allclose(result["semivariogram_ratio"], 1, rtol=1e-9)


def test_partners_stay_within_the_data():
    grid = Grid.regional(np.linspace(60, 40, 41), np.linspace(350, 380, 61))
    fields = np.random.default_rng(0).normal(size=(2, 41, 61, 1))
    result = taken(fields, grid=grid, lags=(100.0, 500.0))
    np.testing.assert_array_equal(result["pair_count"], 1000)
    far = taken(fields, grid=grid, lags=(9000.0,))
    assert np.isnan(far["semivariogram"]).all()


def test_pairs_of_a_region_start_there():
    grid = GRID
    fields = np.zeros((1, *grid.shape, 1))
    north = grid.latitudes > 0
    fields[0, north] = np.random.default_rng(1).normal(size=(north.sum(), grid.shape[1], 1))
    box = Domain.box("south", grid, (-30, 0, -80, 359))
    mask = Domain.masked(
        "south", grid, np.where(grid.latitudes[:, None] < -30, 1, 0) * np.ones(grid.shape)
    )
    for domain in (box, mask):
        assert float(taken(fields, domain=domain, lags=(650.0,))["semivariogram"].sum()) == 0
    assert float(taken(fields, lags=(650.0,))["semivariogram"].sum()) > 0.1


def test_bounds_of_the_bootstrap_hold_the_mean():
    random = np.random.default_rng(2)
    sums, counts = random.gamma(4, size=(200, 3)), np.full((200, 3), 10)
    low, high = bootstrap(sums, counts, seed=0)
    # 95 % of a mean of 200 values of mean 4 and standard deviation 2: ± 1.96 · 2/√200 = 0.277.
    np.testing.assert_allclose((high - low) / 2, 0.0277, rtol=0.35)
    assert (low < sums.sum(0) / counts.sum(0)).all() and (high > sums.sum(0) / counts.sum(0)).all()
    assert np.isnan(bootstrap(sums[:1], counts[:1], seed=0)[0]).all()


def test_without_coordinates_it_is_refused():
    fields = np.random.default_rng(4).normal(size=(2, 20, 30, 1))
    with pytest.raises(InputError, match="coordinates"):
        semivariogram(ArraySource(fields))
