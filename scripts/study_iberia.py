#!/usr/bin/env python
"""Temperature and rain over Iberia beside ridge regression; see docs/results/iberia.md.

Makes what ``pipelines/iberia.yaml`` takes beside the data: the date in years and the next day's
fields as predictors, and ridge regression of every fine point on all coarse values. Runs the
pipeline, in which phire's commands make records, train from several seeds, predict and evaluate;
evaluates the mean of the seeds; and writes the table. Given again, it goes on where it was
interrupted.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import xarray as xr

SPLIT = "1998-06-01"
FOLDER = Path("study-iberia")
"""The directory that ``pipelines/iberia.yaml`` names."""
PIPELINE = Path(__file__).parents[1] / "pipelines" / "iberia.yaml"
TARGETS = {"tas": "K", "pr": "mm/day"}
EVALUATIONS = {"results-tas": "tas", "results-tas-without-year": "tas", "results-pr": "pr"}


def run(*command: object) -> None:
    """Runs a command, which is shown."""
    words = [str(word) for word in command]
    click.echo("\n$ " + " ".join(words))
    subprocess.run(words, check=True)


def prepare(data: Path) -> tuple[Path, Path, Path]:
    """Makes year.nc and the ridge regressions; returns the fine and the two coarse files."""
    fine, levels, surface = (
        data / f"iberia_{name}_djf1983-2002.nc"
        for name in ("fine_eobs050", "coarse_ncep25", "coarse_ncep_t62")
    )
    FOLDER.mkdir(exist_ok=True)
    scripts = Path(__file__).parent
    year, *following = (FOLDER / f"{name}.nc" for name in ("year", "levels-next", "surface-next"))
    for script, coarse, output in (
        ("year_predictor", levels, year),
        ("shifted_predictors", levels, following[0]),
        ("shifted_predictors", surface, following[1]),
    ):
        if not output.exists():
            run(sys.executable, scripts / f"{script}.py", coarse, output)
    rain = [word for path in following for word in ("--coarse", path)]
    for name, target, further in (
        ("ridge-tas", "tas", []),
        ("ridge-tas-year", "tas", ["--coarse", year]),
        ("ridge-pr", "pr", ["--minimum", "pr=0"]),
        ("ridge-pr-next", "pr", ["--minimum", "pr=0", *rain]),
    ):
        if not (FOLDER / f"{name}.nc").exists():
            run(
                sys.executable, scripts / "ridge_regression.py", fine, FOLDER / f"{name}.nc",
                "--targets", target, "--coarse", levels, "--coarse", surface, "--split", SPLIT,
                *further,
            )  # fmt: skip
    return fine, levels, surface


def evaluate_means(fine: Path) -> None:
    """Evaluates the mean of the predictions over the seeds, beside ridge regression.

    Candidates are evaluated together, at the points that all of them have.
    """
    for results, target in EVALUATIONS.items():
        name = results.removeprefix("results-")
        mean = FOLDER / f"mean-{name}.nc"
        seeds = sorted(FOLDER.glob(f"predicted-{name}_seed-*.nc"))
        with xr.open_mfdataset(seeds, combine="nested", concat_dim="member") as dataset:
            dataset.mean("member", keep_attrs=True).to_netcdf(mean)
        run(
            "phire-eval", fine, "--variables", target, "--time", f"{SPLIT},", "--metrics",
            "scores,maps", "--candidate", f"ridge={FOLDER}/ridge-{target}.nc", "--candidate",
            f"mean of the seeds={mean}", "--no-report", "--out", FOLDER / f"{results}-mean",
            "--overwrite", "--quiet",
        )  # fmt: skip


def measure(maps: xr.Dataset) -> tuple[float, float]:
    """Returns the RMSE over all times and points, and the mean over the points of the correlation
    in time, as ``scripts/ridge_regression.py`` has them.

    Args:
        maps: What ``phire-eval --metrics maps`` writes of a candidate.
    """
    squared = (maps["rmse"].astype(float) ** 2).weighted(maps["count"]).mean()
    return float(np.sqrt(squared)), float(maps["correlation"].astype(float).mean())


def table(folders: Sequence[Path]) -> list[str]:
    """Returns the lines of a Markdown table of all candidates of some results."""
    lines = ["| | RMSE | correlation in time |", "|---|---|---|"]
    for folder in folders:
        for path in sorted(folder.glob("*/maps.nc")):
            if path.parent.name == "truth":
                continue
            with xr.open_dataset(path) as maps:
                error, correlation = measure(maps)
            lines.append(f"| {folder.name}: {path.parent.name} | {error:.3f} | {correlation:.3f} |")
    return lines


@click.command()
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), envvar="PHIRE_REALDATA", required=True,
    help="Folder of the three files iberia_*.nc.",
)  # fmt: skip
@click.option("--set", "overrides", multiple=True, help="Changes to the pipeline, KEY=VALUE.")
def main(data: Path, overrides: tuple[str, ...]) -> None:
    """Runs the study in the folder study-iberia."""
    fine, _, _ = prepare(data)
    changes = [word for one in overrides for word in ("--set", one)]
    run("phire", "run", PIPELINE, "--set", f"variables.data={data}", *changes)
    evaluate_means(fine)
    folders = [FOLDER / f"{name}{suffix}" for name in EVALUATIONS for suffix in ("", "-mean")]
    lines = table(folders)
    (FOLDER / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
