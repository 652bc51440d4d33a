"""Whole fields of a source through the metric."""

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.source import ArraySource
from phire.fields.time_axis import TimeAxis
from phire.rplearn import field_features
from phire.rplearn.field_features import FeatureSource, feature_grid, source_distance

UNITS = ("s**-1", "K")
CHANNELS = ("vorticity", "temperature")


def grid(rows=16, columns=32):
    return Grid.regional(60 - 0.5 * np.arange(rows), -10 + 0.5 * np.arange(columns))


def source(values, hours, channels=CHANNELS, units=UNITS, on=None):
    time = TimeAxis(3600 * np.asarray(hours), "standard")
    return ArraySource(
        values, channels=channels, units=units, grid=on or grid(*values.shape[1:3]), time=time
    )


def test_distance_at_the_times_in_common_whatever_the_order_of_channels(metric, fields):
    a, b = fields(6, 16, 32, seed=1), fields(5, 16, 32, seed=2)
    truth = source(a, np.arange(6))
    other = source(b[..., ::-1], [7, 4, 2, 3, 9], CHANNELS[::-1], ("K", "s-1"))
    found = source_distance(metric, truth, other)
    expected = metric.distance(a[[2, 3, 4]], b[[2, 3, 1]])
    np.testing.assert_allclose(found["learned_distance"], expected, rtol=1e-5)
    assert [str(t)[11:16] for t in found.time.values] == ["02:00", "03:00", "04:00"]


def test_reading_in_parts_changes_nothing(metric, fields, monkeypatch):
    truth, other = (source(fields(7, 16, 32, seed=s), np.arange(7)) for s in (1, 2))
    whole = source_distance(metric, truth, other)
    monkeypatch.setattr(field_features, "READ_AT_ONCE", 2 * 16 * 32 * 2 * 4)
    parts = source_distance(metric, truth, other, frechet=True)
    np.testing.assert_allclose(parts["learned_distance"], whole["learned_distance"], rtol=1e-5)
    assert parts["frechet_bias"] > 0


def test_map_lies_on_the_feature_grid_and_its_mean_is_the_distance(metric, fields):
    truth, other = (source(fields(3, 16, 32, seed=s), np.arange(3)) for s in (1, 2))
    found = source_distance(metric, truth, other, spatial=True)
    assert found["learned_distance_map"].shape == (3, 4, 8)
    np.testing.assert_allclose(
        found["learned_distance_map"].mean(("latitude", "longitude")), found["learned_distance"]
    )
    # Each feature stands for four rows and columns.
    np.testing.assert_allclose(found.latitude, 60 - 0.5 * np.array([1.5, 5.5, 9.5, 13.5]))
    np.testing.assert_allclose(found.longitude[:2], -10 + 0.5 * np.array([1.5, 5.5]))


def test_feature_grid_of_bare_pixels():
    assert feature_grid(Grid.pixels(16, 20), (4, 5)).shape == (4, 5)


def test_features_are_a_source_with_coordinates(metric, fields):
    values = fields(4, 16, 32)
    features = FeatureSource(metric, source(values, np.arange(4)), layer="stage1")
    assert features.channels == ("stage1_0", "stage1_1", "stage1_2", "stage1_3")
    assert features.grid.shape == (8, 16) and len(features.time) == 4
    np.testing.assert_allclose(
        features.read(slice(1, 3)), metric.features(values[1:3], layer="stage1"), rtol=1e-5
    )


def test_bare_channels_are_taken_in_order(metric, fields):
    a, b = fields(2, seed=1), fields(2, seed=2)
    found = source_distance(metric, ArraySource(a), ArraySource(b))
    np.testing.assert_allclose(found["learned_distance"], metric.distance(a, b), rtol=1e-5)


def test_sources_that_do_not_fit_are_refused(metric, fields):
    truth = source(fields(2), [0, 1])

    def refused(other, said):
        with pytest.raises(InputError, match=said):
            source_distance(metric, truth, other, names=("a.h5", "b.h5"))

    refused(source(fields(2), [0, 1], ("vorticity", "pressure")), "no channel 'temperature'")
    refused(source(fields(2), [0, 1], units=("s-1", "degC")), "temperature in 'degC'")
    coarser = Grid.regional(60 - np.arange(16), -10 + np.arange(16))
    refused(source(fields(2), [0, 1], on=coarser), r"candidate b\.h5 lies on a .* regrid it")
    shifted = Grid.regional(61 - 0.5 * np.arange(16), -10 + 0.5 * np.arange(16))
    refused(source(fields(2), [0, 1], on=shifted), "regrid it")
    refused(source(fields(2), [5, 6]), r"candidate b\.h5 have no time in common")
    bare = ArraySource(fields(3), channels=CHANNELS, units=UNITS, grid=grid(16, 16))
    refused(bare, r"candidate b\.h5 has no dates")
    refused(ArraySource(fields(2)[..., :1]), "holds 1 channel,")
    warm = fields(2) + np.float32([0, 300])
    refused(source(warm, [0, 1]), r"b\.h5: the mean of temperature")
    refused(source(np.full((2, 16, 16, 2), np.nan), [0, 1]), r"none of 2 fields of b\.h5 and a\.h5")
    with pytest.raises(InputError, match="contains none of the fields"):
        source_distance(metric, truth, truth, time="1980-01-01,1981-01-01")


def test_fields_with_missing_values_are_left_out(metric, fields, capsys, monkeypatch):
    monkeypatch.setattr(field_features, "READ_AT_ONCE", 2 * 16 * 32 * 2 * 4)  # two fields
    a, b = fields(6, 16, 32, seed=1), fields(6, 16, 32, seed=2)
    expected = metric.distance(a, b)
    a[1, 3, 4, 0] = np.nan
    b[4:] = np.nan
    truth, other = source(a, np.arange(6)), source(b, np.arange(6))
    found = source_distance(metric, truth, other, spatial=True, frechet=True, names=("a", "b"))
    assert "3 of 6 fields of b and a have missing values and are left out" in (
        capsys.readouterr().err
    )
    kept = [0, 2, 3]
    assert np.isnan(found["learned_distance"]).values.tolist() == [0, 1, 0, 0, 1, 1]
    np.testing.assert_allclose(found["learned_distance"][kept], expected[kept], rtol=1e-5)
    alone = source_distance(metric, source(a[kept], kept), source(b[kept], kept), frechet=True)
    np.testing.assert_allclose(found["frechet"], alone["frechet"], rtol=1e-6)
    part = source_distance(metric, truth, other, time="1970-01-01T02,1970-01-01T04")
    np.testing.assert_allclose(part["learned_distance"], expected[2:4], rtol=1e-5)


def test_rows_from_the_south_are_turned(metric, fields):
    a, b = fields(2, 16, 32, seed=1), fields(2, 16, 32, seed=2)
    northward = Grid.regional(grid().latitudes[::-1], grid().longitudes)
    expected = source_distance(metric, source(a, [0, 1]), source(b, [0, 1]), spatial=True)
    turned = source(b[:, ::-1], [0, 1], on=northward)
    for truth in (source(a, [0, 1]), source(a[:, ::-1], [0, 1], on=northward)):
        found = source_distance(metric, truth, turned, spatial=True)
        np.testing.assert_allclose(
            found["learned_distance_map"], expected["learned_distance_map"], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_array_equal(found["latitude"], expected["latitude"])
    features = FeatureSource(metric, turned)
    np.testing.assert_allclose(features.read([1]), metric.features(b[1:]), rtol=1e-5)
    assert features.grid.descending


def test_features_of_fields_with_missing_values_are_missing(metric, fields):
    values = fields(3, 16, 32)
    expected = metric.features(values)
    values[0, 1, 1, 1] = np.nan
    features = FeatureSource(metric, source(values, np.arange(3)))
    found = features.read(slice(None))
    assert features.skipped == 1 and np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], expected[1:], rtol=1e-5, atol=1e-6)
