"""The pipeline of the eight models beside one another, on few days of the real files.

The study with three seeds is ``scripts/study_seed_slides.py`` (docs/results/seed-slides.md).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from loading import load_script
from phire.pipeline import plan_pipeline, run_pipeline

load_script("ridge_regression")  # which the study imports, as
load_script("seed_spread")
study = load_script("study_seed_slides")
REALDATA = os.environ.get("PHIRE_REALDATA")
on_real_files = pytest.mark.skipif(
    not REALDATA or not Path(REALDATA).is_dir(),
    reason="PHIRE_REALDATA does not name the folder of real files",
)


def fine_fields():
    """Two days of 7 × 6 points; the south-east block is sea, one point beside it is missing."""
    latitude, longitude = 44.0 - 0.5 * np.arange(7), 0.5 * np.arange(6)
    values = np.random.default_rng(0).normal(280, 5, (2, 7, 6))
    values[:, 5:, 5:] = np.nan
    values[:, 0, 0] = np.nan
    time = np.array(["1998-01-01", "1998-12-01"], "datetime64[ns]")
    axes = {"time": time, "lat": latitude, "lon": longitude}
    field = xr.DataArray(values, axes, tuple(axes))
    return xr.Dataset({"tas": field, "pr": abs(field - 280)})


def test_block_means_are_of_valid_points_and_have_a_margin():
    fine = fine_fields()
    found = study.block_means(fine.sortby("lat"))
    assert found["tas"].shape == (2, 4, 4)
    assert found.lat.values == pytest.approx([45.5, 43.0, 40.5, 38.0])
    assert found.lon.values == pytest.approx([-1.5, 1.0, 3.5, 6.0])
    values = fine["tas"].values
    inner = found["tas"].values[:, 1:-1, 1:-1]
    assert inner[:, 0, 0] == pytest.approx(np.nanmean(values[:, :5, :5], axis=(1, 2)))
    assert inner[:, 0, 1] == pytest.approx(values[:, :5, 5].mean(axis=1))
    assert inner[:, 1, 0] == pytest.approx(values[:, 5:, :5].mean(axis=(1, 2)))
    # The sea's block has a neighbour's value; the margin repeats the outermost blocks.
    assert inner[0, 1, 1] in (inner[0, 0, 1], inner[0, 1, 0])
    assert (found["tas"].values[:, 0, 1:-1] == inner[:, 0]).all()


def test_the_reanalysis_has_no_bias_in_the_training_days():
    blocks = study.block_means(fine_fields())
    surface = blocks.assign(tas=blocks["tas"] + 3, pr=2 * blocks["pr"])
    found = study.reanalysis_for_perfect_prognosis(surface, blocks)
    for name in ("tas", "pr"):
        assert found[name].values == pytest.approx(blocks[name].values, rel=1e-5)


def test_ridge_regression_of_blocks_finds_a_linear_stencil():
    """Fine points that are linear in the means of the blocks around are predicted."""
    generator = np.random.default_rng(1)
    coarse = generator.gamma(1, 1, (6, 12, 10))
    mixed = 0.5 * coarse + 0.5 * np.roll(coarse, 1, axis=1)
    pattern = np.array([[0.5, 1.5], [1.2, 0.8]])  # of mean 1: block means are ``mixed``
    fine = np.kron(mixed, pattern[None])
    time = np.datetime64("2016-09-20", "ns") + np.arange(6) * np.timedelta64(12, "h")
    axes = {"time": time, "lat": -np.arange(24.0), "lon": np.arange(20.0)}
    rain = xr.DataArray(fine, axes, tuple(axes))
    found = study.radar_ridge(rain, "2016-09-22", scale=2)
    assert found.shape == (2, 24, 20) and (found.time == rain.time[4:]).all()
    assert found.values == pytest.approx(fine[4:], abs=0.02)


def test_neighbourhoods_are_centred():
    coarse = np.arange(12.0).reshape(1, 3, 4)
    found = study.neighbourhoods(coarse, 3)
    assert found.shape == (12, 9)
    assert found[5].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert found[0].tolist() == [0, 0, 1, 0, 0, 1, 4, 4, 5]


@on_real_files
def test_every_model_has_its_results(tmp_path):
    """A to I of both data sets and J enter the evaluations of each seed."""
    planned = plan_pipeline(study.PIPELINE, [f"directory={tmp_path}"])
    for results, further in (("iberia", "HIJ"), ("radar", "")):
        needs = set(planned[f"results-{results}_seed-1"].stage.needs)
        models = "ABCDEFGHIJ" if results == "iberia" else "ABCDEFGI"
        assert needs - {"radar-box"} == {
            f"{results}-{m}-predicted_seed-1" if m in further else f"{results}-{m}_seed-1"
            for m in models
        }


@on_real_files
@pytest.mark.slow
def test_windows_and_perfect_prognosis_run_on_few_days(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "FOLDER", tmp_path / "study-seed-slides")
    study.FOLDER.mkdir()
    study.prepare_iberia(Path(REALDATA), ridge=False)
    stages = yaml.safe_load(study.PIPELINE.read_text(encoding="utf-8"))
    stages["stages"] = {
        name: stage for name, stage in stages["stages"].items()
        if name in ("iberia-records", "iberia-records-window", "iberia-records-perfect",
                    "iberia-G", "iberia-H", "iberia-H-predicted", "results-iberia")
    }  # fmt: skip
    stages["stages"]["results-iberia"]["candidate"] = [
        "G=${iberia-G}", "H=${iberia-H-predicted}"
    ]  # fmt: skip
    Path("few-days.yaml").write_text(yaml.safe_dump(stages), encoding="utf-8")
    run_pipeline(
        "few-days.yaml",
        ["sweep.seed=[0]", "variables.iberia_epochs=1", "variables.winters='1998-01-01,1998-02-15'",
         "variables.held_out='1998-02-01,1998-02-11'"],
    )  # fmt: skip
    numbers = study.gathered()
    assert {channel: list(models) for channel, models in numbers.items()} == {
        "tas": ["G", "H"], "pr": ["G", "H"]
    }  # fmt: skip
    with xr.open_dataset(study.FOLDER / "results-iberia_seed-0/G/maps.nc") as maps:
        land = xr.load_dataset(f"{REALDATA}/iberia_fine_eobs050_djf1983-2002.nc")["tas"]
        assert maps["count"].sel(channel="tas").sum() == 10 * land.notnull().any("time").sum()
    assert any("± " in line or "| G | 1 |" in line for line in study.table(numbers))
    study.draw(numbers, tmp_path / "scores.png")
    assert (tmp_path / "scores.png").stat().st_size > 1000
