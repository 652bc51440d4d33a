"""Numbers of seeds in a table."""

import numpy as np

from loading import load_script

seeds = load_script("seed_spread")


def test_seeds_of_a_candidate_are_joined_and_others_kept_apart():
    rows = [("flow, seed 0", [1.0, 10.0]), ("flow, seed 12", [3.0, 30.0]), ("ridge", [2.0, 2.0])]
    found = seeds.by_candidate(rows)
    assert list(found) == ["flow", "ridge"]
    assert found["flow"].tolist() == [[1, 10], [3, 30]] and found["ridge"].shape == (1, 2)


def test_half_the_range_is_left_out_where_it_is_nothing():
    assert seeds.mean_and_half_range(np.array([1.0, 1.5, 1.2])) == "1.233 ± 0.250"
    assert seeds.mean_and_half_range(np.array([20.0, 21.0])) == "20.50 ± 0.50"
    assert seeds.mean_and_half_range(np.array([0.7])) == "0.700"
