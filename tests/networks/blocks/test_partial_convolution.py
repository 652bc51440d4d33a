"""Partial convolution and interpolation against sums point by point."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.networks import build
from phire.networks.blocks.interpolation_layer import Interpolation, phase_weights
from phire.networks.blocks.partial_convolution import PartialConv2D, PartialInterpolation
from phire.networks.custom_layers import custom_layers

NETWORKS = [
    ("resnet,blocks=1,filters=4,add=bicubic", None),
    ("convnext,blocks=1,filters=4,upsampling=pre,interpolation=bicubic", None),
    ("densenet,blocks=1,filters=4,separable,upsampling=transposed", None),
    ("unet-dl4ds,blocks=2,filters=4,add=bilinear,dropout=0.1", None),
    ("resnet,blocks=1,filters=4,preset=dl4ds,normalization=batch", None),
    ("resnet,blocks=1,filters=4,add=bilinear", 2),
    ("convnet,blocks=1,filters=4,upsampling=pre,preset=dl4ds", 2),
]


def by_points(x, valid, kernel, bias):
    """The formula, one output point after another."""
    k, masked = kernel.shape[0], valid.shape[-1]
    batch, height, width, channels = x.shape
    result = np.zeros((batch, height, width, kernel.shape[-1]))
    for b, i, j in np.ndindex(batch, height, width):
        plain = np.zeros(kernel.shape[-1])
        others, present, all_ = np.zeros(kernel.shape[-1]), 0, 0
        for p, q, c in np.ndindex(k, k, channels):
            row, column = i + p - (k - 1) // 2, j + q - (k - 1) // 2
            if not (0 <= row < height and 0 <= column < width):
                continue
            if c >= masked:
                others += kernel[p, q, c] * x[b, row, column, c]
                continue
            all_ += 1
            if valid[b, row, column, c]:
                present += 1
                plain += kernel[p, q, c] * x[b, row, column, c]
        result[b, i, j] = (plain * all_ / present if present else 0) + others + bias
    return result


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 999), size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    kernel=st.sampled_from([1, 2, 3, 5]), masked=st.integers(1, 3), share=st.floats(0, 1),
)  # fmt: skip
def test_convolution_point_by_point(seed, size, kernel, masked, share):
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, *size, 3)).astype("f4")
    valid = (random.uniform(size=(2, *size, masked)) < share).astype("f4")
    layer = PartialConv2D(4, kernel, padding="same")
    layer.build(x.shape, valid.shape)
    layer.bias.assign(random.normal(size=4))
    expected = by_points(x, valid, np.asarray(layer.kernel), np.asarray(layer.bias))
    x[..., :masked][valid == 0] = random.choice([1e30, np.nan, -np.inf])
    np.testing.assert_allclose(layer(x, valid), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("scale", [2, 3])
def test_interpolation_point_by_point(method, scale):
    random = np.random.default_rng(1)
    x = random.normal(size=(1, 5, 6, 2)).astype("f4")
    valid = (random.uniform(size=x.shape) < 0.7).astype("f4")
    taps = phase_weights(scale, method)
    expected = np.zeros((1, 5 * scale, 6 * scale, 2))
    for i, j, c in np.ndindex(*expected.shape[1:]):
        if not valid[0, i // scale, j // scale, c]:
            continue
        total = share = 0
        for p, q in np.ndindex(5, 5):
            row, column = np.clip([i // scale + p - 2, j // scale + q - 2], 0, [4, 5])
            weight = taps[i % scale, p] * taps[j % scale, q] * valid[0, row, column, c]
            total, share = total + weight * x[0, row, column, c], share + weight
        expected[0, i, j, c] = total / max(share, 0.25)
    poisoned = np.where(valid > 0, x, 1e30)
    result = PartialInterpolation(scale, method)(poisoned, valid)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    complete = PartialInterpolation(scale, method)(x, np.ones_like(x))
    np.testing.assert_allclose(complete, Interpolation(scale, method)(x), rtol=1e-5, atol=1e-6)


def test_bilinear_shares_of_a_valid_point_are_a_quarter_at_least():
    for scale in range(2, 12):
        assert phase_weights(scale, "bilinear")[:, 2].min() ** 2 >= 0.25


@pytest.mark.parametrize(("specification", "window"), NETWORKS)
@pytest.mark.parametrize("static", [0, 1])
def test_networks_do_not_see_what_is_missing(specification, window, static, tmp_path):
    keras.utils.set_random_seed(2)
    sizes = {"low": (6, 7, 2), "high": (12, 14, 1), "static": static, "window": window}
    network = build(f"{specification},masked", **sizes)
    plain = build(specification, **sizes)
    assert [w.shape for w in network.weights] == [w.shape for w in plain.weights]
    plain.set_weights(network.get_weights())
    random = np.random.default_rng(0)
    low = random.normal(size=(2, *(() if window is None else (window,)), 6, 7, 2)).astype("f4")
    inputs = {"low": low}
    if static:
        inputs["static"] = random.normal(size=(2, 12, 14, 1)).astype("f4")
    complete = network({**inputs, "low_valid": np.ones_like(low)})
    np.testing.assert_allclose(complete, plain(inputs), rtol=1e-4, atol=1e-5)
    valid = np.ones_like(low)
    valid[..., 2:4, 3, 0] = 0
    valid[..., 4, 5, :] = 0
    first, second = (
        np.asarray(network({**inputs, "low": np.where(valid > 0, low, poison), "low_valid": valid}))
        for poison in (0, 1e30)
    )
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all() and np.abs(first - complete).max() > 1e-5
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", custom_layers(), compile=False)
    again = loaded({**inputs, "low": np.where(valid > 0, low, 1e30), "low_valid": valid})
    np.testing.assert_allclose(again, first, rtol=1e-6, atol=1e-6)
