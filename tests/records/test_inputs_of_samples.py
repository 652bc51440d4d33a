"""Every further input of downscaling records, read back and compared with where it came from."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields.coarsening import CoarsenedSource, coarsen_grid
from phire.fields.covariates import covariates
from phire.fields.grid import Grid
from phire.fields.regridding import Regridder
from phire.fields.source import ArraySource, to_dataset
from phire.fields.time_axis import TimeAxis
from phire.records import open_records, write_downscaling_records
from records.stores import make_store

FINE = Grid.regional(45 - 0.25 * np.arange(40), -10 + 0.25 * np.arange(48))
HOURS = TimeAxis(np.arange(12) * 6 * 3600 - 10**8, "standard")
OPTIONS = {"patch": (8, 12), "scale": 4, "patches_per_field": 4, "shards": 1, "normalization": "z"}


def smooth(grid, seed, time=HOURS, offset=0.0):
    """(n, H, W, 1) waves over a grid, different in every field."""
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(grid.latitudes, grid.longitudes, indexing="ij")
    fields = [
        a * np.sin(x / 3 + b) * np.cos(y / 2 + b) + x * 0.1 + y * 0.05
        for a, b in random.normal(1, 0.5, (len(time), 2))
    ]
    return np.stack(fields)[..., None].astype(np.float32) + np.float32(offset)


def save(path, grid, values, names, time=HOURS, units=""):
    """Writes fields (n, H, W, C) to NetCDF, with rows from the south as many files have them."""
    source = ArraySource(
        np.float32(values), channels=names, units=(units,) * len(names), grid=grid, time=time
    )
    to_dataset(source).isel(latitude=slice(None, None, -1)).to_netcdf(path)
    return str(path)


@pytest.fixture
def high(tmp_path):
    values = np.concatenate([smooth(FINE, 1, offset=280), smooth(FINE, 2)], axis=-1)
    return save(tmp_path / "high.nc", FINE, values, ("t", "rain")), values


def write(store, output, **options):
    write_downscaling_records(store, output, **{**OPTIONS, **options})
    records = open_records(output)
    (batch,) = records.dataset(records.count).as_numpy_iterator()
    return records, batch, indices(records)


def indices(records):
    """Index of each record's field, in the order on disk."""
    import tensorflow as tf

    return [
        tf.train.Example.FromString(r).features.feature["index"].int64_list.value[0]
        for r in records.serialised(None, 0).as_numpy_iterator()
    ]


def physical(records, batch, name):
    return records.schema.arrays[name].normalization.invert(batch[name])


def coarse_file(tmp_path, name, shift=0.0, step=1.0, seed=3, time=HOURS, cut=0):
    """A coarse file that reaches 2° beyond the fine one, unless cut."""
    rows, columns = round(14 / step), round(16 / step)
    grid = Grid.regional(
        47 - shift - step * np.arange(rows - cut), -12 + shift + step * np.arange(columns)
    )
    values = smooth(grid, seed, time)
    return save(tmp_path / f"{name}.nc", grid, values, (name,), time, "Pa"), grid, values


def test_targets_predictors_and_position(tmp_path, high):
    path, fine = high
    aligned = coarsen_grid(FINE, 4)
    shift = 45 - aligned.latitudes[0]  # centres of blocks
    predictor, grid, values = coarse_file(tmp_path, "psl", shift=shift)
    records, batch, index = write(
        path, tmp_path / "out", targets=["rain"], predictors=[predictor], coarse_targets=True
    )
    schema = records.schema
    assert list(batch) == ["low", "high", "position"]
    assert schema.arrays["low"].channels == ("rain", "psl")
    assert (schema.channels, schema.pooling, schema.alignment) == (("rain",), "area-mean", "cell")
    assert schema.domain.equals(FINE)
    means = CoarsenedSource(
        ArraySource(fine[..., 1:], channels=["rain"], grid=FINE, time=HOURS), 4
    ).read(slice(None))
    down, across = (int(np.argmin(np.abs(a - b))) for a, b in (
        (grid.latitudes, aligned.latitudes[0]), (grid.longitudes, aligned.longitudes[0])
    ))  # fmt: skip
    low, targets = physical(records, batch, "low"), physical(records, batch, "high")
    for i, (row, column) in enumerate(batch["position"]):
        t = index[i]
        part = fine[t, row : row + 8, column : column + 12, 1]
        np.testing.assert_allclose(targets[i, ..., 0], part, atol=1e-5)
        r, c = row // 4, column // 4
        np.testing.assert_allclose(low[i, ..., 0], means[t, r : r + 2, c : c + 3, 0], atol=1e-5)
        part = values[t, down + r : down + r + 2, across + c : across + c + 3, 0]
        np.testing.assert_allclose(low[i, ..., 1], part, atol=1e-5)


def test_predictors_alone_are_all_of_low(tmp_path, high):
    predictor, _, _ = coarse_file(tmp_path, "psl")
    records, batch, _ = write(high[0], tmp_path / "out", predictors=[predictor + ":psl"])
    assert records.schema.arrays["low"].channels == ("psl",)
    assert records.schema.pooling == "explicit"
    assert batch["low"].shape[1:] == (2, 3, 1)


@pytest.mark.parametrize("method", ["bilinear", "conservative"])
def test_input_off_the_blocks_is_regridded_with_its_margin(tmp_path, high, method, capsys):
    predictor, grid, values = coarse_file(tmp_path, "psl", shift=0.3, step=0.7)
    records, batch, index = write(
        high[0], tmp_path / "out", predictors=[predictor], margin=1, regrid=method
    )
    said = capsys.readouterr().err
    assert "regridded to the 4 × 4 blocks by " + method in said
    blocks = coarsen_grid(FINE, 4)
    outer = Grid.regional(
        np.concatenate([[45.625], blocks.latitudes, [34.625]]),
        np.concatenate([[-10.625], blocks.longitudes, [2.375]]),
    )
    wanted = Regridder(grid, outer, method, extrapolate=True)(values)
    low = physical(records, batch, "low")
    assert low.shape[1:3] == (4, 5)
    corners = 0
    for i, (row, column) in enumerate(batch["position"]):
        r, c = row // 4, column // 4
        corners += r == 0 or c == 0
        part = wanted[index[i], r : r + 4, c : c + 5]
        np.testing.assert_allclose(low[i], part, atol=1e-5)
    assert corners  # the context beyond the fine fields was used


def test_a_margin_of_block_means_stays_inside(tmp_path, high):
    records, batch, index = write(high[0], tmp_path / "out", targets=["t"], margin=2)
    schema = records.schema
    assert (schema.margin, schema.low_patch) == (2, (6, 7))
    source = ArraySource(high[1][..., :1], channels=["t"], grid=FINE, time=HOURS)
    means = CoarsenedSource(source, 4).read(slice(None))
    low = physical(records, batch, "low")
    for i, (row, column) in enumerate(batch["position"]):
        r, c = row // 4 - 2, column // 4 - 2
        assert r >= 0 and c >= 0
        np.testing.assert_allclose(low[i], means[index[i], r : r + 6, c : c + 7], atol=1e-4)


def test_a_margin_goes_around_the_globe(tmp_path, sphere):
    make_store(tmp_path / "store.h5", grid=sphere)
    records, batch, index = write(
        tmp_path / "store.h5", tmp_path / "out", patch=(4, 8), margin=1, patches_per_field=12
    )
    from phire.fields.store import open_store

    with open_store(tmp_path / "store.h5") as store:
        means = CoarsenedSource(store, 4).read(slice(None))
    low = physical(records, batch, "low")
    around = 0
    for i, (row, column) in enumerate(batch["position"]):
        columns = column // 4 - 1 + np.arange(4)
        around += columns[0] < 0 or columns[-1] > 7
        part = means[index[i], row // 4 - 1 : row // 4 + 2][:, columns % 8]
        np.testing.assert_allclose(low[i], part, rtol=1e-4, atol=1e-9)
    assert around


def test_whole_fields_with_a_margin_are_cut_to_what_has_context(tmp_path, high):
    records, batch, _ = write(high[0], tmp_path / "out", whole_fields=True, margin=1)
    assert records.schema.patch == (32, 40)
    assert records.schema.low_patch == (10, 12)
    assert (batch["position"] == 4).all()


def test_static_maps_are_kept_once_and_cropped(tmp_path, high):
    y, x = np.meshgrid(FINE.latitudes, FINE.longitudes, indexing="ij")
    maps = xr.Dataset(
        {"orog": (("lat", "lon"), (x * y).astype("f4")), "lsm": (("lat", "lon"), (x > -5) * 1.0)},
        coords={"lat": FINE.latitudes, "lon": FINE.longitudes % 360},
    )
    maps["orog"][3, 4] = np.nan
    maps.sortby("lat").to_netcdf(tmp_path / "maps.nc")
    records, batch, _ = write(high[0], tmp_path / "out", static=[f"{tmp_path}/maps.nc:lsm,orog"])
    assert (tmp_path / "out" / "static.h5").is_file()
    static = physical(records, batch, "static")
    assert records.schema.arrays["static"].channels == ("lsm", "orog")
    assert abs(batch["static"]).max() < 4
    for i, (row, column) in enumerate(batch["position"]):
        part = np.s_[row : row + 8, column : column + 12]
        np.testing.assert_allclose(static[i, ..., 0], (x > -5)[part], atol=1e-5)
        there = np.isfinite(maps["orog"].values[part])
        wanted = np.where(there, (x * y)[part], 0)
        np.testing.assert_allclose(static[i, ..., 1] * there, wanted * there, atol=2e-3)
        assert (batch["static"][i, ..., 1][~there] == 0).all()


def test_auxiliary_fields_of_a_larger_file(tmp_path, high):
    grid = Grid.regional(46 - 0.25 * np.arange(50), -11 + 0.25 * np.arange(60))
    values = smooth(grid, 5)
    auxiliary = save(tmp_path / "satellite.nc", grid, values, ("cloud",))
    records, batch, index = write(high[0], tmp_path / "out", auxiliary=[auxiliary])
    found = physical(records, batch, "auxiliary")
    for i, (row, column) in enumerate(batch["position"]):
        part = values[index[i], row + 4 : row + 12, column + 4 : column + 16]
        np.testing.assert_allclose(found[i], part, atol=1e-5)


@pytest.mark.parametrize("calendar", ["standard", "360_day", "365_day", "366_day", "julian"])
def test_covariates_are_exact_in_any_calendar(calendar):
    import cftime

    dates = [
        cftime.datetime(y, m, d, h, calendar=calendar)
        for y, m, d, h in ((1999, 12, 30, 6), (2000, 2, 28, 0), (2001, 1, 1, 0), (1950, 7, 1, 18))
    ]
    time = TimeAxis.from_coordinate(np.array(dates))
    found = covariates(time.values, time.calendar, ("hour", "day"), np.array([0, 90, -90, 15.0]))
    for i, (date, hour) in enumerate(zip(dates, (6, 6, 18, 19))):
        length = (
            cftime.datetime(date.year + 1, 1, 1, calendar=calendar)
            - cftime.datetime(date.year, 1, 1, calendar=calendar)
        ).days  # fmt: skip
        part = (date.dayofyr - 1 + date.hour / 24) / length
        angles = 2 * np.pi * np.array([hour / 24, hour / 24, part, part])
        wanted = np.where([True, False] * 2, np.sin(angles), np.cos(angles))
        np.testing.assert_allclose(found[i], wanted, atol=1e-6)


def test_covariates_in_records_are_of_the_patch_and_time(tmp_path, high):
    records, batch, index = write(high[0], tmp_path / "out", covariates=("day", "hour"))
    assert records.schema.arrays["time"].channels == (
        "day_sine", "day_cosine", "hour_sine", "hour_cosine",
    )  # fmt: skip
    middle = -10 + 0.25 * (batch["position"][:, 1] + 5.5)
    wanted = covariates(HOURS.values[index], "standard", ("day", "hour"), middle)
    np.testing.assert_allclose(batch["time"], wanted, atol=1e-6)


def test_windows_hold_consecutive_fields(tmp_path, high):
    kept = np.array([0, 1, 2, 3, 5, 6, 7, 10, 11])
    path = save(tmp_path / "gaps.nc", FINE, high[1][kept], ("t", "rain"), HOURS[kept])
    records, batch, index = write(path, tmp_path / "out", window=3, normalization="none")
    assert sorted(set(index)) == [2, 3, 6]
    assert records.schema.arrays["low"].offsets == (-2, -1, 0)
    assert batch["low"].shape[1:] == (3, 2, 3, 2)
    for i, (row, column) in enumerate(batch["position"]):
        part = high[1][kept][index[i] - 2 : index[i] + 1]
        np.testing.assert_array_equal(
            batch["high"][i], part[:, row : row + 8, column : column + 12]
        )
    with pytest.raises(InputError, match=r"window 5 .* the longest has 4 fields, 6 h apart"):
        write(path, tmp_path / "long", window=5)
    assert not (tmp_path / "long").exists()


def spoil(values, moving):
    """A mask of sea, fixed or moving, over fields."""
    spoilt = values.copy()
    for t in range(len(values)):
        spoilt[t, 10:30, 5 + moving * t : 20 + moving * t] = np.nan
    return spoilt


@pytest.mark.parametrize("moving", [0, 2])
@pytest.mark.parametrize("window", [None, 2])
def test_masked_values_are_seen_by_nothing(tmp_path, high, moving, window):
    spoilt = spoil(high[1], moving)
    poisoned = np.where(np.isnan(spoilt), np.float32(1e30), spoilt)
    source = ArraySource(poisoned, channels=("t", "rain"), grid=FINE, time=HOURS)
    dataset = to_dataset(source)
    for name in ("t", "rain"):
        dataset[name].attrs["_FillValue"] = np.float32(1e30)
    dataset.to_netcdf(tmp_path / "poisoned.nc")
    records, batch, index = write(
        tmp_path / "poisoned.nc", tmp_path / "out", missing="mask", patches_per_field=20,
        window=window,
    )  # fmt: skip
    normalization = records.schema.normalization
    np.testing.assert_allclose(normalization.mean, np.nanmean(spoilt, (0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(normalization.std, np.nanstd(spoilt, (0, 1, 2)), rtol=1e-4)
    for name in ("low", "high"):
        assert np.isfinite(batch[name]).all() and abs(batch[name]).max() < 10
    assert (batch["high"][batch["valid"] == 0] == 0).all()
    assert set(np.unique(batch["valid"])) == {0, 1}
    assert batch["valid"].reshape(len(index), window or 1, -1).mean(-1).min() >= 0.5
    found = physical(records, batch, "high")
    steps = np.arange(1 - (window or 1), 1)
    for i, (row, column) in enumerate(batch["position"]):
        part = spoilt[index[i] + steps, row : row + 8, column : column + 12]
        part = part if window else part[0]
        np.testing.assert_array_equal(batch["valid"][i], np.isfinite(part))
        there = np.isfinite(part)
        np.testing.assert_allclose(found[i][there], part[there], atol=1e-4)


def test_block_means_are_of_the_points_present(tmp_path, high):
    spoilt = spoil(high[1], 0)
    path = save(tmp_path / "sea.nc", FINE, spoilt, ("t", "rain"))
    _, batch, index = write(
        path, tmp_path / "out", missing="mask", whole_fields=True, normalization="none"
    )
    weights = np.cos(np.deg2rad(FINE.latitudes))[:, None] * np.ones(48)
    field = spoilt[index[0], ..., 0]
    for r in range(10):
        for c in range(12):
            block = np.s_[4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
            there = np.isfinite(field[block])
            found = batch["low"][0, r, c, 0]
            if not there.any():
                assert found == 0
                continue
            wanted = np.average(field[block][there], weights=weights[block][there])
            assert found == pytest.approx(wanted, rel=1e-6)


def test_stations_are_gridded_and_some_never_shown(tmp_path, high):
    random = np.random.default_rng(0)
    places = {f"s{i}": (35.5 + 9 * random.random(), -9.5 + 11 * random.random()) for i in range(10)}
    places["far"] = (0.0, 0.0)
    times = [str(t)[:19] for t in HOURS.to_coordinate()]
    with open(tmp_path / "obs.csv", "w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["station", "time", "latitude", "longitude", "t", "wind"])
        for n, (name, place) in enumerate(places.items()):
            for t, time in enumerate(times):
                row, column = FINE.nearest(*place)
                wind = "" if t == 3 else n + 0.1 * t
                table.writerow([name, time, *place, high[1][t, row, column, 0], wind])
    options = {"stations": tmp_path / "obs.csv", "withhold_stations": 0.3, "whole_fields": True}
    records, batch, index = write(high[0], tmp_path / "out", targets=["t"], **options)
    channels = ("station_t", "station_t_mask", "station_wind", "station_wind_mask")
    assert records.schema.arrays["auxiliary"].channels == channels
    withheld = {name for name, *_ in records.manifest.withheld_stations}
    assert len(withheld) == 3 and "far" not in withheld
    for name, latitude, longitude in records.manifest.withheld_stations:
        row, column = FINE.nearest(latitude, longitude)
        assert not batch["auxiliary"][:, row, column].any(), name
    mask = batch["auxiliary"][..., 1] == 1
    numbers = mask.sum((1, 2))
    assert 0 < numbers.mean() < 7 and len(set(numbers)) > 1  # others are hidden now and then
    assert (batch["auxiliary"][..., 0][~mask] == 0).all()
    # A station's value of a target is normalised as the target is.
    np.testing.assert_allclose(
        batch["auxiliary"][..., 0][mask], batch["high"][mask][:, 0], atol=1e-5
    )
    assert not batch["auxiliary"][index.index(3), ..., 3].any()
    again = write(high[0], tmp_path / "again", targets=["t"], **options)[1]
    assert np.array_equal(again["auxiliary"], batch["auxiliary"])


def test_normalizations_by_name_and_statistics_of_other_records(tmp_path, high):
    predictor, _, _ = coarse_file(tmp_path, "psl")
    rain = np.abs(high[1])
    path = save(tmp_path / "wet.nc", FINE, rain, ("t", "rain"))
    options = {"normalization": "z,rain=log:0.1", "predictors": [predictor], "coarse_targets": True}
    records, batch, _ = write(path, tmp_path / "one", **options)
    assert records.schema.normalization.kinds == ("z", "log:0.1")
    low = records.schema.arrays["low"].normalization
    assert low.kinds == ("z", "log:0.1", "z")
    assert low.select(["rain"]) == records.schema.normalization.select(["rain"])
    options["normalization"] = None
    other, again, _ = write(path, tmp_path / "two", statistics=tmp_path / "one", **options)
    assert other.schema.arrays == records.schema.arrays
    assert np.array_equal(again["low"], batch["low"])


def test_times_that_an_input_lacks_are_left_out_and_said(tmp_path, high, capsys):
    predictor, _, _ = coarse_file(tmp_path, "psl", time=HOURS[[0, 1, 2, 7, 8]])
    _, _, index = write(high[0], tmp_path / "out", predictors=[predictor])
    assert set(index) == {0, 1, 2, 7, 8}
    assert "7 of 12 fields are left out, because predictors" in capsys.readouterr().err


def wrong_static(tmp_path):
    grid = Grid.regional(FINE.latitudes + 0.1, FINE.longitudes)
    return save(tmp_path / "static.nc", grid, smooth(grid, 1, HOURS[[0]]), ("orog",), HOURS[[0]])


def moving_static(tmp_path):
    return save(tmp_path / "static.nc", FINE, smooth(FINE, 1), ("orog",))


def sea(tmp_path):
    """Fields of which a tenth is present."""
    values = smooth(FINE, 1)
    values[:, 4:] = np.nan
    return save(tmp_path / "sea.nc", FINE, values, ("t",))


@pytest.mark.parametrize(
    "options, said",
    [
        ({"targets": ["wind"]}, r"targets: .*high.nc has no variable 'wind'.* t"),
        ({"static": [wrong_static]}, "static .*not on the points of .*regrid it to these first"),
        ({"static": [moving_static]}, "orog has 12 times, but a static map must"),
        ({"static": ["none.nc"]}, "none.nc does not exist"),
        (
            {"predictors": [lambda p: coarse_file(p, "psl", step=0.9, cut=6)[0]]},
            r"predictors .* does not cover .*: 2\.8\d+° in the south is missing, more than one "
            r"coarse point of 1° × 1°; .*--region 47\.45,-12\.45,",
        ),
        (
            {"predictors": [lambda p: coarse_file(p, "psl", time=TimeAxis(HOURS.values + 7))[0]]},
            "have no time in common",
        ),
        ({"auxiliary": [wrong_static]}, "auxiliary .*give it as predictors"),
        ({"covariates": ("month",)}, "covariates month is unknown: .* hour, day"),
        ({"predictors": [lambda p: coarse_file(p, "t")[0]], "coarse_targets": True},
         "t is given twice"),
        ({"coarse_targets": True}, "coarse_targets adds block means .* to predictors"),
        ({"margin": 9}, "larger than the fields of 40 × 48 points beside a margin of 9"),
        ({"normalization": "z,snow=sqrt"}, "'snow=sqrt' names no channel; .* t, rain"),
        ({"low": "here.nc:psl"}, "here.nc does not exist"),
        ({"least_valid": 0}, "least_valid 0 must be above 0"),
    ],
)  # fmt: skip
def test_mistakes_are_named_and_leave_nothing(tmp_path, high, options, said):
    options = {
        name: [v(tmp_path) if callable(v) else v for v in value]
        if isinstance(value, list)
        else value
        for name, value in options.items()
    }
    with pytest.raises(InputError, match=said):
        write(high[0], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*partial"))


def test_a_mask_that_leaves_nothing_valid(tmp_path):
    with pytest.raises(InputError, match=r"too many missing values: .*smaller least_valid"):
        write(sea(tmp_path), tmp_path / "out", missing="mask", whole_fields=True)
    _, batch, _ = write(
        sea(tmp_path), tmp_path / "out", missing="mask", whole_fields=True, least_valid=0.1
    )
    assert batch["valid"].mean() == pytest.approx(0.1)


def test_the_same_command_is_done_and_another_refused(tmp_path, high, capsys):
    predictor, _, _ = coarse_file(tmp_path, "psl")
    options = {"predictors": [predictor], "covariates": ("day",)}
    write(high[0], tmp_path / "out", **options)
    write(high[0], tmp_path / "out", **options)
    assert "already made" in capsys.readouterr().err
    with pytest.raises(InputError, match="covariates was"):
        write(high[0], tmp_path / "out", predictors=[predictor])
    with pytest.raises(InputError, match=r"is or contains the input .*psl.nc"):
        write(high[0], predictor, overwrite=True, **options)
    value = json.loads((tmp_path / "out" / "records.json").read_text())
    assert value["options"]["predictors"] == [predictor]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nc", "h5"])
def test_workers_give_the_same_bytes(tmp_path, high, kind):
    """Processes read NetCDF as they read stores: predictors, masks and windows."""
    from phire.fields import convert

    predictor, _, _ = coarse_file(tmp_path, "psl", shift=0.3)
    path = save(tmp_path / "sea.nc", FINE, spoil(high[1], 1), ("t", "rain"))
    if kind == "h5":
        for name, source in (("sea", path), ("psl", predictor)):
            convert([source], tmp_path / f"{name}.h5")
    options = {"predictors": [tmp_path / f"psl.{kind}"], "missing": "mask", "window": 2}
    shards = []
    for name, workers in (("threads", None), ("processes", 2)):
        write(tmp_path / f"sea.{kind}", tmp_path / name, workers=workers, **options)
        shards.append((tmp_path / name / "records-00000-of-00001.tfrecord").read_bytes())
    assert shards[0] == shards[1]
