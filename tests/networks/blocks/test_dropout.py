"""Dropout: kinds, moments, and Monte Carlo masks that belong to places."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from phire.errors import InputError
from phire.networks.blocks.dropout import KINDS, MonteCarloDropout, dropout, dropout_inputs

ONES = np.ones((2, 40, 50, 60), "float32")
SEED = np.array([[3, 4], [5, 6]], "int32")
ORIGIN = np.zeros((2, 2), "int32")


def masked(kind, seed=SEED, position=ORIGIN, x=ONES, **more):
    layer = MonteCarloDropout(0.25, kind, **{"name": "one", **more})
    return np.asarray(layer(x, seed, position))


@pytest.mark.parametrize("kind", ["vanilla", "spatial"])
def test_a_share_is_dropped_and_the_rest_scaled(kind):
    found = masked(kind, x=np.ones((2, 4, 4, 4000), "float32") if kind == "spatial" else ONES)
    assert set(np.unique(found)) == {np.float32(0), np.float32(4 / 3)}
    assert (found == 0).mean() == pytest.approx(0.25, abs=0.02)


def test_gaussian_factors_have_their_moments():
    found = masked("gaussian").astype("f8")
    assert found.mean() == pytest.approx(1, abs=5e-3)
    assert found.var() == pytest.approx(0.25 / 0.75, rel=2e-2)
    standard = (found - found.mean()) / found.std()
    assert (standard**3).mean() == pytest.approx(0, abs=0.03)
    assert (standard**4).mean() == pytest.approx(3, abs=0.1)


def test_spatial_dropout_drops_whole_channels():
    found = masked("spatial")
    np.testing.assert_array_equal(found, np.broadcast_to(found[:, :1, :1], found.shape))


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_neighbours_are_independent(axis):
    dropped = (masked("vanilla") == 0).astype("f8")
    if axis == 0:
        pair = dropped
    else:
        count = dropped.shape[axis] - 1
        pair = [dropped.take(range(n, n + count), axis) for n in (0, 1)]
    assert np.corrcoef(*(part.ravel() for part in pair))[0, 1] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("kind", ["vanilla", "gaussian"])
def test_a_part_of_the_field_has_the_part_of_the_mask(kind):
    whole = masked(kind)
    part = masked(kind, position=ORIGIN + np.array([7, 9], "int32"), x=ONES[:, :10, :11])
    np.testing.assert_array_equal(part, whole[:, 7:17, 9:20])
    coarse = masked(kind, position=ORIGIN + np.array([28, 36], "int32"), x=ONES[:, :10, :11],
                    step=4, margin=2)  # fmt: skip
    np.testing.assert_array_equal(coarse[:, 2:], whole[:, 7:15, 7:18])


def test_seeds_and_names_give_other_masks():
    first = masked("vanilla")
    assert (first != masked("vanilla", name="another")).any()
    assert (first[0] != first[1]).any()
    np.testing.assert_array_equal(first[0], masked("vanilla", seed=SEED[[0, 0]])[1])


def test_windows_have_a_mask_a_step():
    found = masked("vanilla", x=np.ones((2, 3, 8, 9, 5), "float32"))
    assert (found[:, 0] != found[:, 1]).any()
    np.testing.assert_array_equal(
        masked("vanilla", x=np.ones((2, 2, 8, 9, 5), "float32")), found[:, :2]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_drops_when_it_should(kind):
    inputs = dropout_inputs(0.5, kind)
    x = keras.Input((4, 4, 8), name="x")
    model = keras.Model({"x": x, **inputs}, dropout(x, 0.5, kind, inputs))
    given = {"x": ONES[:, :4, :4, :8], "seed": SEED, "position": ORIGIN}
    given = {name: given[name] for name in ("x", *inputs)}
    always = kind.startswith("mc")
    assert (np.asarray(model(given, training=True)) != 1).any()
    assert (np.asarray(model(given, training=False)) != 1).any() == always


def test_impossible_dropout_is_refused():
    with pytest.raises(InputError, match=r"'droop' is unknown: choose one of vanilla, .*mcdrop"):
        dropout_inputs(0.1, "droop")
    with pytest.raises(InputError, match="must be a fraction"):
        dropout_inputs(1.0, "vanilla")
