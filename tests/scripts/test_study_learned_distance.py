"""The study of the learned distance: its tables from known results, and a small one as a whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.image import imread

from loading import load_script
from phire.errors import InputError


@pytest.fixture(scope="module")
def script():
    return load_script("study_learned_distance")


def made_result(script, accuracy):
    """Distances that grow with the lag, as steeply as ``accuracy`` says."""
    measures = list(script.MEASURES)
    mean = np.tile(np.arange(1.0, 25) ** accuracy, (len(measures), 1))
    names = ("spearman", "upper_rise", "spearman_far", "upper_rise_far")
    return xr.Dataset(
        {
            "mean": (("measure", "lag"), mean),
            "std": (("measure", "lag"), 0.1 * mean),
            **{name: ("measure", np.linspace(0.9, 0.1, len(measures))) for name in names},
            "accuracy": accuracy,
            "top_3_accuracy": 0.8,
            "cross_entropy": 1.4,
            "expected_calibration_error": 0.05,
            "mean_lag_error": 1.0,
            "epoch": 3,
        },
        {"measure": measures, "lag": np.arange(1, 25)},
    )


def cells_of(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_the_parts_of_the_simulation_lie_apart(script):
    setup = script.Setup(days=40, validation_days=5, test_days=10)
    assert setup.times("training") == "2000-01-01,2000-01-16"
    assert setup.times("validation") == "2000-01-21,2000-01-26"
    assert setup.times("test") == "2000-01-31,2000-02-10"


def test_the_tables_give_the_mean_and_half_the_range_over_the_seeds(script, tmp_path):
    results = [made_result(script, accuracy) for accuracy in (0.4, 0.5)]
    script.write_tables(script.Setup(), results, tmp_path)
    lines = (tmp_path / "scores.md").read_text().splitlines()
    assert cells_of(lines[2])[1:3] == ["45.0 ± 5.0", "80.0"]
    assert cells_of(lines[2])[5] == "3.00"
    assert cells_of(lines[6]) == ["learned, stage 4", "0.900", "90.0", "0.900", "90.0"]
    hours = cells_of(next(line for line in lines if "at 24 h = 1" in line))
    of_stage = cells_of(lines[-len(script.MEASURES)])
    assert of_stage[hours.index("24 h")] == "1.00"
    expected = [3**0.4, 3**0.5]
    assert of_stage[hours.index("72 h")] == script.with_spread(expected, digits=2)
    table = pd.read_csv(tmp_path / "scores.csv")
    assert set(table["seed"]) == {0, 1}
    chosen = table.query("measure == 'l2' and quantity == 'mean_72h' and seed == 1")
    assert chosen["value"].item() == pytest.approx(24**0.5, rel=1e-5)
    figure = script.draw_distances(script.Setup(), results)
    figure.savefig(tmp_path / "distances.png")
    assert imread(tmp_path / "distances.png").std() > 0


@pytest.mark.slow
def test_a_small_study_as_a_whole(script, tmp_path, capsys):
    setup = script.Setup(
        resolution=32, days=27, validation_days=3, test_days=5, patch=16, classes=4,
        pairs_per_field=4, held_out_pairs=4, epochs=1, cool_down_epochs=0, seeds=1,
    )  # fmt: skip
    script.study(setup, tmp_path / "study", tmp_path / "docs", probe_days=150)
    table = pd.read_csv(tmp_path / "docs" / "scores.csv")
    assert set(table["measure"]) == {"lag", *script.MEASURES}
    assert table["value"].notna().all()
    assert imread(tmp_path / "docs" / "distances.png").std() > 0
    probe = pd.read_csv(tmp_path / "docs" / "probe.csv")
    assert set(probe["representation"]) == set(script.PROBED)
    assert (probe.query("representation == 'mean'")["r2"] <= 0).all()
    assert (tmp_path / "docs" / "probe.md").read_text().count("northern jet") == 2
    capsys.readouterr()
    script.study(setup, tmp_path / "study", tmp_path / "docs", probe_days=150)
    assert "trained for" not in capsys.readouterr().err
    with pytest.raises(InputError, match="days was 27, now 230"):
        script.study(script.Setup(), tmp_path / "study", tmp_path / "docs")
