"""What the learned metric promises: its values, its invariants, and what it refuses."""

import json

import keras
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.rplearn.input_checks import check_values
from phire.rplearn.metric import LearnedMetric
from phire.rplearn.metric_description import describe_metric

MEAN, STD = np.array([2e-7, 280.0]), np.array([3e-5, 6.0])


def by_hand(metric, x, y, layer="stage2"):
    """scale · mean (f(x) − f(y))², every step written out."""
    model = keras.Model(metric.encoder.inputs[0], metric.encoder.get_layer(layer).output)

    def features(physical):
        z = (physical.astype(np.float64) - MEAN) / STD
        z = np.sign(z) * np.log1p(0.2 * np.abs(z))
        z = (z - [0.001, -0.002]) / [0.16, 0.15]
        return np.asarray(model(z.astype(np.float32), training=False), np.float64)

    return metric.scales[layer] * ((features(x) - features(y)) ** 2).mean(axis=-1)


def test_distance_is_the_scaled_mean_squared_difference_of_features(metric, fields):
    x, y = fields(seed=1), fields(seed=2)
    expected = by_hand(metric, x, y)
    np.testing.assert_allclose(metric.distance(x, y), expected.mean(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(metric.distance(x, y, spatial=True), expected, rtol=1e-3, atol=1e-4)
    layers = metric.distance(x, y, per_layer=True)
    assert list(layers) == ["stage1", "stage2"]
    for name, values in layers.items():
        np.testing.assert_allclose(values, by_hand(metric, x, y, name).mean(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(metric.distance(x, y, layer="stage1"), layers["stage1"])


def test_distance_of_larger_fields_and_in_batches(metric, fields):
    x, y = fields(5, 24, 40, seed=1), fields(5, 24, 40, seed=2)
    whole = metric.distance(x, y)
    assert metric.distance(x, y, spatial=True).shape == (5, 6, 10)
    np.testing.assert_allclose(metric.distance(x, y, batch_size=2), whole, rtol=1e-5)
    np.testing.assert_allclose(metric.distance(x[3], y[3]), whole[3], rtol=1e-5)
    assert metric.features(x).shape == (5, 6, 10, 6)
    assert metric.features(x[0], layer="stage1").shape == (12, 20, 4)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 5))
def test_distance_is_a_symmetric_non_negative_zero_on_equal_fields(metric, seed, spread):
    rng = np.random.default_rng(seed)
    x, y = (MEAN + STD * spread * rng.standard_normal((2, 2, 16, 16, 2))).astype(np.float32)
    there, back = metric.distance(x, y), metric.distance(y, x)
    np.testing.assert_allclose(there, back)
    assert (there >= 0).all() and np.isfinite(there).all()
    np.testing.assert_array_equal(metric.distance(x, x), 0)


def test_distance_is_finite_on_constant_fields(metric):
    x = np.broadcast_to(MEAN, (1, 16, 16, 2))
    y = np.broadcast_to(MEAN + STD, (1, 16, 16, 2))
    assert np.isfinite(metric.distance(x, y)).all()
    assert metric.distance(x, x) == 0


def test_fields_in_the_normalised_space(metric, fields, normalization):
    x, y = fields(seed=1), fields(seed=2)
    given = [normalization.apply(v) for v in (x, y)]
    np.testing.assert_allclose(
        metric.distance(*given, normalization=normalization), metric.distance(x, y), rtol=1e-3
    )


def test_tensors_and_xarray_give_the_same_values(metric, fields):
    x, y = fields(seed=1), fields(seed=2)
    expected = metric.distance(x, y)
    tensors = [keras.ops.convert_to_tensor(v) for v in (x, y)]
    np.testing.assert_allclose(metric.distance(*tensors), expected, rtol=1e-5)
    time = np.array(["2020-01-01", "2020-01-02", "2020-01-03"], "datetime64[ns]")

    def dataset(values):
        return xr.Dataset(
            {
                "temperature": (("time", "latitude", "longitude"), values[..., 1], {"units": "K"}),
                "vorticity": (
                    ("latitude", "longitude", "time"),
                    np.moveaxis(values[..., 0], 0, -1),
                    {"units": "s-1"},
                ),
            },
            coords={"time": time},
        )

    found = metric.distance(dataset(x), dataset(y))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_array_equal(found.time, time)
    array = dataset(x).to_dataarray("channel"), dataset(y).to_dataarray("channel")
    np.testing.assert_allclose(metric.distance(*array), expected, rtol=1e-5)


def test_saved_and_loaded_it_measures_the_same(metric, fields, tmp_path):
    x, y = fields(seed=1), fields(seed=2)
    metric.save(tmp_path / "metric")
    loaded = LearnedMetric.load(tmp_path / "metric")
    np.testing.assert_array_equal(
        loaded.distance(x, y, layer="stage1"), metric.distance(x, y, layer="stage1")
    )
    assert loaded.description() == metric.description()
    assert not loaded.encoder.trainable
    with pytest.raises(InputError, match="exists"):
        metric.save(tmp_path / "metric")
    metric.save(tmp_path / "metric", overwrite=True)
    facts = json.loads((tmp_path / "metric" / "metric.json").read_text())
    assert facts["layer"] == "stage2" and facts["scale"] == 2.0
    described = describe_metric(tmp_path / "metric")
    assert described["channels"] == "vorticity (s**-1), temperature (K)"
    assert described["classes"] == 8


def test_what_is_no_metric_is_refused(metric, tmp_path):
    assert describe_metric(tmp_path) is None
    with pytest.raises(InputError, match="does not exist"):
        LearnedMetric.load(tmp_path / "nothing")
    with pytest.raises(InputError, match="is not a metric"):
        LearnedMetric.load(tmp_path)
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(InputError, match="is a run, not a metric"):
        LearnedMetric.load(tmp_path)
    metric.save(tmp_path / "metric")
    (tmp_path / "metric" / "encoder.keras").unlink()
    with pytest.raises(InputError, match="incomplete"):
        LearnedMetric.load(tmp_path / "metric")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        LearnedMetric.load(tmp_path / "file")


def test_wrong_shapes_are_refused(metric, fields):
    x = fields()
    with pytest.raises(InputError, match=r"has 1 channel .* trained on 2"):
        metric.distance(x[..., :1], x[..., :1])
    with pytest.raises(InputError, match="equal shape"):
        metric.distance(x, x[:2])
    with pytest.raises(InputError, match=r"of the shape \(H, W, C\)"):
        metric.features(x[0, 0])
    with pytest.raises(InputError, match="5 axes"):
        metric.features(x[None])
    with pytest.raises(InputError, match="no layer 'stage9'"):
        metric.features(x, layer="stage9")
    with pytest.raises(InputError, match="no scale"):
        metric.distance(x, x, layer="convolution")


def test_missing_values_are_refused(metric, fields):
    x, y = fields(seed=1), fields(seed=2)
    y[1, 3, 4, 1] = np.nan
    y[1, 3, 5, 1] = np.inf
    with pytest.raises(InputError, match="y holds 2 missing or infinite values in temperature"):
        metric.distance(x, y)


@pytest.mark.parametrize(
    ("channel", "change", "said"),
    [
        (0, lambda v: v * 1e5, "standard deviation of vorticity"),
        (0, lambda v: v * 1e-9, "standard deviation of vorticity"),
        (1, lambda v: v - 273.15, "mean of temperature"),
        (1, lambda v: v * 1e-8, "mean of temperature"),
    ],
)
def test_other_units_are_refused(metric, fields, channel, change, said):
    x, y = fields(seed=1), fields(seed=2)
    y[..., channel] = change(y[..., channel])
    with pytest.raises(InputError, match=f"y: the {said}"):
        metric.distance(x, y)


def test_units_that_are_named_must_be_the_same(metric, fields):
    values = xr.DataArray(
        fields(), dims=("time", "latitude", "longitude", "channel"), attrs={"units": "hPa"}
    )
    with pytest.raises(InputError, match="holds vorticity in 'hPa'"):
        metric.distance(values, values)


def test_a_dataset_without_a_channel_is_refused(metric):
    with pytest.raises(InputError, match="no variable 'vorticity'"):
        metric.features(xr.Dataset({"temperature": ("latitude", [1.0])}))


def test_extremes_only_warn(metric, fields):
    x = fields()
    x[0, 0, 0, 0] = 40 * STD[0]
    with pytest.warns(UserWarning, match="vorticity reaches 40 standard deviations"):
        assert np.isfinite(metric.distance(x, fields(seed=1))).all()


def test_the_metric_is_not_trained(metric, fields):
    before = [np.array(w) for w in metric.encoder.get_weights()]
    metric.features(fields(4, seed=8))
    assert metric.encoder.trainable_variables == []
    for old, new in zip(before, metric.encoder.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_layers_and_channels_must_fit_the_encoder(metric, normalization):
    with pytest.raises(InputError, match="no layer 'stage7'"):
        LearnedMetric(
            metric.encoder, layer="stage7", normalization=normalization, channels=("a", "b")
        )
    with pytest.raises(InputError, match="has no scale"):
        LearnedMetric(
            metric.encoder,
            layer="stage2",
            scales={"stage1": 1.0},
            normalization=normalization,
            channels=("a", "b"),
        )
    with pytest.raises(InputError, match="takes 2 channels"):
        LearnedMetric(metric.encoder, layer="stage2", normalization=normalization, channels=("a",))


def test_without_known_statistics_only_missing_values_are_refused(fields):
    unknown = Normalization.identity(("vorticity", "temperature"))
    check_values(1e9 * fields(), unknown, ("", ""), "x")
    with pytest.raises(InputError, match="missing"):
        check_values(fields() * np.nan, unknown, ("", ""), "x")


def test_a_small_spread_passes_where_the_mean_tells_other_units():
    """The date in years hardly varies over a month; pressure in hPa is 100 times too small."""
    known = Normalization("z", ("x",), (1990.0,), (4.6,))
    year = np.linspace(1990.1, 1990.2, 64).reshape(1, 8, 8, 1)
    check_values(year, known, ("year",), "it")
    pressure = Normalization("z", ("x",), (101500.0,), (900.0,))
    with pytest.raises(InputError, match="the mean of x is"):
        check_values(year - 975, pressure, ("Pa",), "it")
    around_zero = Normalization("z", ("x",), (0.0,), (4.6,))
    with pytest.raises(InputError, match="the standard deviation of x is"):
        check_values(year - 1990.15, around_zero, ("m s-1",), "it")


def labelled(values, latitudes, hours=None):
    """Fields (n, H, W, 2) as a dataset with coordinates."""
    n, _, width, _ = values.shape
    hours = np.arange(n) if hours is None else np.asarray(hours)
    dimensions = ("time", "latitude", "longitude")
    return xr.Dataset(
        {
            "temperature": (dimensions, values[..., 1], {"units": "K"}),
            "vorticity": (dimensions, values[..., 0], {"units": "s**-1"}),
        },
        coords={
            "time": np.datetime64("2020-01-01", "ns") + hours * np.timedelta64(1, "h"),
            "latitude": latitudes,
            "longitude": 5 + 0.5 * np.arange(width),
        },
    )


SOUTHWARD = 60 - 0.5 * np.arange(16)


def test_xarray_is_aligned_by_its_coordinates(metric, fields):
    x, y = fields(4, seed=1), fields(4, seed=2)
    expected = metric.distance(x, y)
    turned = labelled(y[:, ::-1], SOUTHWARD[::-1])
    found = metric.distance(labelled(x, SOUTHWARD), turned)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # Both turned: the encoder sees north up all the same.
    found = metric.distance(labelled(x[:, ::-1], SOUTHWARD[::-1]), turned)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_array_equal(metric.features(turned), metric.features(y))
    # Times in another order, one of them missing, one too many.
    shuffled = labelled(y[[3, 0, 2]], SOUTHWARD, [3, 9, 2])
    found = metric.distance(labelled(x, SOUTHWARD), shuffled)
    assert found.dims == ("time",)
    assert found["time"].dt.hour.values.tolist() == [2, 3]
    np.testing.assert_allclose(found, expected[2:], rtol=1e-5)
    with pytest.raises(InputError, match="no time in common"):
        metric.distance(labelled(x, SOUTHWARD), labelled(y, SOUTHWARD, np.arange(20, 24)))
    with pytest.raises(InputError, match="regrid"):
        metric.distance(labelled(x, SOUTHWARD), labelled(y, SOUTHWARD - 0.2))


def test_a_map_has_coordinates(metric, fields):
    x, y = fields(2, seed=1), fields(2, seed=2)
    pair = labelled(x, SOUTHWARD), labelled(y[:, ::-1], SOUTHWARD[::-1])
    found = metric.distance(*pair, spatial=True)
    assert found.dims == ("time", "latitude", "longitude")
    np.testing.assert_allclose(found, metric.distance(x, y, spatial=True), rtol=1e-4)
    np.testing.assert_allclose(found["latitude"], 60 - 0.5 * np.array([1.5, 5.5, 9.5, 13.5]))
    np.testing.assert_allclose(found["longitude"][:2], 5 + 0.5 * np.array([1.5, 5.5]))
    one = [dataset.isel(time=0) for dataset in pair]
    np.testing.assert_allclose(metric.distance(*one), metric.distance(x[0], y[0]), rtol=1e-5)
    found = metric.distance(*one, spatial=True, per_layer=True)["stage1"]
    assert found.dims == ("latitude", "longitude") and found.attrs["layer"] == "stage1"


def test_single_fields_of_two_times_are_compared(metric, fields):
    x = fields(3)
    dataset = labelled(x, SOUTHWARD)
    found = metric.distance(dataset.isel(time=0), dataset.isel(time=2))
    np.testing.assert_allclose(found, metric.distance(x[0], x[2]), rtol=1e-5)
    with pytest.raises(InputError, match="a single field, the other a series"):
        metric.distance(dataset.isel(time=0), dataset)
    # Without the coordinate, series are compared by position.
    earlier, later = dataset.isel(time=slice(0, 2)), dataset.isel(time=slice(1, 3))
    found = metric.distance(earlier.drop_vars("time"), later.drop_vars("time"))
    np.testing.assert_allclose(found, metric.distance(x[:2], x[1:]), rtol=1e-5)


def test_other_dimensions_keep_their_names(metric, fields):
    x, y = fields(3, seed=1), fields(3, seed=2)
    names = [d.drop_vars("time").rename(time="city") for d in (labelled(x, SOUTHWARD),
                                                               labelled(y, SOUTHWARD))]  # fmt: skip
    named = [d.assign_coords(city=["a", "b", "c"]) for d in names]
    found = metric.distance(*named)
    np.testing.assert_allclose(found, metric.distance(x, y), rtol=1e-5)
    assert found["city"].values.tolist() == ["a", "b", "c"]


def test_what_cannot_be_compared_is_named(metric, fields):
    x = fields(3)
    with pytest.raises(InputError, match="x holds no fields"):
        metric.distance(x[:0], x[:0])
    with pytest.raises(InputError, match="x holds no fields"):
        metric.features(labelled(x, SOUTHWARD).isel(time=slice(0, 0)))
    with pytest.raises(InputError, match="pass both as xarray"):
        metric.distance(labelled(x, SOUTHWARD), x)
    with pytest.raises(InputError, match=r"b\.nc: the mean of temperature"):
        metric.distance(x, x - np.float32([0, 273]), names=("a.nc", "b.nc"))
