"""Statistics of points and seasons in records: against least squares, and what they refuse."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields.climatologies import STATISTICS_OF, harmonic_basis
from phire.fields.climatology_fit import fit_climatology
from phire.fields.coarsening import CoarsenedSource, coarsen_grid
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.fields.normalization_fit import fit_normalization
from phire.fields.normalization_names import parse_kinds
from phire.fields.opening import open_source
from phire.fields.source import ArraySource, to_dataset
from phire.fields.time_axis import TimeAxis
from phire.records import open_records, write_downscaling_records
from phire.records.anomalies import NAME, Anomalies, parse_choices
from phire.records.sampled_records import load_anomalies

FINE = Grid.regional(50 - 0.5 * np.arange(16), 0.5 * np.arange(20))
DAYS = TimeAxis.from_coordinate(pd.date_range("2001-01-01", periods=500).values)
LEAST = 1 / 16
OPTIONS = {
    "patch": (8, 8), "scale": 4, "patches_per_field": 2, "shards": 1, "seasonal": "2,rain=1",
    "normalization": "z,rain=log:0.1", "statistics_of": "point,rain=domain",
}  # fmt: skip


def seasonal(grid, time=DAYS, seed=0):
    """(n, H, W, 2) temperature with a season that differs from point to point, and rain."""
    random = np.random.default_rng(seed)
    season = np.cos(2 * np.pi * np.arange(len(time)) / 365.25)[:, None, None]
    y, x = np.meshgrid(grid.latitudes, grid.longitudes, indexing="ij")
    temperature = 280 + y / 5 + (5 + np.sin(x)) * season
    temperature = temperature + random.normal(size=temperature.shape) * (1.5 + np.cos(y))
    rain = random.gamma(0.5, 4 + 2 * season, temperature.shape)
    return np.stack([temperature, rain], axis=-1).astype(np.float32)


def save(path, grid, values, names=("t", "rain"), units=("K", "mm"), time=DAYS):
    source = ArraySource(values, channels=names, units=units, grid=grid, time=time)
    to_dataset(source).to_netcdf(path)
    return str(path)


@pytest.fixture(scope="module")
def high(tmp_path_factory):
    return save(tmp_path_factory.mktemp("high") / "high.nc", FINE, seasonal(FINE))


@pytest.fixture(scope="module")
def coarse(tmp_path_factory):
    """Sea-level pressure on the blocks' grid and two points around it."""
    grid = coarsen_grid(FINE, 4, "cell")
    step = 2.0
    latitudes = np.concatenate([grid.latitudes[0] + [4, 2], grid.latitudes,
                                grid.latitudes[-1] - [2, 4]])  # fmt: skip
    longitudes = grid.longitudes[0] + step * (np.arange(grid.shape[1] + 4) - 2)
    grid = Grid.regional(latitudes, longitudes)
    values = seasonal(grid, seed=1)[..., :1] + 1e5
    return save(tmp_path_factory.mktemp("low") / "low.nc", grid, values, ("psl",), ("Pa",))


@pytest.fixture(scope="module")
def records(high, coarse, tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "records"
    write_downscaling_records(
        high, path, predictors=[coarse], coarse_targets=True, margin=1, **OPTIONS
    )
    return path


def stored(path):
    opened = open_records(path)
    (batch,) = opened.dataset(opened.count).as_numpy_iterator()
    return opened, batch


def times_of(path):
    import tensorflow as tf

    found = []
    for raw in tf.data.TFRecordDataset([str(p) for p in sorted(path.glob("*.tfrecord"))]):
        example = tf.train.Example.FromString(raw.numpy())
        found.append(example.features.feature["time"].int64_list.value[0])
    return np.searchsorted(DAYS.values, found)


def standardised(values, harmonics, by_point):
    """The values (n, h, w) by least squares on the harmonics, point by point or all at once."""
    basis = harmonic_basis(DAYS, harmonics)
    columns = values.reshape(len(values), -1) if by_point else values.mean((1, 2))[:, None]
    mean = basis @ np.linalg.lstsq(basis, columns, rcond=None)[0]
    mean = mean.reshape(-1, *(values.shape[1:] if by_point else (1, 1)))
    squares = (values - mean) ** 2
    columns = squares.reshape(len(values), -1) if by_point else squares.mean((1, 2))[:, None]
    variance = (basis @ np.linalg.lstsq(basis, columns, rcond=None)[0]).reshape(mean.shape)
    least = LEAST * (squares.mean(0) if by_point else squares.mean())
    return (values - mean) / np.sqrt(np.maximum(variance, least))


def test_targets_and_predictors_are_the_anomalies_of_their_own_points(records, high, coarse):
    opened, batch = stored(records)
    fine = open_source(high).read(slice(None)).astype("f8")
    means = CoarsenedSource(open_source(high), 4).read(slice(None)).astype("f8")
    outer = open_source(coarse).read(slice(None)).astype("f8")[..., 0]
    z = {
        name: (values - values.mean()) / values.std()
        for name, values in (("t", fine[..., 0]), ("psl", outer))
    }
    log = np.log(fine[..., 1] + 0.1)
    # The means of blocks are normalised as the targets are.
    coarse_t = (means[..., 0] - fine[..., 0].mean()) / fine[..., 0].std()
    coarse_rain = (np.log(means[..., 1] + 0.1) - log.mean()) / log.std()
    wanted = {
        ("high", 0): standardised(z["t"], 2, by_point=True),
        ("high", 1): standardised((log - log.mean()) / log.std(), 1, by_point=False),
        ("low", 0): standardised(coarse_t, 2, by_point=True),
        ("low", 1): standardised(coarse_rain, 1, by_point=False),
        # Block means of the targets have no point around the blocks; the predictor's are not read.
        ("low", 2): standardised(z["psl"], 2, by_point=True)[:, 2:-2, 2:-2],
    }
    assert opened.schema.arrays["low"].channels == ("t", "rain", "psl")
    for time, (row, column), low, fine_patch in zip(
        times_of(records), batch["position"], batch["low"], batch["high"]
    ):
        for c in range(2):
            patch = wanted["high", c][time, row : row + 8, column : column + 8]
            np.testing.assert_allclose(fine_patch[..., c], patch, atol=2e-3)
        for c in range(3):
            r, k = row // 4 - 1, column // 4 - 1
            patch = wanted["low", c][time, r : r + 4, k : k + 4]
            np.testing.assert_allclose(low[..., c], patch, atol=2e-3)


def test_the_schema_states_the_statistics_and_info_shows_them(records):
    from phire.records.records_description import describe_records

    schema = json.loads((records / "records.json").read_text())["schema"]
    assert [
        (part["channels"], part["statistics_of"], part["harmonics"], part["months"])
        for part in schema["arrays"]["low"]["climatologies"]
    ] == [
        (["t", "psl"], "point", 2, list(range(1, 13))),
        (["rain"], "domain", 1, list(range(1, 13))),
    ]
    text = str(describe_records(records)["normalization"])
    assert "t as anomalies of each point with 2 harmonics of the year" in text
    assert " with 1 harmonic of the year" in text


def test_patches_around_the_globe_meet_their_own_columns(tmp_path, sphere):
    time = DAYS[:40]
    values = seasonal(sphere, time)
    store = save(tmp_path / "globe.nc", sphere, values, time=time)
    options = {"patch": (4, 16), "scale": 2, "shards": 1, "normalization": "z"}
    path = tmp_path / "records"
    write_downscaling_records(store, path, statistics_of="point", **options)
    _, batch = stored(path)
    z = (values - values.mean((0, 1, 2))) / values.std((0, 1, 2))
    wanted = (z - z.mean(0)) / z.std(0)
    times = times_of(path)
    crossing = 0
    for time, (row, column), patch in zip(times, batch["position"], batch["high"]):
        columns = (column + np.arange(16)) % 32
        crossing += columns[-1] < column
        np.testing.assert_allclose(patch, wanted[time, row : row + 4][:, columns], atol=2e-3)
    assert crossing > 5


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 3), st.sampled_from(STATISTICS_OF), st.integers(0, 2**31))
def test_anomalies_are_inverted(harmonics, of, seed):
    random = np.random.default_rng(seed)
    values = random.normal(3, 2, (120, 3, 4, 2)).astype("f4")
    time = DAYS[::4][:120]
    grid = Grid.regional([3.0, 2, 1], [0.0, 1, 2, 3])
    source = ArraySource(values, channels=["a", "b"], units=["1", "1"], grid=grid, time=time)
    part = fit_climatology(source, statistics_of=of, harmonics=harmonics).select(["b"])
    found = Anomalies(("a", "b"), (part,))
    made = found.apply(values, time)
    np.testing.assert_array_equal(made[..., 0], values[..., 0])
    assert abs(made[..., 1].mean()) < 0.1 < 0.5 < made[..., 1].std() < 1.5
    np.testing.assert_allclose(found.invert(made, time), values, atol=1e-4)
    corner = Grid.regional([2.0, 1], [1.0, 2])
    there = found.on(corner, "high").apply(values[:, 1:, 1:3], time)
    np.testing.assert_array_equal(there, made[:, 1:, 1:3])


def test_missing_points_are_masked_and_leave_the_others_statistics(tmp_path):
    values = seasonal(FINE)
    values[:, 4, 5] = np.nan  # always
    values[100:200, 6, 7] = np.nan  # for a while
    store = save(tmp_path / "high.nc", FINE, values)
    path = tmp_path / "records"
    write_downscaling_records(
        store, path, missing="mask", **{**OPTIONS, "patch": (16, 20), "patches_per_field": 1}
    )
    _, batch = stored(path)
    assert np.isfinite(batch["high"]).all() and np.isfinite(batch["low"]).all()
    valid = batch["valid"][..., 0] > 0
    assert not valid[:, 4, 5].any() and (batch["high"][:, 4, 5] == 0).all()
    some = batch["high"][:, 6, 7, 0][valid[:, 6, 7]]
    assert len(some) == 400 and abs(some.mean()) < 0.05 and abs(some.std() - 1) < 0.1
    assert abs(batch["low"][..., 0].std() - 1) < 0.05


def test_the_statistics_of_other_records_hold_for_their_points(records, high, coarse, tmp_path):
    options = {**OPTIONS, "normalization": None, "statistics_of": None, "seasonal": None}
    inner = str(tmp_path / "inner.nc")
    xr.open_dataset(high).isel(latitude=slice(4, 16), longitude=slice(4, 16)).to_netcdf(inner)
    path = tmp_path / "validation"
    write_downscaling_records(inner, path, statistics=records, **options)
    _, batch = stored(path)
    anomalies = load_anomalies(records)["high"]
    normalization = open_records(records).schema.normalization
    fields = open_source(high).read(slice(None))
    wanted = anomalies.apply(normalization.apply(fields), DAYS)
    for time, (row, column), patch in zip(times_of(path), batch["position"], batch["high"]):
        there = wanted[time, 4 + row : 12 + row, 4 + column : 12 + column]
        np.testing.assert_allclose(patch, there, atol=1e-4)


def test_what_does_not_suit_the_statistics_is_refused(records, high, coarse, tmp_path):
    options = {**OPTIONS, "normalization": None, "statistics_of": None, "seasonal": None}
    moved = save(
        tmp_path / "moved.nc", Grid.regional(FINE.latitudes + 0.25, FINE.longitudes),
        seasonal(FINE),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"the statistics of .* points of a .* with other points"):
        write_downscaling_records(moved, tmp_path / "x", statistics=records, **options)
    assert not (tmp_path / "x").exists()
    winter = tmp_path / "winter"
    write_downscaling_records(high, winter, time="2001-01-01,2001-02-20", **OPTIONS)
    with pytest.raises(InputError, match=r"months 1, 2, but the fields also 3"):
        write_downscaling_records(
            high, tmp_path / "x", statistics=winter, time="2001-02-25,2001-03-02", **options
        )
    with pytest.raises(InputError, match="gives them"):
        write_downscaling_records(
            high, tmp_path / "x", statistics=winter, **{**options, "seasonal": 1}
        )


def test_records_whose_statistics_were_exchanged_are_refused(records, high, tmp_path):
    other = tmp_path / "other"
    write_downscaling_records(high, other, **{**OPTIONS, "time": "2001-01-01,2001-06-01"})
    changed = tmp_path / "changed"
    shutil.copytree(records, changed)
    shutil.copy(other / NAME, changed / NAME)
    with pytest.raises(InputError, match="other statistics of low than its schema states"):
        load_anomalies(changed)
    (changed / NAME).unlink()
    with pytest.raises(
        InputError, match="does not hold the statistics of low that its schema states"
    ):
        load_anomalies(changed)
    manifest = json.loads((records / "records.json").read_text())
    shutil.copy(records / NAME, changed / NAME)
    array = manifest["schema"]["arrays"]["low"]
    array["climatologies"][0]["channels"] = ["psl", "t"]
    (changed / "records.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"channels \['t', 'psl'\] instead of \['psl', 't'\]"):
        load_anomalies(changed)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"statistics_of": "month"}, "'month' must be one of domain, point, mean-of-points"),
        ({"statistics_of": "point,x=domain"}, "'x=domain' names no channel; .* t, rain"),
        ({"seasonal": "9"}, "'9' must be a number of harmonics from 0 to 6"),
        ({"seasonal": -1}, "'-1' must be a number"),
        ({"seasonal": "1,rain=x"}, "'x' must be a number"),
    ],
)
def test_impossible_choices(options, said):
    given = {"statistics_of": None, "seasonal": None, **options}
    with pytest.raises(InputError, match=said):
        parse_choices(**given, channels=["t", "rain"])


REAL = Path(os.environ.get("PHIRE_REALDATA", "missing")) / "iberia_eobs050_1991-2010_daily.nc"


@pytest.mark.skipif(not REAL.exists(), reason="needs PHIRE_REALDATA")
def test_deepr_scales_by_month_what_harmonics_scale_by_the_day():
    """DeepR's scaler: mean and standard deviation of each month and point, or their spatial means.

    Six harmonics have as many numbers as months do, and no jumps from month to month.
    """
    source = open_source(f"{REAL}")
    c = source.channels.index("tx")
    months = source.time.months()
    values = source.read(slice(None))[..., c].astype("f8")
    land = np.isfinite(values).all(0)
    deepr = np.full_like(values, np.nan)
    for month in range(1, 13):
        some = values[months == month]
        deepr[months == month] = (some - some.mean(0)) / some.std(0)
    one = ArraySource(
        values[..., None].astype("f4"), channels=["tx"], units=["K"], grid=source.grid,
        time=source.time,
    )  # fmt: skip
    fitted = Anomalies(("tx",), (fit_climatology(one, statistics_of="point", harmonics=6),))
    ours = fitted.apply(values[..., None], source.time)[..., 0]
    dates = source.time.dates()
    middle = np.array([13 <= d.day <= 18 for d in dates])  # elsewhere the season moves on
    assert np.corrcoef(ours[middle][:, land].ravel(), deepr[middle][:, land].ravel())[0, 1] > 0.98
    by_month = np.array([ours[months == m][:, land].mean() for m in range(1, 13)])
    spread = np.array([ours[months == m][:, land].std() for m in range(1, 13)])
    assert np.abs(by_month).max() < 0.1 and np.abs(spread - 1).max() < 0.1
    # The first days of months, where DeepR's statistics jump by half a month's change.
    jump = np.array([d.day == 1 and d.month in (4, 5, 10, 11) for d in dates])
    biased = np.abs(deepr[jump][:, land].mean(1)).mean(), np.abs(ours[jump][:, land].mean(1)).mean()
    assert biased[1] < biased[0]


def test_deepr_scales_a_domain_by_the_mean_deviation_of_its_points(high, tmp_path):
    """DeepR's domain-wise scaler: the spatial means of the points' means and deviations."""
    path = tmp_path / "deepr"
    options = OPTIONS | {"normalization": "z", "statistics_of": "mean-of-points", "seasonal": 0}
    write_downscaling_records(high, path, whole_fields=True, **options | {"patch": None})
    (batch,) = open_records(path).dataset(len(DAYS)).as_numpy_iterator()
    values = seasonal(FINE).astype("f8")
    mean, std = values.mean(0).mean((0, 1)), values.std(0).mean((0, 1))
    assert (std < 0.999 * values.std((0, 1, 2))).all()  # its spread over the points is left out
    wanted = ((values - mean) / std)[times_of(path)]
    np.testing.assert_allclose(batch["high"], wanted, rtol=1e-4, atol=1e-4)
    schema = open_records(path).schema
    stated = json.loads((path / "records.json").read_text())["schema"]["arrays"]["high"]
    (part,) = stated["climatologies"]
    z_mean, z_std = (np.array(getattr(schema.normalization, n)) for n in ("mean", "std"))
    np.testing.assert_allclose(z_mean + z_std * np.array(part["mean"])[:, 0], mean, rtol=1e-6)
    np.testing.assert_allclose(z_std * np.sqrt(part["plain_variance"]), std, rtol=1e-5)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_means_of_points_follow_the_season_of_the_points(missing):
    values = seasonal(FINE)
    values[np.random.default_rng(1).random(values.shape) < missing] = np.nan
    values[:, 3, 4] = np.nan
    source = ArraySource(values, channels=["t", "rain"], units=["K", "mm"], grid=FINE, time=DAYS)
    points = fit_climatology(source, statistics_of="point", harmonics=2)
    found = fit_climatology(source, statistics_of="mean-of-points", harmonics=2)
    present = np.ones(FINE.shape, bool)
    present[3, 4] = False
    for moment, of_points in zip(found.moments(DAYS), points.moments(DAYS)):
        assert moment.shape == (len(DAYS), 1, 1, 2)
        wanted = of_points[:, present].mean(1)
        # The mean deviation is no sum of harmonics: what the fit to it leaves is small.
        np.testing.assert_allclose(moment[:, 0, 0], wanted, rtol=0.03)


def test_the_transforms_of_the_diffusion_project():
    """Its scalers: by 5 deviations, log10(1 + x)/2, √x/15 by name; the others by statistics."""
    x = np.random.default_rng(0).gamma(2, 3, (50, 8, 9, 3)).astype("f4")
    source = ArraySource(x, channels=["t", "pr", "q"], grid=Grid.pixels(8, 9))
    kinds = parse_kinds(
        f"z+scale:0.2,pr=log:1+none+scale:{float(1 / np.log(100))},q=sqrt+none+scale:{1 / 15}",
        source.channels,
    )
    made = fit_normalization(source, kind=kinds)
    t, pr, q = np.moveaxis(x.astype("f8"), -1, 0)
    wanted = np.stack(
        [(t - t.mean()) / (5 * t.std()), np.log10(1 + pr) / 2, np.sqrt(q) / 15], axis=-1
    )
    np.testing.assert_allclose(made.apply(x.astype("f8")), wanted, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(made.invert(wanted), x, rtol=1e-5)


def test_statistics_of_a_file_hold_offsets_of_the_diffusion_project():
    """Its x/(5·std) without a mean, and its range of −2 … 0."""
    x = np.random.default_rng(0).gamma(2, 3, 50)
    std, low, high = x.std(), x.min(), x.max()
    made = Normalization(
        "z+scale:0.2,minmax", ("no_mean", "range"), mean=(0, 0), std=(std, std),
        minimum=(0, (high + low) / 2), maximum=(1, (3 * high - low) / 2),
    )  # fmt: skip
    made = Normalization.from_dict(json.loads(json.dumps(made.to_dict())))
    wanted = np.stack([x / (5 * std), 2 * ((x - low) / (high - low) - 1)], axis=-1)
    values = np.repeat(x[:, None], 2, axis=-1)
    np.testing.assert_allclose(made.apply(values), wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(made.invert(wanted), values, rtol=1e-10)
