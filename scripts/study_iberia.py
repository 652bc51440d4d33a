#!/usr/bin/env python
"""Study of temperature and rain over Iberia, compared with ridge regression.

Makes the further inputs of ``pipelines/iberia.yaml``: the date in years and the next day's fields
as predictors, and predictions by ridge regression. Runs the pipeline (records, training with
several seeds, prediction, evaluation), evaluates the mean over the seeds, and prints the table of
docs/results/iberia.md. With ``--ensembles`` it runs ``pipelines/iberia-ensembles.yaml`` instead,
compared with ridge regression with Gaussian residuals. The same command resumes an interrupted
study.
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
"""Working directory, which ``pipelines/iberia.yaml`` names, too."""
PIPELINES = Path(__file__).parents[1] / "pipelines"
TARGETS = {"tas": "K", "pr": "mm/day"}
EVALUATIONS = {"results-tas": "tas", "results-tas-without-year": "tas", "results-pr": "pr"}
RIDGE_MEMBERS = 19
"""Number of ensemble members, as in ``pipelines/iberia-ensembles.yaml``."""


def run(*command: object) -> None:
    """Prints a command and runs it."""
    words = [str(word) for word in command]
    click.echo("\n$ " + " ".join(words))
    subprocess.run(words, check=True)


def prepare(data: Path, ensembles: bool) -> Path:
    """Makes the further inputs and the ridge regressions; returns the path of the fine file."""
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
    members = ["--members", RIDGE_MEMBERS]
    regressions = [
        ("ridge-tas", "tas", []),
        ("ridge-tas-year", "tas", ["--coarse", year]),
        ("ridge-pr", "pr", ["--minimum", "pr=0"]),
        ("ridge-pr-next", "pr", ["--minimum", "pr=0", *rain]),
    ]
    if ensembles:
        regressions = [
            ("ridge-members-tas", "tas", ["--coarse", year, *members]),
            ("ridge-members-pr", "pr", ["--minimum", "pr=0", *rain, *members]),
        ]
    for name, target, further in regressions:
        if not (FOLDER / f"{name}.nc").exists():
            run(
                sys.executable, scripts / "ridge_regression.py", fine, FOLDER / f"{name}.nc",
                "--targets", target, "--coarse", levels, "--coarse", surface, "--split", SPLIT,
                *further,
            )  # fmt: skip
    return fine


def evaluate_means(fine: Path) -> None:
    """Evaluates ridge regression and the mean of the predictions over the seeds.

    Both are evaluated together, because candidates are compared at the points that all have.
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
    """Computes the RMSE over all values, and the mean over points of the correlation in time.

    Args:
        maps: Result file ``maps.nc`` of a candidate.
    """
    squared = (maps["rmse"].astype(float) ** 2).weighted(maps["count"]).mean()
    return float(np.sqrt(squared)), float(maps["correlation"].astype(float).mean())


def ensemble_scores(folder: Path) -> list[float]:
    """Reads the scores of an ensemble.

    These are fair CRPS, RMSE of the ensemble mean, spread–skill ratio, shares of the truth in the
    central intervals of 50 and 90 %, and error of the rank histogram.

    Args:
        folder: Results of a candidate with one channel.
    """
    with (
        xr.open_dataset(folder / "ensemble.nc") as ensemble,
        xr.open_dataset(folder / "rank_uniformity.nc") as ranks,
    ):
        names = ("crps_fair_mean", "error_mean", "spread_skill_ratio")
        transform = ranks["pit_histogram"].squeeze("channel") / ranks.sizes["probability"]
        from_median = abs(transform["probability"] - 0.5)
        found = [ensemble[name].squeeze() for name in names]
        found += [transform[from_median < half].sum() for half in (0.25, 0.45)]
        return [float(value) for value in (*found, ranks["rank_error"].squeeze())]


def table(folders: Sequence[Path]) -> list[str]:
    """Returns a Markdown table of all candidates in several results, as lines."""
    lines = ["| | RMSE | correlation in time |", "|---|---|---|"]
    for folder in folders:
        for path in sorted(folder.glob("*/maps.nc")):
            if path.parent.name == "truth":
                continue
            with xr.open_dataset(path) as maps:
                error, correlation = measure(maps)
            lines.append(f"| {folder.name}: {path.parent.name} | {error:.3f} | {correlation:.3f} |")
    return lines


def ensemble_table(folders: Sequence[Path]) -> list[str]:
    """Returns a Markdown table, as lines: the scores of each ensemble, over its seeds."""
    from seed_spread import by_candidate, mean_and_half_range

    columns = ("seeds", "fair CRPS", "RMSE of the mean", "spread–skill", "in 50 %", "in 90 %",
               "rank error")  # fmt: skip
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for folder in folders:
        found = sorted(folder.glob("*/ensemble.nc"))
        rows = by_candidate((path.parent.name, ensemble_scores(path.parent)) for path in found)
        for name, numbers in rows.items():
            values = " | ".join(mean_and_half_range(column) for column in numbers.T)
            lines.append(f"| {folder.name}: {name} | {len(numbers)} | {values} |")
    return lines


@click.command()
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), envvar="PHIRE_REALDATA", required=True,
    help="Folder with the three files iberia_*.nc.",
)  # fmt: skip
@click.option("--ensembles", is_flag=True, help="Run pipelines/iberia-ensembles.yaml instead.")
@click.option("--set", "overrides", multiple=True, help="Override of the pipeline, KEY=VALUE.")
def main(data: Path, ensembles: bool, overrides: tuple[str, ...]) -> None:
    """Run the study in the folder study-iberia."""
    fine = prepare(data, ensembles)
    changes = [word for one in (f"variables.data={data}", *overrides) for word in ("--set", one)]
    if ensembles:
        run("phire", "run", PIPELINES / "iberia-ensembles.yaml", *changes)
        lines = ensemble_table([FOLDER / f"ensemble-results-{name}" for name in TARGETS])
        output = FOLDER / "ensemble-table.md"
    else:
        run("phire", "run", PIPELINES / "iberia.yaml", *changes)
        evaluate_means(fine)
        lines = table(
            [FOLDER / f"{name}{suffix}" for name in EVALUATIONS for suffix in ("", "-mean")]
        )
        output = FOLDER / "table.md"
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
