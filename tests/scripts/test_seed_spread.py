"""Numbers of seeds in a table."""

import click
import numpy as np
import pytest

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
    assert seeds.mean_and_half_range(np.array([3.0e-6, 4.0e-6])) == "(3.50 ± 0.50)e-6"
    assert seeds.mean_and_half_range(np.array([4.0e-6])) == "4.00e-6"
    assert seeds.mean_and_half_range(np.array([np.nan])) == "–"


def test_a_summary_is_tabulated_over_its_seeds(tmp_path):
    path = tmp_path / "summary.csv"
    path.write_text(
        "candidate,region,rmse:pr,crps_fair:pr\n"
        "bilinear,,2.0,\n"
        'bilinear,sea,9.0,\n"flow, seed 0",,1.0,0.5\n"flow, seed 1",,2.0,0.7\n'
    )
    lines = seeds.summary_table(path, ["rmse:pr", "crps_fair:pr"])
    assert lines[0] == "| | seeds | rmse:pr | crps_fair:pr |"
    assert lines[2:] == ["| bilinear | 1 | 2.000 | – |",
                         "| flow | 2 | 1.500 ± 0.500 | 0.600 ± 0.100 |"]  # fmt: skip
    with pytest.raises(click.ClickException, match="mae:pr"):
        seeds.summary_table(path, ["mae:pr"])
