"""Sums over neighbours, of which the fractions of squares are made."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from phire.evaluation.fractions_skill import run_sums


@settings(max_examples=50)
@given(size=st.integers(1, 40), more=st.integers(0, 30), seed=st.integers(0, 99))
def test_sums_of_neighbours_are_those_of_every_window(size, more, seed):
    values = np.random.default_rng(seed).integers(0, 6, (2, 3, size + more)).astype(np.uint8)
    expected = np.lib.stride_tricks.sliding_window_view(values, size, axis=-1).sum(-1)
    np.testing.assert_array_equal(run_sums(values, size), expected)
