"""The study of content losses: its numbers from known results, and a small study as a whole."""

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
    return load_script("study_content_loss")


def write_results(folder, ratio):
    """Results of a candidate ``it`` whose every ratio to the truth is ``ratio``."""
    (folder / "it").mkdir(parents=True)
    channel = {"channel": ["divergence", "vorticity"]}
    degrees = np.arange(22)
    results = {
        "scores": xr.Dataset({"rmse_mean": ("channel", [1.0, 2e-6])}, channel),
        "spectrum": xr.Dataset(
            {
                "kinetic_energy_ratio": ("degree", np.where(degrees < 5, 1.0, ratio)),
                "kinetic_energy_log_error": abs(np.log(ratio)),
                "kinetic_energy_resolution": 800.0,
            },
            {"degree": degrees},
            {"cutoff_degree": 5, "truncation": 20},
        ),
        "semivariogram": xr.Dataset(
            {
                "semivariogram_ratio": (
                    ("channel", "lag"),
                    [[np.nan, ratio, ratio, ratio, 99.0]] * 2,
                )
            },
            {**channel, "lag": [25.0, 50, 100, 200, 300]},
        ),
        "distribution": xr.Dataset({"wasserstein": ("channel", [1.0, 3e-6])}, channel),
        "learned": xr.Dataset({"frechet_distance": 4.0}),
    }
    for name, dataset in results.items():
        dataset.to_netcdf(folder / "it" / f"{name}.nc")
    return folder


def test_the_numbers_of_known_results(script, tmp_path):
    numbers = script.measure(write_results(tmp_path, 0.5), "it")
    assert numbers["log_spectral_error"] == pytest.approx(np.log(2))
    assert numbers["semivariogram_error"] == pytest.approx(np.log(2))
    assert numbers["least_ratio"] == numbers["greatest_ratio"] == 0.5
    assert numbers["rmse"] == 2e-6
    assert set(numbers) == set(script.COLUMNS)


def test_the_table_gives_the_mean_and_half_the_range_over_the_seeds(script, tmp_path):
    results = [write_results(tmp_path / str(r), r) for r in (0.5, 2.0)]
    script.write_tables(results, ["it"], tmp_path)
    table = pd.read_csv(tmp_path / "scores.csv")
    assert list(table["seed"]) == [0, 1]
    heading, _, row = (tmp_path / "scores.md").read_text().splitlines()
    cells = dict(zip(heading.split("|")[2:-1], row.split("|")[2:-1]))
    cells = {name.strip(): cell.strip() for name, cell in cells.items()}
    assert cells["RMSE, vorticity (10⁻⁶ s⁻¹)"] == "2"
    assert cells["greatest energy ratio"] == "1.25 ± 0.75"
    figure = script.draw_ratios(results, ["it"])
    figure.savefig(tmp_path / "ratios.png")
    assert imread(tmp_path / "ratios.png").std() > 0


def test_the_parts_of_the_simulation_lie_apart(script):
    setup = script.Setup(budget=1, days=20, held_out_days=2)
    assert setup.times("training") == "2000-01-01,2000-01-21"
    assert setup.times("validation") == "2000-01-26,2000-01-31"
    assert setup.times("held out") == "2000-02-05,2000-02-07"


def test_every_variant_has_a_folder_of_its_own(script):
    assert len({variant.slug for variant in script.VARIANTS}) == len(script.VARIANTS)


def test_variants_are_read_from_a_file(script, tmp_path):
    path = tmp_path / "variants.yaml"
    path.write_text("- {name: deep and flat, content: 0.9*METRIC+0.1*mse, layers: [stage1]}\n")
    (variant,) = script.read_setup(path, budget=1.0, days=None).variants
    assert variant.layers == ("stage1",)
    assert variant.slug == "deep-and-flat"
    path.write_text("- {name: a, contents: mse}\n")
    with pytest.raises(InputError, match="contents"):
        script.read_setup(path, budget=1.0)


@pytest.mark.slow
def test_a_small_study_as_a_whole(script, tmp_path, capsys):
    setup = script.Setup(
        budget=0.02, resolution=32, days=4, held_out_days=1, patch=16, pair_patch=16,
        pairs_per_field=4, seeds=1, batch_size=4, variants=script.VARIANTS[-1:],
    )  # fmt: skip
    script.study(setup, tmp_path / "study", tmp_path / "docs")
    table = pd.read_csv(tmp_path / "docs" / "scores.csv")
    assert list(table["candidate"]) == ["bicubic", "learned + 4 adversarial"]
    assert np.isfinite(table["rmse"]).all()
    assert imread(tmp_path / "docs" / "ratios.png").std() > 0
    capsys.readouterr()
    script.study(setup, tmp_path / "study", tmp_path / "docs")
    assert "trained for" not in capsys.readouterr().err
    with pytest.raises(InputError, match=r"budget was 0\.02, now 1"):
        script.study(script.Setup(budget=1), tmp_path / "study", tmp_path / "docs")
