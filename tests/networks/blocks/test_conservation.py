"""Conservation: physical block means, whatever the normalization, for the channels of both."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.networks import build
from phire.networks.blocks.conservation import Conservation, conserving
from phire.networks.blocks.fine_output import fine_layer_of
from phire.networks.custom_layers import custom_layers

RANDOM = np.random.default_rng(0)
LOG1P = Normalization("log1p", ("a", "b"), (1e-7, 2.0), (3e-5, 4.0), (0.01, 0.0), (0.2, 0.15))
IDENTITY = Normalization.identity(("a", "b"))
COARSE = Normalization("z", ("c", "b", "a"), (0.0, 2.5, 2e-7), (1.0, 3.0, 2e-5))


def network(low, high, margin=0):
    plain = build(
        "srgan-small", (None, None, len(low.channels)), (None, None, len(high.channels)), scale=4,
        margin=margin, filters=4, blocks=1,
    )  # fmt: skip
    return plain, conserving(plain, 4, low, high, margin=margin)


def means(fine):
    n, height, width, channels = fine.shape
    return fine.reshape(n, height // 4, 4, width // 4, 4, channels).mean((2, 4))


@pytest.mark.parametrize("normalization", [IDENTITY, LOG1P])
def test_the_physical_block_means_are_kept(normalization):
    plain, made = network(normalization, normalization)
    x = RANDOM.normal(size=(2, 5, 6, 2)).astype("f4")
    fine = normalization.invert(np.asarray(made({"low": x}), "f8"))
    coarse = normalization.invert(x.astype("f8"))
    np.testing.assert_allclose(means(fine), coarse, atol=1e-5 * coarse.std(), rtol=1e-4)
    assert fine_layer_of(made).halo == fine_layer_of(plain).halo
    assert made.name == "generator"
    assert [w.shape for w in made.weights] == [w.shape for w in plain.weights]


def test_only_the_channels_of_both_sides_are_kept():
    high = Normalization("log1p", ("d", "a", "b"), (0.0, 1e-7, 2.0), (1.0, 3e-5, 4.0),
                         (0.0, 0.01, 0.0), (1.0, 0.2, 0.15))  # fmt: skip
    plain, made = network(COARSE, high, margin=1)
    x = RANDOM.normal(size=(2, 7, 8, 3)).astype("f4")
    normalised = np.asarray(made({"low": x}), "f8")
    np.testing.assert_array_equal(normalised[..., 0], np.asarray(plain({"low": x}))[..., 0])
    fine, coarse = means(high.invert(normalised)), COARSE.invert(x.astype("f8"))[:, 1:-1, 1:-1]
    for place, at in ((1, 2), (2, 1)):
        spread = coarse[..., at].std()
        np.testing.assert_allclose(fine[..., place], coarse[..., at], atol=1e-4 * spread)


@pytest.mark.parametrize("window", [(), (3,)])
def test_means_are_weighted_by_the_areas_of_the_rows(window):
    areas = np.cos(np.deg2rad(np.arange(20, 84, 8.0)))
    layer = Conservation(2, areas=areas)
    fine = RANDOM.normal(size=(2, *window, 4, 6, 1)).astype("f4")
    coarse = RANDOM.normal(size=(2, *window, 2, 3, 1)).astype("f4")
    found = np.asarray(layer(fine, coarse, np.array([[0, 5], [4, 0]], "i4")))
    for sample, rows in enumerate((areas[:4], areas[4:])):
        blocks = found[sample].reshape(*window, 2, 2, 3, 2)
        weights = rows.reshape(2, 2, 1, 1)
        means = (blocks * weights).sum((-3, -1)) / (2 * weights.sum((-3, -1)))
        np.testing.assert_allclose(means, coarse[sample, ..., 0], atol=1e-6)


def test_windows_are_conserved_step_by_step():
    layer = Conservation(2)
    fine = RANDOM.normal(size=(2, 3, 4, 6, 1)).astype("f4")
    coarse = RANDOM.normal(size=(2, 3, 2, 3, 1)).astype("f4")
    found = np.asarray(layer(fine, coarse))
    for step in range(3):
        np.testing.assert_allclose(
            found[:, step], layer(fine[:, step], coarse[:, step]), rtol=1e-6, atol=1e-6
        )


def test_it_is_saved_with_its_normalizations(tmp_path):
    _, made = network(COARSE, LOG1P)
    made.save(tmp_path / "generator.keras")
    loaded = keras.saving.load_model(tmp_path / "generator.keras", custom_layers())
    x = {"low": RANDOM.normal(size=(1, 4, 4, 3)).astype("f4")}
    np.testing.assert_array_equal(loaded(x), made(x))
    layer = next(layer for layer in loaded.layers if isinstance(layer, Conservation))
    assert (layer.normalization, layer.low) == (LOG1P, COARSE)


def test_nothing_to_conserve_is_told():
    with pytest.raises(InputError, match=r"none of the targets \(a, b\) is among .*\(t\)"):
        network(Normalization.identity(("t",)), LOG1P)
