"""Table of several evaluated runs, such as ablations of lags, tasks, networks and seeds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from phire import files
from phire.errors import InputError, naming_arguments
from phire.networks.registry import encoder
from phire.part_registry import specification_text


def mean_lag_error(confusion: np.ndarray) -> float:
    """Computes the mean absolute error of predicted lags from a confusion matrix, in steps."""
    lags = np.arange(len(confusion))
    return float((np.abs(lags[:, None] - lags) * confusion).sum() / confusion.sum())


def comparison_row(result: xr.Dataset) -> dict[str, float]:
    """Returns the scores of one epoch in a form that is comparable across numbers of lags.

    Returns:
        ``classes``, ``cross_entropy``, ``skill`` (1 − cross-entropy / ln classes: 0 for a guess, 1
        for certainty), ``accuracy``, ``accuracy_over_chance``, ``top_3_accuracy``,
        ``expected_calibration_error``, ``mean_lag_error`` (steps), and per layer ``spearman_…`` and
        ``upper_rise_…``. For tasks that predict no lag, scores of the lag are left out.
    """
    row: dict[str, float] = {"classes": result.sizes["lag"]}
    if "accuracy" in result:
        entropy, accuracy = float(result["cross_entropy"]), float(result["accuracy"])
        row |= {
            "cross_entropy": entropy,
            "skill": 1 - entropy / np.log(row["classes"]),
            "accuracy": accuracy,
            "accuracy_over_chance": accuracy * row["classes"],
            "top_3_accuracy": float(result["top_3_accuracy"]),
            "expected_calibration_error": float(result["expected_calibration_error"]),
            "mean_lag_error": mean_lag_error(
                result["confusion"].transpose("lag", "predicted_lag").to_numpy()
            ),
        }
    for layer in result["layer"].values:
        row[f"spearman_{layer}"] = float(result["spearman"].sel(layer=layer))
        row[f"upper_rise_{layer}"] = float(result["upper_rise"].sel(layer=layer))
    return row


@naming_arguments()
def compare_runs(
    runs: Sequence[str | os.PathLike] | Mapping[str, str | os.PathLike],
    output: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Tabulates the scores of several evaluated runs at their best epochs.

    Args:
        runs: Directories of runs that rplearn-eval has evaluated, or a mapping of names to them.
        output: CSV file to write; None writes no file.

    Returns:
        One row per run: name, task, network with the options that differ from its defaults, epoch,
        and the scores of :func:`comparison_row`.

    Raises:
        InputError: A directory is not a run, or the run has not been evaluated.
    """
    from phire.rplearn.trained_representation import Representation

    named = runs if isinstance(runs, Mapping) else {Path(run).name: run for run in runs}
    if len(named) < len(runs):
        raise InputError("Two runs have the same name: name them as NAME=RUN.")
    rows = []
    for name, path in named.items():
        representation = Representation(path)
        results = representation.evaluated()
        if not results:
            raise InputError(
                f"{path} has not been evaluated: run `rplearn-eval {path} --records RECORDS` first."
            )
        best = representation.chosen_epoch("best")
        rows.append(
            {
                "run": name,
                "task": representation.task,
                "network": _changed_options(representation.run.config["network"]),
                "epoch": best,
                **comparison_row(results[best]),
            }
        )
    table = pd.DataFrame(rows)
    if output is not None:
        files.write_text(output, table.to_csv(index=False))
    return table


def _changed_options(network: Mapping[str, Any]) -> str:
    """Returns ``NAME,key=value`` of an encoder, without the options that have their defaults."""
    defaults = encoder.part(network["name"]).options
    plain = {key: list(x) if isinstance(x, tuple) else x for key, x in defaults.items()}
    changed = {key: x for key, x in network.items() if key == "name" or x != plain.get(key)}
    return specification_text(changed)
