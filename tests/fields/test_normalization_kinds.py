"""Kinds of normalization channel by channel: formulas, round trips, fits against numpy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.normalization import ALPHA, Normalization, joined
from phire.fields.normalization_fit import fit_normalization
from phire.fields.normalization_names import parse_kinds
from phire.fields.source import ArraySource

KINDS = ("z", "log:0.1", "minmax", "sqrt", "log1p", "none")
CHANNELS = ("t", "rain", "humidity", "snow", "wind", "mask")


def weather(count=12):
    """(count, 6, 7, 6) of which all but the first and the last but one are never negative."""
    random = np.random.default_rng(0)
    fields = random.gamma(0.4, 5, size=(count, 6, 7, 6))
    fields[..., 0] = 280 + 10 * random.normal(size=(count, 6, 7))
    fields[..., 4] = 5 * random.standard_t(4, size=(count, 6, 7))
    return fields.astype(np.float32)


def fitted(fields, kinds=KINDS, **options):
    source = ArraySource(fields, channels=CHANNELS, grid=Grid.pixels(6, 7))
    return fit_normalization(source, kind=kinds, **options)


def expected(fields):
    """What the formulas say, by numpy in float64."""

    def score(x):
        return (x - np.nanmean(x)) / np.nanstd(x)

    t, rain, humidity, snow, wind, mask = np.moveaxis(fields.astype(np.float64), -1, 0)
    span = np.nanmax(humidity) - np.nanmin(humidity)
    bent = np.sign(score(wind)) * np.log1p(ALPHA * np.abs(score(wind)))
    return np.stack(
        [
            score(t), score(np.log(rain + 0.1)), 2 * (humidity - np.nanmin(humidity)) / span - 1,
            score(np.sqrt(snow)), score(bent), mask,
        ],
        axis=-1,
    )  # fmt: skip


@pytest.mark.parametrize("chunk", [None, 1, 5])
def test_each_channel_is_fitted_and_normalised_by_its_formula(chunk):
    fields = weather()
    fields[2, 1:3, :, :] = np.nan
    found = fitted(fields, chunk=chunk)
    assert found.kinds == KINDS
    result = found.apply(fields.astype(np.float64))
    np.testing.assert_allclose(result, expected(fields), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.invert(result), fields, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.mean, np.nanmean(fields, (0, 1, 2), np.float64), rtol=1e-9)


@pytest.mark.parametrize("chunk", [None, 5])
def test_chains_follow_their_curves_by_another_scaling_and_a_factor(chunk):
    fields = weather()
    fields[2, 1:3, :, :] = np.nan
    kinds = ("z+scale:0.2", "log:0.1+minmax", "sqrt+none+scale:2", "sqrt+z", "log1p+minmax",
             "none+scale:0.5")  # fmt: skip
    found = fitted(fields, kinds=kinds, chunk=chunk)
    assert found.kinds[3] == "sqrt"
    result = found.apply(fields.astype(np.float64))
    t, rain, humidity, snow, wind, mask = np.moveaxis(fields.astype(np.float64), -1, 0)

    def score(x):
        return (x - np.nanmean(x)) / np.nanstd(x)

    def spread(x):
        return 2 * (x - np.nanmin(x)) / (np.nanmax(x) - np.nanmin(x)) - 1

    bent = np.sign(score(wind)) * np.log1p(ALPHA * np.abs(score(wind)))
    wanted = np.stack(
        [0.2 * score(t), spread(np.log(rain + 0.1)), 2 * np.sqrt(humidity), score(np.sqrt(snow)),
         spread(bent), mask / 2], axis=-1
    )  # fmt: skip
    np.testing.assert_allclose(result, wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.invert(result), fields, rtol=1e-6, atol=1e-6)
    assert np.nanmin(result[..., 4]) == pytest.approx(-1)
    assert np.nanmax(result[..., 1]) == pytest.approx(1)


def test_only_curves_bend():
    fields = weather()
    assert fitted(fields, kinds=("z+scale:0.2",) * 5 + ("minmax",)).is_linear
    assert not fitted(fields, kinds=("z",) * 5 + ("sqrt+none",)).is_linear


def test_a_kind_among_others_equals_the_kind_alone():
    fields = weather()
    alone = fitted(fields, kinds="log1p")
    mixed = fitted(fields)
    assert mixed.select(["wind"]) == alone.select(["wind"])
    assert alone.select(["wind"]).kind == "log1p"


def test_tensors_and_arrays_agree():
    keras = pytest.importorskip("keras")
    fields = weather()
    found = fitted(fields)
    tensor = found.apply(keras.ops.convert_to_tensor(fields), xp=keras.ops)
    np.testing.assert_allclose(tensor, found.apply(fields), atol=2e-5)
    back = keras.ops.convert_to_numpy(found.invert(tensor, xp=keras.ops))
    np.testing.assert_allclose(back, fields, rtol=1e-4, atol=1e-4)


chains = st.builds(
    "{}{}".format,
    st.sampled_from(
        [f"{curve}+{scaling}" for curve in ("log1p", "log:0.1", "sqrt")
         for scaling in ("z", "minmax", "none")] + ["z", "minmax", "none"]
    ),
    st.one_of(st.just(""), st.floats(0.01, 100).map("+scale:{}".format)),
)  # fmt: skip


@settings(max_examples=150)
@given(
    kind=st.one_of(st.sampled_from([*KINDS, "log:1e-3"]), chains),
    moments=st.tuples(*[st.floats(-50, 50), st.floats(0.1, 50)] * 3),
    values=st.lists(st.floats(0, 1e4), min_size=1, max_size=10),
)
def test_inverting_gives_the_values_back(kind, moments, values):
    mean, std, log_mean, log_std, low, width = ((value,) for value in moments)
    # Beside another kind, so that the channels are taken one by one.
    found = joined(
        [
            Normalization(kind, ("x",), mean, std, log_mean, log_std, minimum=low,
                          maximum=(low[0] + width[0],)),
            Normalization("z", ("y",), mean, std),
        ]
    )  # fmt: skip
    x = np.stack([values, values], axis=-1)
    normalised = found.apply(x)
    tolerance = {"rtol": 1e-7, "atol": 1e-7 * max(map(abs, moments))}
    np.testing.assert_allclose(found.invert(normalised), x, **tolerance)
    # Linear in the physical values, and back.
    linear = found.to_linear(normalised)
    np.testing.assert_allclose(found.from_linear(linear), normalised, rtol=1e-6, atol=1e-6)
    if len(values) > 2:
        ends = x[:2]
        slope = np.ptp(linear[:2], axis=0) * np.ptp(x, axis=0)
        np.testing.assert_allclose(
            slope, np.ptp(linear, axis=0) * np.ptp(ends, axis=0), rtol=1e-3, atol=1e-3
        )
    assert Normalization.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_rain_below_zero_counts_as_none():
    found = fitted(weather())
    drizzle, none = np.zeros((2, 1, 6))
    drizzle[0, 1] = -0.01
    assert found.apply(drizzle)[0, 1] == found.apply(none)[0, 1]
    assert found.invert(np.full((1, 6), -9.0))[0, 1] == 0


@pytest.mark.parametrize(
    "text, kinds",
    [
        ("z", ("z", "z")),
        ("z,b=log:0.1", ("z", "log:0.1")),
        ("b=minmax", ("log1p", "minmax")),
        ("none, a=sqrt", ("sqrt", "none")),
        ("z+scale:0.2,b=log1p+minmax", ("z+scale:0.2", "log1p+minmax")),
        ("log:1e+2+none+scale:1e-1,b=sqrt+z", ("log:1e+2+none+scale:1e-1", "sqrt")),
    ],
)
def test_kinds_by_name(text, kinds):
    assert parse_kinds(text, ("a", "b")) == kinds


@pytest.mark.parametrize(
    "text, said",
    [
        ("median", "'median' is unknown: it must be log1p, z, minmax, log:EPS, sqrt or none"),
        ("log:0", "'log:0' is unknown"),
        ("z+minmax", "a chain CURVE.SCALING"),
        ("sqrt+log1p", "'sqrt.log1p' is unknown"),
        ("z+scale:0", "'z.scale:0' is unknown"),
        ("sqrt+minmax+z", "'sqrt.minmax.z' is unknown"),
        ("log:x", "'log:x' is unknown"),
        ("z,c=sqrt", "'c=sqrt' names no channel; .* a, b"),
        ("z,sqrt", "'sqrt' names no channel"),
    ],
)
def test_impossible_kinds(text, said):
    with pytest.raises(InputError, match=said):
        parse_kinds(text, ("a", "b"))


def test_statistics_under_other_kinds():
    found = fitted(weather())
    kinds = ("none", "z", "minmax", "none", "z", "none")
    assert found.with_kinds(kinds).kinds == kinds
    assert found.with_kinds(("z+scale:0.2", "log:0.1+scale:2", *KINDS[2:])).kinds[1] == (
        "log:0.1+scale:2"
    )
    with pytest.raises(InputError, match=r"of rain are those .* log:0.1, not of log:0.1.minmax"):
        found.with_kinds(("z", "log:0.1+minmax", *KINDS[2:]))
    with pytest.raises(InputError, match=r"of t are those of the normalization z, not of sqrt"):
        found.with_kinds(("sqrt", *KINDS[1:]))
