"""Climatologies against closed forms and least squares; round trips; refusals."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.cli.phire import main
from phire.errors import InputError
from phire.fields import climatology, open_store, standardize, write_source
from phire.fields.climatologies import STATISTICS_OF, Climatology, harmonic_basis
from phire.fields.climatology_fit import fit_climatology
from phire.fields.ensemble import EnsembleSource
from phire.fields.grid import Grid
from phire.fields.source import ArraySource
from phire.fields.standardized_source import StandardizedSource
from phire.fields.time_axis import TimeAxis

GRID = Grid.regional([50.0, 45, 40], [0.0, 5, 10, 15])
RANDOM = np.random.default_rng(0)


def days(start="2000-01-01", count=1461, calendar=None) -> TimeAxis:
    if calendar:
        dates = xr.date_range(start, periods=count, calendar=calendar, use_cftime=True)
        return TimeAxis.from_coordinate(dates.values)
    return TimeAxis.from_coordinate(pd.date_range(start, periods=count).values)


def seasonal_source(time=None, missing=0.0) -> ArraySource:
    """A temperature with a season in its mean and spread, by point, and a rain without dates."""
    time = days() if time is None else time
    phase = 2 * np.pi * np.arctan2(*harmonic_basis(time, 1)[:, [2, 1]].T) / (2 * np.pi)
    place = np.arange(12.0).reshape(GRID.shape)
    mean = 280 + place + (5 + place) * np.cos(phase)[:, None, None]
    std = np.sqrt(4 + 2 * np.sin(phase))[:, None, None] * (1 + place / 12)
    noise = RANDOM.normal(size=mean.shape)
    fields = np.stack([mean + std * noise, RANDOM.gamma(2, 1, mean.shape)], axis=-1)
    fields[RANDOM.random(fields.shape) < missing] = np.nan
    return ArraySource(
        fields.astype("f4"), channels=["t", "pr"], units=["K", "mm"], grid=GRID, time=time
    )


@pytest.mark.parametrize("missing", [0.0, 0.002, 0.3])
@pytest.mark.parametrize("harmonics", [0, 2])
def test_coefficients_of_points_are_those_of_least_squares(missing, harmonics):
    source = seasonal_source(missing=missing)
    found = fit_climatology(source, statistics_of="point", harmonics=harmonics)
    basis = harmonic_basis(source.time, harmonics)
    for c, i, j in ((0, 0, 0), (1, 2, 3)):
        values = source.fields[:, i, j, c].astype("f8")
        there = np.isfinite(values)
        wanted = np.linalg.lstsq(basis[there], values[there], rcond=None)[0]
        np.testing.assert_allclose(found.mean[c, :, i, j], wanted, rtol=1e-6, atol=1e-6)
        squares = (values - basis @ wanted)[there] ** 2
        wanted = np.linalg.lstsq(basis[there], squares, rcond=None)[0]
        np.testing.assert_allclose(found.variance[c, :, i, j], wanted, rtol=1e-4, atol=1e-5)


def test_points_with_few_values_or_a_part_of_the_year_have_the_domains_statistics(capsys):
    time = days()
    source = seasonal_source(time)
    fields = source.fields.copy()
    summer = np.isin(time.months(), (6, 7, 8))
    fields[~summer, 0, 0] = np.nan
    fields[2:, 0, 1] = np.nan
    fields[:, 0, 2] = np.nan
    fields[time.months() == 3, 1, 0] = np.nan  # eleven months determine two harmonics
    source = ArraySource(fields, channels=source.channels, units=source.units, grid=GRID, time=time)
    points = fit_climatology(source, statistics_of="point", harmonics=2)
    domain = fit_climatology(source, harmonics=2)
    for (own, own_std), (common, common_std) in [(points.moments(time), domain.moments(time))]:
        for row, column, poor in ((0, 0, True), (0, 1, True), (0, 2, True), (1, 0, False)):
            same = np.allclose(own[:, row, column], common[:, 0, 0])
            assert same == np.allclose(own_std[:, row, column], common_std[:, 0, 0]) == poor
    standardised = StandardizedSource(source, points).read(slice(None))
    assert np.nanmax(np.abs(standardised)) < 20
    assert "3 points with too few values" in capsys.readouterr().err


def test_a_domain_without_a_season_has_the_plain_moments():
    source = seasonal_source(missing=0.2)
    found = fit_climatology(source)
    for c in range(2):
        values = source.fields[..., c].astype("f8")
        assert found.mean[c].item() == pytest.approx(np.nanmean(values))
        assert found.variance[c].item() == pytest.approx(np.nanvar(values))


def test_the_season_of_mean_and_spread_is_found_and_does_not_jump():
    source = seasonal_source(days(count=14610))
    found = fit_climatology(source, statistics_of="point", harmonics=2).select(["t"])
    mean, std = found.moments(days("2001-01-01", 365))
    place = np.arange(12.0).reshape(GRID.shape)
    phase = 2 * np.pi * np.arange(365) / 365
    exact = 280 + place + (5 + place) * np.cos(phase)[:, None, None]
    np.testing.assert_allclose(mean[..., 0], exact, atol=0.5)
    exact = np.sqrt(4 + 2 * np.sin(phase))[:, None, None] * (1 + place / 12)
    np.testing.assert_allclose(std[..., 0], exact, rtol=0.15)
    # From a day to the next, December to January too, by at most 2π/365 of the amplitude.
    steps = np.abs(np.diff(mean[..., 0], axis=0, append=mean[:1, ..., 0])).max()
    assert steps < 1.2 * 2 * np.pi / 365 * 16


@settings(max_examples=20, deadline=None)
@given(
    of=st.sampled_from(STATISTICS_OF),
    harmonics=st.integers(0, 3),
    calendar=st.sampled_from(["360_day", "noleap", "standard"]),
    seed=st.integers(0, 99),
)
def test_standardising_is_inverted(of, harmonics, calendar, seed):
    source = seasonal_source(days("2000-01-01", 720, calendar), missing=0.05)
    found = fit_climatology(source, statistics_of=of, harmonics=harmonics)
    made = StandardizedSource(source, found)
    times = np.random.default_rng(seed).integers(0, 720, 5)
    values = made.read(slice(None))
    assert made.units == ("1", "1")
    assert np.nanmean(values) == pytest.approx(0, abs=0.02)
    if of != "mean-of-points":  # these leave the differences from place to place
        assert np.nanstd(values) == pytest.approx(1, abs=0.1)
    again = StandardizedSource(
        ArraySource(values, channels=["t", "pr"], units=["1", "1"], grid=GRID, time=source.time),
        found, inverse=True,
    )  # fmt: skip
    assert again.units == ("K", "mm")
    np.testing.assert_allclose(again.read(times), source.read(times), rtol=1e-5, atol=1e-4)


def test_members_are_standardised_one_by_one_and_channels_by_name():
    source = seasonal_source()
    found = fit_climatology(source, harmonics=1)
    turned = ArraySource(source.fields[..., ::-1], channels=["pr", "t"], units=["mm", "K"],
                         grid=GRID, time=source.time)  # fmt: skip
    made = StandardizedSource(EnsembleSource([turned, turned]), found)
    wanted = StandardizedSource(source, found).read([3])[..., ::-1]
    np.testing.assert_allclose(made.read_members([3])[:, 1], wanted, rtol=1e-6)
    np.testing.assert_array_equal(
        made.read_members([3], slice(1, 2))[:, 0], made.read_members([3])[:, 1]
    )


def test_files_through_the_commands(tmp_path):
    source = seasonal_source()
    write_source(source, tmp_path / "a.h5")
    runner = CliRunner()
    arguments = [f"{tmp_path}/a.h5", f"{tmp_path}/clim.h5", "--statistics-of", "point"]
    result = runner.invoke(main, ["climatology", *arguments, "--seasonal", "2"])
    assert result.exit_code == 0, result.output
    result = runner.invoke(main, ["climatology", *arguments, "--seasonal", "2"])
    assert "already made" in result.output
    assert runner.invoke(main, ["climatology", *arguments]).exit_code == 2
    result = runner.invoke(main, ["info", f"{tmp_path}/clim.h5"])
    assert "harmonics of the year  2" in result.output
    assert "3 × 4 points" in result.output
    assert "kind" in runner.invoke(main, ["info", f"{tmp_path}/a.h5"]).output
    known = Climatology.load(tmp_path / "clim.h5")
    np.testing.assert_array_equal(
        known.mean, fit_climatology(source, statistics_of="point", harmonics=2).mean
    )
    standardize(tmp_path / "a.h5", tmp_path / "z.h5", climatology=tmp_path / "clim.h5")
    standardize(
        tmp_path / "z.h5", tmp_path / "b.h5", climatology=tmp_path / "clim.h5", inverse=True
    )
    with open_store(tmp_path / "b.h5") as store:
        assert store.units == ("K", "mm")
        np.testing.assert_allclose(store.read([7]), source.read([7]), rtol=1e-5, atol=1e-4)


def test_what_does_not_fit_is_refused(tmp_path):
    source = seasonal_source()
    found = fit_climatology(source, statistics_of="point", harmonics=1)
    winter = fit_climatology(source, harmonics=1, times=np.arange(60))
    cases = [
        (lambda: StandardizedSource(source, winter), "also 3, 4, 5"),
        (lambda: StandardizedSource(source, found.select(["t"])), "no channel pr; it has t"),
        (lambda: StandardizedSource(source, found, inverse=True), "not standardised: leave out"),
        (lambda: fit_climatology(source, statistics_of="pixel"), "domain, point"),
        (lambda: fit_climatology(source, harmonics=9), "from 0 to 6"),
        (lambda: Climatology.load(tmp_path / "none.h5"), "does not exist"),
        (lambda: climatology(tmp_path / "a.h5", tmp_path / "a.json"), r"ends with \.h5"),
    ]
    write_source(source, tmp_path / "a.h5")
    other = ArraySource(source.fields, channels=["t", "pr"], units=["m", "mm"], grid=GRID,
                        time=source.time)  # fmt: skip
    cases.append((lambda: StandardizedSource(other, found), "t in 'm', not in 'K'"))
    moved = Grid.regional([50.0, 45, 40], [1.0, 6, 11, 16])
    away = ArraySource(source.fields, channels=["t", "pr"], grid=moved, time=source.time)
    cases.append((lambda: StandardizedSource(away, found), "regrid one of them"))
    bare = ArraySource(source.fields, channels=["t", "pr"], grid=GRID)
    cases.append((lambda: fit_climatology(bare, harmonics=1), "needs dates"))
    flat = ArraySource(np.ones((5, *GRID.shape, 1)), channels=["t"], grid=GRID)
    cases.append((lambda: fit_climatology(flat), "t is constant"))
    cases.append(
        (lambda: Climatology.load(tmp_path / "a.h5"), "is not a file of `phire climatology`")
    )
    for call, said in cases:
        with pytest.raises(InputError, match=said):
            call()


REALDATA = Path(os.environ.get("PHIRE_REALDATA", "/nonexistent"))


@pytest.mark.skipif(not REALDATA.is_dir(), reason="PHIRE_REALDATA names no folder")
def test_twenty_years_of_e_obs_lose_their_season(tmp_path):
    file = REALDATA / "iberia_eobs050_1991-2010_daily.nc"
    climatology(
        file, tmp_path / "clim.h5", statistics_of="point", seasonal=2, variables=["tx"],
        time="1991-01-01,2001-01-01",
    )  # fmt: skip
    known = Climatology.load(tmp_path / "clim.h5")
    with xr.open_dataset(file) as data:
        values = data["tx"].sel(time=slice("2001", "2010"))
        time = TimeAxis.from_coordinate(values.time.values)
        mean, std = known.moments(time)
        flip = slice(None, None, -1) if values.lat[0] < values.lat[-1] else slice(None)
        kelvin = values.values[:, flip] + (273.15 if "C" in values.attrs["units"] else 0)
    z = (kelvin - mean[..., 0]) / std[..., 0]
    # In the ten years that follow: some warmer than the ten before, as variable in every month.
    assert -0.1 < np.nanmean(z) < 0.4
    for month in range(1, 13):
        own = z[time.months() == month]
        assert abs(np.nanmean(own)) < 0.6
        assert 0.8 < np.nanstd(own) < 1.25
