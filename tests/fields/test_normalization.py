"""Statistics against numpy's, and the map there and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.normalization import ALPHA, Normalization
from phire.fields.normalization_fit import fit_normalization
from phire.fields.normalization_names import KINDS
from phire.fields.source import ArraySource
from phire.fields.store import open_store
from phire.fields.store_writing import StoreWriter
from phire.fields.time_axis import TimeAxis

NUMBERS = st.floats(-1e6, 1e6)
SIGNED = ("log1p", "z", "none")
"""The kinds whose formulas run over all channels at once."""


def source(fields: np.ndarray) -> ArraySource:
    return ArraySource(fields, channels=("divergence", "vorticity"), grid=Grid.pixels(6, 7))


def skewed(count: int = 20, seed: int = 0) -> np.ndarray:
    """(count, 6, 7, 2) of very different scales and offsets."""
    fields = np.random.default_rng(seed).standard_t(4, size=(count, 6, 7, 2))
    return (fields * [1e-6, 3e3] + [2e-7, 1e5]).astype(np.float32)


def expected_moments(values: np.ndarray) -> list[np.ndarray]:
    """Mean, std, log mean and log std per channel, by numpy in float64."""
    values = values.astype(np.float64).reshape(-1, values.shape[-1])
    mean, std = np.nanmean(values, 0), np.nanstd(values, 0)
    scores = (values - mean) / std
    bent = np.sign(scores) * np.log1p(ALPHA * np.abs(scores))
    return [mean, std, np.nanmean(bent, 0), np.nanstd(bent, 0)]


@pytest.mark.parametrize("chunk", [None, 1, 3, 7, 100])
def test_constants_equal_those_of_numpy(chunk):
    fields = skewed()
    found = fit_normalization(source(fields), chunk=chunk)
    assert found.kind == "log1p"
    assert found.channels == ("divergence", "vorticity")
    moments = (found.mean, found.std, found.log_mean, found.log_std)
    for one, other in zip(moments, expected_moments(fields)):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)
    normalised = found.apply(fields.astype(np.float64)).reshape(-1, 2)
    np.testing.assert_allclose(normalised.mean(0), 0, atol=1e-10)
    np.testing.assert_allclose(normalised.std(0), 1, rtol=1e-10)


def test_missing_values_do_not_count():
    fields = skewed()
    fields[3] = np.nan
    fields[5, 2:4, 1:3, 0] = np.nan
    found = fit_normalization(source(fields), chunk=2)
    moments = (found.mean, found.std, found.log_mean, found.log_std)
    for one, other in zip(moments, expected_moments(fields)):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


def test_a_part_of_the_times_of_a_store(tmp_path):
    fields = skewed()
    path = tmp_path / "store.h5"
    with StoreWriter(
        path,
        channels=("divergence", "vorticity"),
        units=("s**-1",) * 2,
        grid=Grid.pixels(6, 7),
        time=TimeAxis.steps(len(fields)),
    ) as writer:
        writer.append(fields)
    times = np.arange(4, 13)
    with open_store(path) as store:
        found = fit_normalization(store, kind="z", times=times, chunk=4)
    mean, std, *_ = expected_moments(fields[times])
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, std, rtol=1e-12)
    assert found.log_mean is None


@pytest.mark.slow
def test_workers_give_the_same_bits(tmp_path):
    from phire.fields.cluster import cluster

    fields = skewed(40)
    path = tmp_path / "store.h5"
    with StoreWriter(
        path,
        channels=("divergence", "vorticity"),
        units=("s**-1",) * 2,
        grid=Grid.pixels(6, 7),
        time=TimeAxis.steps(len(fields)),
    ) as writer:
        writer.append(fields)
    with open_store(path) as store:
        alone = fit_normalization(store, chunk=3)
        with cluster(workers=2):
            assert fit_normalization(store, chunk=3) == alone


def test_offsets_much_larger_than_the_spread_are_harmless():
    fields = np.random.default_rng(0).normal(size=(10, 6, 7, 2)) + 1e5
    found = fit_normalization(source(fields), kind="z", chunk=1)
    mean, std, *_ = expected_moments(fields.astype(np.float32))
    np.testing.assert_allclose(found.mean, mean, rtol=1e-14)
    np.testing.assert_allclose(found.std, std, rtol=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from(SIGNED),
    mean=st.floats(-100, 100),
    std=st.floats(0.1, 100),
    values=st.lists(NUMBERS, min_size=1, max_size=20),
)
def test_inverting_gives_the_values_back(kind, mean, std, values):
    normalization = Normalization(kind, ("x",), (mean,), (std,), (0.1,), (0.4,))
    x = np.array(values)[:, None]
    back = normalization.invert(normalization.apply(x))
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9 * max(abs(mean), std))


@settings(max_examples=30, deadline=None)
@given(low=NUMBERS, high=NUMBERS)
def test_the_order_of_values_is_kept(low, high):
    normalization = Normalization("log1p", ("x",), (3.0,), (2.0,), (0.1,), (0.4,))
    one, other = normalization.apply(np.array([[low], [high]]))[:, 0]
    assert (one <= other) == (low <= high) or np.isclose(low, high)


@pytest.mark.parametrize("kind", SIGNED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_planes_are_normalised_block_by_block_as_log1p_says(kind, dtype, monkeypatch):
    monkeypatch.setattr("phire.fields.normalization.BLOCK", 25)  # three rows of seven at a time
    fields = skewed(1)[0].astype(dtype)
    fields[2, 3, 1] = np.nan
    normalization = fit_normalization(source(skewed()), kind=kind)
    mean, std, log_mean, log_std = expected_moments(skewed())
    expected = fields.astype(np.float64)
    if kind != "none":
        expected = (expected - mean) / std
    if kind == "log1p":
        expected = np.sign(expected) * np.log1p(ALPHA * np.abs(expected))
        expected = (expected - log_mean) / log_std
    out = np.zeros((6, 9, 2), "<f4")  # wider than the field, as for patches across the date line
    normalization.apply_planes(np.moveaxis(fields, -1, 0), out[:, :7])
    # Rounding of the value as it comes is a part of the standard deviation.
    tolerance = {"rtol": 1e-6, "atol": 4e-6 if dtype == np.float32 else 1e-6}
    np.testing.assert_allclose(out[:, :7], expected, **tolerance)
    assert not out[:, 7:].any()
    np.testing.assert_array_equal(normalization.apply(fields).astype(np.float32), out[:, :7])


def test_an_array_of_other_channels_is_refused():
    normalization = fit_normalization(source(skewed()))
    with pytest.raises(ValueError, match=r"\(6, 4\) does not end with 2 channels"):
        normalization.apply(np.zeros((6, 4), np.float32))


def test_no_values_are_normalised_to_none():
    normalization = fit_normalization(source(skewed()))
    assert normalization.apply(np.empty((0, 6, 7, 2), np.float32)).shape == (0, 6, 7, 2)


def test_tensors_and_arrays_agree():
    keras = pytest.importorskip("keras")
    fields = skewed()
    normalization = fit_normalization(source(fields))
    expected = normalization.apply(fields)
    assert expected.dtype == np.float32
    tensor = normalization.apply(keras.ops.convert_to_tensor(fields), xp=keras.ops)
    np.testing.assert_allclose(tensor, expected, atol=1e-5)
    back = keras.ops.convert_to_numpy(normalization.invert(tensor, xp=keras.ops))
    np.testing.assert_allclose(back, fields, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_gives_the_normalisation_back(tmp_path, kind):
    normalization = fit_normalization(source(skewed()), kind=kind)
    path = tmp_path / "statistics.json"
    normalization.save(path)
    assert Normalization.load(path) == normalization
    assert json.loads(path.read_text())["kind"] == kind
    assert Normalization.from_dict(normalization.to_dict()) == normalization


def test_the_identity_changes_nothing():
    fields = skewed()
    identity = Normalization.identity(["divergence", "vorticity"])
    np.testing.assert_array_equal(identity.apply(fields), fields)
    np.testing.assert_array_equal(identity.invert(fields), fields)


def test_channels_are_selected_by_name():
    normalization = fit_normalization(source(skewed()))
    swapped = normalization.select(("vorticity", "divergence"))
    assert swapped.mean == normalization.mean[::-1]
    assert swapped.log_std == normalization.log_std[::-1]
    with pytest.raises(InputError, match=r"no channel u: .* divergence, vorticity"):
        normalization.select(("u",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (np.nan, "channel vorticity has no valid value"),
        (np.inf, "channel vorticity has infinite values"),
        (5.0, "channel vorticity is constant"),
    ],
)
def test_channels_without_statistics_are_named(change, message):
    fields = skewed()
    fields[..., 1] = change
    with pytest.raises(InputError, match=message):
        fit_normalization(source(fields))


def test_what_is_no_normalisation_is_refused(tmp_path):
    with pytest.raises(InputError, match="'median' is unknown"):
        Normalization("median", ("x",))
    with pytest.raises(InputError, match="log1p needs log_mean"):
        Normalization("log1p", ("x",), (0,), (1,))
    with pytest.raises(InputError, match="2 values of mean for 1 channels"):
        Normalization("z", ("x",), (0, 1), (1,))
    with pytest.raises(InputError, match="impossible std"):
        Normalization("z", ("x",), (0,), (0,))
    with pytest.raises(InputError, match=r"none\.json does not exist"):
        Normalization.load(tmp_path / "none.json")
    path = tmp_path / "other.json"
    path.write_text("{]")
    with pytest.raises(InputError, match="not a file of statistics"):
        Normalization.load(path)
    path.write_text('{"kind": "z", "scale": 3}')
    with pytest.raises(InputError, match=r"other\.json: this is not a normalization"):
        Normalization.load(path)
