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
from phire.fields.store import StoreWriter
from phire.fields.time import TimeAxis
from phire.jetstream.index import DAY
from phire.jetstream.probe import probe, probe_jet, random_metric, row_features, sector_wind
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
    with pytest.raises(InputError, match="0 to judge"):
        probe({"a": features}, target, np.ones(100, bool))


def test_sector_wind_from_vorticity_and_divergence_is_the_wind():
    grid = Grid.gaussian(24)
    latitude = np.radians(grid.latitudes)[:, None]
    longitude = np.radians(grid.longitudes)
    u = 20 * np.cos(latitude) + 3 * np.cos(latitude) * np.sin(latitude) * np.cos(longitude)
    v = 3 * np.cos(latitude) * np.cos(2 * longitude)
    vorticity, divergence = SphericalHarmonics(grid).wind_to_vorticity_divergence(u, v)
    fields = np.stack([vorticity, divergence], axis=-1)[None]
    made = sector_wind(ArraySource(fields, channels=("vorticity", "divergence"), grid=grid))
    np.testing.assert_allclose(made[0], u.mean(axis=1), atol=1e-3)
    direct = ArraySource(u[None, :, :, None], channels=("wind",), grid=grid)
    east = sector_wind(direct, wind="wind", sector=(0, 90))
    np.testing.assert_allclose(east[0], u[:, grid.longitudes <= 90].mean(axis=1), atol=1e-5)


def test_sector_wind_of_a_source_without_wind_is_refused():
    source = ArraySource(np.zeros((1, 8, 16, 1)), channels=("temperature",))
    with pytest.raises(InputError, match="neither zonal wind"):
        sector_wind(source)
    with pytest.raises(InputError, match="no channel 'v'"):
        sector_wind(source, wind="v")


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
    features = row_features(metric, fields, "stage2")
    z = (fields[..., 0] - 10) / 10
    expected = z.reshape(3, 4, 2, 16).mean(axis=(2, 3))
    np.testing.assert_allclose(features.reshape(3, 4, 2)[..., 0], expected, atol=1e-5)


def test_row_features_of_a_sector(metric):
    grid = Grid.regional(np.linspace(70, 0, 8), np.arange(16) * 5.0)
    fields = np.random.default_rng(0).standard_normal((2, 8, 16, 1)) * 10 + 10
    found = row_features(metric, fields, "stage2", grid=grid, sector=(0, 20))
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
    assert list(result.representation.values) == ["learned", "pca", "random", "mean"]
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
