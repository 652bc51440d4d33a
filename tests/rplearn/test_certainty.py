"""Maps of certainty against what a network of known answers must give."""

import keras
import numpy as np
import pytest
import xarray as xr

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.fields.source import ArraySource
from phire.fields.time_axis import TimeAxis
from phire.rplearn.certainty import (
    groups_of,
    lag_certainty,
    sliding_certainty,
    window_corners,
)

DAY = 86400


class Difference(keras.layers.Layer):
    """Logits (0, 0, 0, k·mean(second − first)) of windows."""

    def call(self, inputs):
        difference = keras.ops.mean(inputs[1] - inputs[0], axis=(1, 2, 3))[:, None]
        return keras.ops.concatenate([keras.ops.zeros((1, 3)) * difference, difference], axis=1)


@pytest.fixture(scope="module")
def network():
    pair = [keras.Input((4, 4, 1)), keras.Input((4, 4, 1))]
    return keras.Model(pair, Difference()(pair))


def normalization():
    return Normalization("z", ("a",), (0.0,), (1.0,))


def test_certainty_by_hand():
    logits = np.log(np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]))
    probability, first, three, entropy = lag_certainty(logits, 4).T
    np.testing.assert_allclose(probability, [0.4, 0.1])
    np.testing.assert_array_equal(first, [1, 0])
    np.testing.assert_array_equal(three, [1, 0])
    p = np.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(entropy, -np.sum(p * np.log(p)))


def test_windows_cover_a_circle_and_stay_inside_a_region():
    np.testing.assert_array_equal(window_corners(10, 4, 3, wraps=False), [0, 3, 6])
    np.testing.assert_array_equal(window_corners(10, 4, 3, wraps=True), [0, 3, 6, 9])
    with pytest.raises(InputError, match="larger than the field"):
        window_corners(3, 4, 1, wraps=True)


def test_map_shows_where_fields_change(network):
    """West of the middle the fields grow by 2 a step, east of it not at all."""
    rise = np.zeros((8, 16, 1))
    rise[:, :8] = 2.0
    fields = rise * np.arange(6)[:, None, None, None]
    grid = Grid.regional(50 - np.arange(8.0), np.arange(16.0))
    source = ArraySource(fields, grid=grid)
    maps = sliding_certainty(
        network, source, normalization=normalization(), places=[0], patch=(4, 4), lag=4, stride=4
    )
    # Over four steps the fields grow by 8 in the west: p = e⁸/(e⁸+3); in the east all are equal.
    west, east = np.exp(8) / (np.exp(8) + 3), 0.25
    np.testing.assert_allclose(
        maps["probability"].sel(group="all"), [[west, west, east, east]] * 2, rtol=1e-5
    )
    np.testing.assert_allclose(maps["entropy"][0, 0, 2:], np.log(4), rtol=1e-5)
    np.testing.assert_array_equal(maps["accuracy"][0, :, :2], 1)
    np.testing.assert_allclose(maps.latitude, [48.5, 44.5])
    np.testing.assert_allclose(maps.longitude, [1.5, 5.5, 9.5, 13.5])
    assert int(maps["count"][0]) == 2


def test_windows_cross_the_date_line_on_the_globe(network):
    grid = Grid.driscoll_healy(8)
    fields = np.zeros((3, 8, 16, 1))
    fields[2, :, [15, 0]] = 16.0
    source = ArraySource(fields, grid=grid)
    maps = sliding_certainty(
        network, source, normalization=normalization(), places=[0], patch=(4, 4), lag=2, stride=2
    )
    assert maps.sizes["longitude"] == 8
    assert (np.diff(maps.longitude) > 0).all()
    # A lag of 2 has the logit 0; the windows that hold both columns answer "4" most surely.
    # A lag of 2 has the logit 0; the window on columns 14, 15, 0, 1 answers "4" most surely.
    lowest = maps["probability"][0].min("latitude")
    assert float(lowest.idxmin("longitude")) == pytest.approx(15.5 * 22.5)


def test_seasons_and_hours_are_told_apart(network):
    time = TimeAxis(np.arange(0, 360 * DAY, DAY // 2), "360_day")
    groups = groups_of(time)
    assert list(groups) == ["all", "DJF", "MAM", "JJA", "SON", "00 UTC", "12 UTC"]
    assert groups["JJA"].sum() == 180 and groups["12 UTC"].sum() == 360
    rise = np.where(time.hours() == 12, 5.0, 0.0)
    source = ArraySource(np.broadcast_to(rise[:, None, None, None], (720, 4, 4, 1)), time=time)
    maps = sliding_certainty(
        network, source, normalization=normalization(), places=[0], patch=(4, 4), lag=1, every=7
    )
    assert maps["probability"].sel(group="00 UTC").max() < 0.01
    assert maps["probability"].sel(group="12 UTC").min() > 0.3


def test_pairs_with_missing_values_are_left_out(network, capsys):
    time = TimeAxis(np.arange(0, 4 * DAY, DAY), "standard")
    fields = np.zeros((4, 8, 8, 1)) + 3 * np.arange(4)[:, None, None, None]
    holed = fields.copy()
    holed[3, 2, 2] = np.nan
    arguments = {"normalization": normalization(), "places": [0], "patch": (4, 4), "lag": 1}
    found = sliding_certainty(network, ArraySource(holed, time=time), name="a.h5", **arguments)
    assert "1 of 3 pairs of fields of a.h5 have missing values and are left out" in (
        capsys.readouterr().err
    )
    whole = sliding_certainty(network, ArraySource(fields[:3], time=time[:3]), **arguments)
    xr.testing.assert_equal(found, whole)
    assert found["count"].values.tolist() == [2, 2, 2]


def test_fields_from_the_south_are_turned(network):
    rise = np.zeros((8, 8, 1))
    rise[:4] = 2.0  # the north
    fields = rise * np.arange(3)[:, None, None, None]
    northward = 43 + np.arange(8.0)
    arguments = {"normalization": normalization(), "places": [0], "patch": (4, 4), "lag": 1}
    maps = [
        sliding_certainty(
            network,
            ArraySource(values, grid=Grid.regional(latitudes, np.arange(8.0))),
            **arguments,
        )
        for values, latitudes in ((fields, northward[::-1]), (fields[:, ::-1], northward))
    ]
    xr.testing.assert_equal(*maps)


def test_what_cannot_be_mapped_is_refused(network):
    source = ArraySource(np.zeros((3, 4, 4, 1)))
    arguments = {"normalization": normalization(), "places": [0], "patch": (4, 4)}
    with pytest.raises(InputError, match="predicts lags 1 … 4"):
        sliding_certainty(network, source, lag=5, **arguments)
    with pytest.raises(InputError, match="No two fields lie 3"):
        sliding_certainty(network, source, lag=3, **arguments)
    holes = ArraySource(np.full((3, 4, 4, 1), np.nan))
    with pytest.raises(InputError, match=r"All 2 pairs of fields of a\.h5 have missing values"):
        sliding_certainty(network, holes, lag=1, name="a.h5", **arguments)
