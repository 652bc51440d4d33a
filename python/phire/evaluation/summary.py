"""The table of scores: a row a candidate and region, read from the results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from phire import files
from phire.evaluation.results import SUMMARY, read_result, result_path

SCALARS = {
    "scores": tuple(
        (f"{name}_mean", name)
        for name in (
            "rmse",
            "mae",
            "bias",
            "correlation",
            "anomaly_correlation",
            "psnr",
            "ssim",
            "total_variation_difference",
        )
    ),
    "spectrum": (
        ("kinetic_energy_log_error", "log_spectral_error:kinetic_energy"),
        ("variance_log_error", "log_spectral_error"),
        ("kinetic_energy_log_error_all", "log_spectral_error_all:kinetic_energy"),
        ("variance_log_error_all", "log_spectral_error_all"),
        ("kinetic_energy_resolution", "effective_resolution:kinetic_energy"),
        ("variance_resolution", "effective_resolution"),
        ("kinetic_energy_coherent_resolution", "coherent_resolution:kinetic_energy"),
        ("coherent_resolution", "coherent_resolution"),
    ),
    "semivariogram": (("semivariogram_log_error", "semivariogram_log_error"),),
    "distribution": (("wasserstein", "wasserstein"),),
    "cities": (("wasserstein_median", "city_wasserstein"),),
    "fractions_skill_score": (("fractions_skill_score_mean", "fractions_skill_score"),),
    "high_pass": (("rmse_mean", "high_pass_rmse"),),
    "ensemble": (
        ("crps_mean", "crps"),
        ("crps_fair_mean", "crps_fair"),
        ("spread_skill_ratio", "spread_skill_ratio"),
    ),
    "learned": (
        ("learned_distance_mean", "learned_distance"),
        ("frechet_distance", "frechet_distance"),
    ),
    "projections": (
        ("wasserstein_mean", "projected_wasserstein"),
        ("frechet", "projected_frechet"),
        ("rv_coefficient", "rv_coefficient"),
    ),
}
"""By metric, the variables that go into the table, and the names they have there."""


def summarise(
    output: str | os.PathLike, candidates: Mapping[str, object], regions: Mapping[str, object]
) -> pd.DataFrame:
    """Makes ``summary.csv`` of the results in a folder.

    Args:
        output: The folder of results.
        candidates: Their names, in order.
        regions: Their names; the whole domain comes first.

    Returns:
        The table: ``candidate``, ``region`` and a column a number; see
        :mod:`phire.evaluation.results`.
    """
    rows = []
    for candidate in candidates:
        for region in ("", *regions):
            row: dict[str, object] = {"candidate": candidate, "region": region}
            for metric, names in SCALARS.items():
                path = result_path(output, candidate, metric, region)
                if path.is_file():
                    row |= dict(_numbers(read_result(path), names))
            if len(row) > 2:
                rows.append(row)
    table = pd.DataFrame(rows, columns=["candidate", "region"] if not rows else None)
    if rows:
        table = table.dropna(axis="columns", how="all")
    files.write_text(Path(output) / SUMMARY, table.to_csv(index=False, float_format="%.8g"))
    return table


def _numbers(dataset: xr.Dataset, names: tuple) -> Iterator[tuple[str, float]]:
    for variable, name in names:
        if variable not in dataset:
            continue
        values = dataset[variable]
        for place in np.ndindex(*values.shape):
            labels = [str(values[d].values[i]) for d, i in zip(values.dims, place)]
            yield ":".join([name, *labels]), float(values.values[place])
