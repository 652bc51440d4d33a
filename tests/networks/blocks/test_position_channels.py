"""Channels of a patch's place are those of the domain, cut out."""

from __future__ import annotations

import numpy as np
import pytest

from phire.errors import InputError
from phire.networks.blocks.position_channels import PlaceChannels

DOMAIN = (6, 8)
POSITIONS = np.array([[1, 2], [0, 6]], "i4")  # the second leaves the domain in the east
PATCH = np.zeros((2, 4, 4, 1), "f4")


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_patches_are_cut_out_of_the_domain(kind):
    layer = PlaceChannels(DOMAIN, 4, kind)
    patches = np.asarray(layer(POSITIONS, PATCH))
    whole = np.asarray(layer(np.zeros((1, 2), "i4"), np.zeros((1, *DOMAIN, 1), "f4")))[0]
    np.testing.assert_allclose(patches[0], whole[1:5, 2:6], atol=1e-6)
    np.testing.assert_allclose(patches[1], np.roll(whole, 2, 1)[:4, :4], atol=1e-6)
    assert len(layer.trainable_variables) == (kind == "learned")


def test_sinusoids_go_round_once():
    row, column = 2, 3
    layer = PlaceChannels(DOMAIN)
    found = np.asarray(layer(np.array([[row, column]]), PATCH[:1, :1, :1]))[0, 0, 0]
    angles = 2 * np.pi * np.array([row / 6, row / 6, column / 8, column / 8])
    expected = [np.sin(angles[0]), np.cos(angles[1]), np.sin(angles[2]), np.cos(angles[3])]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_impossible_channels_are_refused():
    with pytest.raises(InputError, match="multiple of 4"):
        PlaceChannels(DOMAIN, 6)
    with pytest.raises(InputError, match="must be one of"):
        PlaceChannels(DOMAIN, 4, "table")


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_rows_beyond_the_domain_repeat_its_outermost_rows(kind):
    """As in a field that is extended across both poles."""
    layer = PlaceChannels(DOMAIN, 4, kind)
    rows, columns = DOMAIN
    inner = layer(np.array([[0, 0]]), np.zeros((1, rows, columns, 1)))
    extended = layer(np.array([[-2, 0]]), np.zeros((1, rows + 4, columns, 1)))
    expected = np.pad(inner, ((0, 0), (2, 2), (0, 0), (0, 0)), mode="edge")
    np.testing.assert_allclose(extended, expected, atol=1e-6)
