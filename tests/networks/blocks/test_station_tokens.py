"""Tokens of stations against each observed point by itself."""

from __future__ import annotations

import numpy as np

from phire.networks.blocks.embeddings import sinusoids
from phire.networks.blocks.station_tokens import StationTokens

PLACES = [(0, 3), (2, 1), (4, 4)]


def observed(places=PLACES):
    fields = np.zeros((2, 5, 6, 3), "f4")
    fields[..., 0] = 7  # of a satellite, which no token holds
    for number, (row, column) in enumerate(places):
        fields[1, row, column, 1:] = number + 0.5, 1
    return fields


def test_every_observed_point_has_a_token_of_its_value_and_place():
    layer = StationTokens(6, [(1, 2)], count=5)
    tokens = np.asarray(layer(observed()))
    assert tokens.shape == (2, 5, 6)
    assert np.all(tokens[0] == 0) and np.all(tokens[1, 3:] == 0)
    kernel, bias = (np.asarray(weight) for weight in layer.projection.weights)
    for number, (row, column) in enumerate(PLACES):
        place = np.concatenate([sinusoids(np.float32(n), 3) for n in (row, column)])
        expected = np.array([number + 0.5, 1], "f4") @ kernel + bias + place
        np.testing.assert_allclose(tokens[1, number], expected, atol=1e-5)


def test_too_many_points_are_cut_and_small_patches_filled():
    layer = StationTokens(6, [(1, 2)], count=2)
    np.testing.assert_array_equal(layer(observed())[1], layer(observed(PLACES[:2]))[1])
    many = StationTokens(6, [(1, 2)], count=64)
    assert np.asarray(many(observed())).shape == (2, 64, 6)
