"""The linear probe on targets whose predictability is known."""

import keras
import numpy as np
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.normalization import Normalization
from phire.fields.source import ArraySource
from phire.fields.store_writing import StoreWriter
from phire.fields.time_axis import TimeAxis
from phire.jetstream.jet_latitude_index import DAY, low_pass
from phire.jetstream.probe import probe_jet, random_metric, row_means, rows_touching
from phire.jetstream.regression import integral_time, probe, r2_range, standardised, time_folds
from phire.jetstream.sectors import cut_sectors, sector_winds
from phire.rplearn.metric import LearnedMetric


def test_what_lies_linearly_in_the_features_is_found_and_what_does_not_is_not():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((600, 8))
    noise = 0.5 * rng.standard_normal(600)
    signal = features @ rng.standard_normal(8)
    signal /= signal.std()
    target = 40 + 2 * (signal + noise)
    training = np.arange(600) < 400
    result = probe({"with": features, "without": rng.standard_normal((600, 8))}, target, training)
    # Of the variance 1 + 0.25 the noise's share cannot be told.
    assert float(result["r2"].sel(representation="with")) == pytest.approx(0.8, abs=0.05)
    assert abs(float(result["r2"].sel(representation="without"))) < 0.1
    error = float(result["mean_absolute_error"].sel(representation="with"))
    assert error == pytest.approx(2 * 0.5 * np.sqrt(2 / np.pi), rel=0.15)
    assert result["prediction"].shape == (2, 600)


def test_unknown_targets_are_left_out():
    features = np.random.default_rng(1).standard_normal((100, 2))
    target = features[:, 0].copy()
    target[::3] = np.nan
    result = probe({"a": features}, target, np.arange(100) < 60)
    assert float(result["r2"][0]) > 0.99
    with pytest.raises(InputError, match="0 to test on"):
        probe({"a": features}, target, np.ones(100, bool))


def test_of_several_forms_the_one_that_validates_best_is_taken():
    rng = np.random.default_rng(3)
    features = rng.standard_normal((300, 60))
    target = features[:, 0] + features[:, 1] + 0.3 * rng.standard_normal(300)
    forms = [features[:, :count] for count in (1, 2, 60)]
    result = probe({"some": forms}, target, np.arange(300) < 200)
    assert int(result["features"][0]) == 2


def test_a_feature_that_was_still_while_fitting_does_not_outweigh_the_others():
    rng = np.random.default_rng(8)
    features = rng.standard_normal((300, 3))
    fit = np.arange(300) < 200
    features[:, 2] = np.where(fit, 1e-19 * features[:, 2], features[:, 2])
    target = features[:, 0] + 0.1 * rng.standard_normal(300)
    assert float(probe({"a": features}, target, fit)["r2"][0]) > 0.95
    np.testing.assert_allclose(standardised(features, fit)[fit][:, :2].std(axis=0), 1)
    assert (standardised(np.ones((4, 2)), np.ones(4, bool)) == 0).all()


def test_folds_are_stretches_of_time_with_a_gap_around_them():
    days = np.tile(np.arange(100.0), 2)
    folds = time_folds(days, 7.0)
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(200))
    for fitted, held in folds:
        assert np.abs(days[fitted][:, None] - days[held]).min() >= 7
        assert np.ptp(days[held]) < 20
    assert time_folds(np.arange(5.0), 50.0) == []
    with pytest.raises(InputError, match="too few to keep 90 days"):
        probe({"a": np.zeros((60, 1))}, np.zeros(60), np.arange(60) < 40, gap=90)


def test_integral_time_of_a_process_of_known_memory():
    rng = np.random.default_rng(4)
    values = np.zeros((20, 4000))
    for k in range(1, 4000):
        values[:, k] = 0.8 * values[:, k - 1] + rng.standard_normal(20)
    # 1 + 2 Σ 0.8^k = 9 steps.
    assert integral_time(values, 0.5) == pytest.approx(4.5, rel=0.15)
    assert integral_time(rng.standard_normal((5, 4000)), 1.0) == pytest.approx(1, abs=0.1)


def test_the_range_of_r2_covers_it_and_narrows_with_samples():
    rng = np.random.default_rng(5)
    widths = []
    for count in (100, 3000):
        target = rng.standard_normal(count)
        prediction = target + rng.standard_normal(count)
        low, high = r2_range(target, prediction, np.arange(count, dtype=float), 10.0)
        assert low < 1 - ((target - prediction) ** 2).mean() / target.var() < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_rows_that_touch_the_band():
    inside = np.zeros(16, bool)
    inside[5:9] = True
    assert list(rows_touching(4, inside)) == [1, 2]
    assert list(rows_touching(16, inside)) == [5, 6, 7, 8]


def test_sectors_share_no_column_and_have_equal_widths():
    grid = Grid.gaussian(32)
    cut = cut_sectors(grid, None, 6)
    columns = [grid.columns_between(*one) for one in cut]
    assert {len(one) for one in columns} == {10}
    assert len(np.unique(np.concatenate(columns))) == 60
    source = ArraySource(
        np.random.default_rng(0).standard_normal((2, 32, 64, 1)), channels=("u",), grid=grid
    )
    winds = sector_winds(source, cut)
    assert winds.shape == (6, 2, 32)
    np.testing.assert_allclose(winds[2], sector_winds(source, [cut[2]])[0])
    assert cut_sectors(grid, (0, 90), 1) == [(0, 90)]
    with pytest.raises(InputError, match="--sectors 40"):
        cut_sectors(grid, None, 40)


def test_sector_wind_from_vorticity_and_divergence_is_the_wind():
    grid = Grid.gaussian(24)
    latitude = np.radians(grid.latitudes)[:, None]
    longitude = np.radians(grid.longitudes)
    u = 20 * np.cos(latitude) + 3 * np.cos(latitude) * np.sin(latitude) * np.cos(longitude)
    v = 3 * np.cos(latitude) * np.cos(2 * longitude)
    vorticity, divergence = SphericalHarmonics(grid).wind_to_vorticity_divergence(u, v)
    fields = np.stack([vorticity, divergence], axis=-1)[None]
    made = sector_winds(
        ArraySource(fields, channels=("vorticity", "divergence"), grid=grid), [None]
    )
    np.testing.assert_allclose(made[0, 0], u.mean(axis=1), atol=1e-3)
    direct = ArraySource(u[None, :, :, None], channels=("wind",), grid=grid)
    east = sector_winds(direct, [(0, 90)], wind="wind")
    np.testing.assert_allclose(east[0, 0], u[:, grid.longitudes <= 90].mean(axis=1), atol=1e-5)


def test_sector_wind_of_a_source_without_wind_is_refused():
    source = ArraySource(np.zeros((1, 8, 16, 1)), channels=("temperature",))
    with pytest.raises(InputError, match="neither zonal wind"):
        sector_winds(source, [None])
    with pytest.raises(InputError, match="no channel 'v'"):
        sector_winds(source, [None], wind="v")


@pytest.fixture
def metric():
    """An encoder that halves the grid, its features the wind's value and its square."""
    fields = keras.Input((8, 8, 1))
    x = keras.layers.AveragePooling2D(2, name="stage1")(fields)
    x = keras.layers.Conv2D(2, 1, name="stage2")(x)
    encoder = keras.Model(fields, x, name="encoder")
    encoder.get_layer("stage2").set_weights([np.array([[[[1.0, -1.0]]]]), np.zeros(2)])
    return LearnedMetric(
        encoder,
        layer="stage2",
        normalization=Normalization("z", ("u",), (10.0,), (10.0,)),
        channels=("u",),
        units=("m s**-1",),
    )


def test_row_features_keep_the_latitude(metric):
    fields = np.random.default_rng(0).standard_normal((3, 8, 16, 1)) * 10 + 10
    features = row_means(metric.features(fields, layer="stage2"), None, [None])[0]
    z = (fields[..., 0] - 10) / 10
    expected = z.reshape(3, 4, 2, 16).mean(axis=(2, 3))
    np.testing.assert_allclose(features.reshape(3, 4, 2)[..., 0], expected, atol=1e-5)


def test_row_features_of_a_sector(metric):
    grid = Grid.regional(np.linspace(70, 0, 8), np.arange(16) * 5.0)
    fields = np.random.default_rng(0).standard_normal((2, 8, 16, 1)) * 10 + 10
    found = row_means(metric.features(fields, layer="stage2"), grid, [(0, 20)])[0]
    # Features lie at 2.5, 12.5, 22.5 … degrees: two of them in the sector.
    z = (fields[:, :, :4, 0] - 10) / 10
    expected = z.reshape(2, 4, 2, 4).mean(axis=(2, 3))
    np.testing.assert_allclose(found.reshape(2, 4, 2)[..., 0], expected, atol=1e-5)


def test_random_metric_has_other_weights_of_the_same_shapes(metric):
    one, same, other = (random_metric(metric, seed=s) for s in (0, 0, 1))
    for a, b, c, d in zip(
        *(m.encoder.get_weights() for m in (metric, one, same, other)), strict=True
    ):
        assert a.shape == b.shape
        np.testing.assert_array_equal(b, c)
        assert a.ndim == 1 or not np.allclose(b, d)


def test_probe_of_a_store_end_to_end(metric, tmp_path):
    """A jet that wanders; its latitude lies linearly in the zonal means of the wind."""
    rng = np.random.default_rng(2)
    grid = Grid.regional(np.linspace(80, 10, 32), np.arange(16) * 5.0)
    days = np.arange(0, 200, 0.5)
    latitude = 45 + 5 * np.sin(2 * np.pi * days / 30) + 3 * np.sin(2 * np.pi * days / 47)
    u = 30 * np.exp(-(((grid.latitudes - latitude[:, None]) / 15) ** 2))
    fields = np.repeat(u[:, :, None, None], 16, axis=2)
    fields = fields + 2 * rng.standard_normal(fields.shape)
    time = TimeAxis((days * DAY).astype(int), "standard")
    with StoreWriter(
        tmp_path / "u.h5", channels=("u",), units=("m s**-1",), grid=grid, time=time
    ) as writer:
        writer.append(fields.astype(np.float32))
    metric.save(tmp_path / "metric")
    arguments = {"window_days": 21, "components": 10, "every_hours": 24}
    result = probe_jet(tmp_path / "metric", tmp_path / "u.h5", tmp_path / "probe.nc", **arguments)
    assert list(result.representation.values) == ["learned", "pca", "random", "rows", "mean"]
    assert float(result["r2"].sel(representation="learned")) > 0.8
    assert float(result["r2"].sel(representation="mean")) <= 0
    assert (
        np.abs(
            result["jet_latitude"]
            - np.interp(
                (result.time - np.datetime64("1970-01-01")) / np.timedelta64(1, "D"), days, latitude
            )
        ).mean()
        < 1.0
    )
    # Ten days lie between what is fitted and what is judged.
    training = result["training"].values.astype(bool)
    gap = result.time.values[~training].min() - result.time.values[training].max()
    assert gap >= np.timedelta64(10, "D")
    with xr.open_dataset(tmp_path / "probe.nc", engine="h5netcdf") as written:
        np.testing.assert_allclose(written["r2"], result["r2"])
    again = probe_jet(tmp_path / "metric", tmp_path / "u.h5", tmp_path / "probe.nc", **arguments)
    np.testing.assert_allclose(again["r2"], result["r2"])
    with pytest.raises(InputError, match="components was 10, now 9"):
        probe_jet(
            tmp_path / "metric",
            tmp_path / "u.h5",
            tmp_path / "probe.nc",
            **{**arguments, "components": 9},
        )


def write_jets(path, latitude, days, noise, rng):
    """A store of zonal wind: a jet at ``latitude`` (time, longitude)."""
    grid = Grid.regional(np.linspace(80, 10, 32), np.arange(latitude.shape[1]) * 5.0)
    u = 30 * np.exp(-(((grid.latitudes[:, None] - latitude[:, None]) / 15) ** 2))
    u = u + noise * rng.standard_normal(u.shape)
    time = TimeAxis((days * DAY).astype(int), "standard")
    with StoreWriter(path, channels=("u",), units=("m s**-1",), grid=grid, time=time) as writer:
        writer.append(u[..., None].astype(np.float32))


def test_each_sector_is_a_series_of_samples(metric, tmp_path):
    rng = np.random.default_rng(6)
    days = np.arange(0, 160, 0.5)
    wander = np.stack([np.sin(2 * np.pi * days / period) for period in (30, 47)], axis=1)
    write_jets(tmp_path / "u.h5", 45 + 5 * np.repeat(wander, 8, axis=1), days, 2, rng)
    metric.save(tmp_path / "metric")
    arguments = {"window_days": 21, "components": 10, "every_hours": 12}
    result = probe_jet(
        tmp_path / "metric", tmp_path / "u.h5", tmp_path / "two.nc", sectors=2, **arguments
    )
    assert result["prediction"].dims == ("representation", "sector", "time")
    index = result["jet_latitude"]
    correlation = np.corrcoef(index[0], np.interp(_days(result), days, wander[:, 0]))[0, 1]
    assert correlation > 0.97
    assert abs(np.corrcoef(index[0], index[1])[0, 1]) < 0.5
    assert float(result["r2"].sel(representation="rows")) > 0.8
    share = float(result["samples_judged"] / result["samples_fitted"])
    training = result["training"].values.astype(bool)
    assert share == pytest.approx((~training).sum() / training.sum())
    assert (result["r2_low"] < result["r2_high"])[:-1].all()


def test_noise_of_single_fields_is_filtered_out_of_the_predictors(metric, tmp_path):
    rng = np.random.default_rng(7)
    days = np.arange(0, 200, 0.5)
    wander = low_pass(rng.standard_normal(2000), DAY // 2, cutoff_days=25, window_days=61)
    wander = wander[np.isfinite(wander)][: len(days)]
    latitude = 45 + 3 * (wander / wander.std())[:, None] + np.zeros(16)
    write_jets(tmp_path / "u.h5", latitude, days, 25, rng)
    metric.save(tmp_path / "metric")
    found = {
        how: float(
            probe_jet(
                tmp_path / "metric", tmp_path / "u.h5", tmp_path / f"{how}.nc", window_days=21,
                predictors=how,
            )["r2"].sel(representation="rows")
        )
        for how in ("low-pass", "instantaneous")
    }  # fmt: skip
    assert found["low-pass"] > found["instantaneous"] + 0.05


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"held_out": 1.5}, r"^held_out 1.5: name a share"),
        ({"predictors": "raw"}, "^predictors raw: choose one of low-pass"),
        ({"sectors": 0}, "^sectors 0: name at least one"),
    ],
)
def test_options_of_the_probe_are_refused_by_their_names(tmp_path, option, said):
    with pytest.raises(InputError, match=said):
        probe_jet(tmp_path / "metric", tmp_path / "u.h5", tmp_path / "probe.nc", **option)
    assert not (tmp_path / "probe.nc").exists()


def _days(result):
    return (result.time - np.datetime64("1970-01-01")) / np.timedelta64(1, "D")
