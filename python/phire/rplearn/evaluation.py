"""Evaluation of trained encoders against the time lag, and export of the best as a metric."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from phire import files, progress, provenance
from phire.errors import InputError, naming_arguments
from phire.fields.result_files import read_result, result_already_made, write_result
from phire.rplearn.metric_description import metric_already_made, read_metric_file
from phire.rplearn.pair_scores import Pairs, evaluate_network, evaluate_pixels

SCORES = ("cross_entropy", "accuracy", "top_3_accuracy", "expected_calibration_error")


@naming_arguments()
def evaluate_representation(
    run: str | os.PathLike,
    *,
    records: str | os.PathLike,
    test: str | os.PathLike | None = None,
    output: str | os.PathLike | None = None,
    layer: str = "stage4",
    epoch: str | int = "best",
    batch_size: int = 128,
    batches: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Evaluates all epochs of a run on held-out pairs, and exports the best one as a metric.

    Writes ``pixels.nc``, ``epoch-NNNN.nc`` for each epoch, ``scores.csv`` and, for the chosen
    epoch, ``distances.csv`` (:func:`distance_table`) into ``RUN/evaluation``. Files that the same
    options made are reused. The lag statistics of the chosen epoch go to ``lag.nc`` in the metric.

    The scores of the chosen epoch on the pairs used for choosing it are biased upward. With
    ``test`` the chosen epoch is also scored on independent pairs: the files are named ``test-…``,
    and the metric's ``lag.nc`` and ``test`` scores are computed from the test pairs. The metric's
    scale is always fitted to ``records``.

    Args:
        run: Run of rplearn-train.
        records: Held-out pair records, by which the epoch is chosen.
        test: Pair records of another period, for unbiased scores of the chosen epoch.
        output: Directory of the metric; None only evaluates.
        layer: Encoder layer that the metric compares, ``stage1`` … ``stage4``.
        epoch: ``best`` (lowest cross-entropy; for tasks that predict no lag, highest rank
            correlation of the deepest layer's distance with the lag), or a number to evaluate
            only this epoch.
        batch_size: Number of pairs in a batch.
        batches: Number of batches to evaluate on, from the first one; None for all.
        overwrite: Evaluate again and replace the metric.

    Returns:
        The scores of the chosen epoch, with ``epoch`` and ``spearman`` (rank correlation of the
        layer's distance with the lag); with test records also their scores, under ``test``.

    Raises:
        InputError: The run does not exist; the records differ from its training records in
            channels, units or step, or hold fewer lags; the epoch or the layer does not exist;
            or other options made the output.
    """
    from phire.rplearn.pair_model import encoder_of, stages
    from phire.rplearn.trained_representation import Representation

    run = Path(run)
    trained = Representation(run)
    pairs, options = _open_pairs(records, trained, batch_size, batches)
    epochs = trained.epochs if str(epoch) == "best" else [trained.chosen_epoch(epoch)]
    if not epochs:
        raise InputError(f"{run} has no finished epoch yet: train it first.")
    layers = stages(encoder_of(trained.network(epochs[0])))
    if layer not in layers:
        raise InputError(f"--layer {layer}: the encoder has the layers {', '.join(layers)}.")
    made_by = {"run": str(run.resolve()), "epoch": str(epoch), "layer": layer, **options}
    if test is not None:
        test_pairs, test_options = _open_pairs(test, trained, batch_size, batches)
        if test_options == options:
            raise InputError(
                f"--test {test} are the records by which the epoch is chosen: name records of "
                "another period."
            )
        made_by["test"] = test_options
    # Checked first, so that an output of other options is refused before hours of work.
    if output is not None:
        if metric_already_made(output, "rplearn_eval", made_by, overwrite):
            return read_metric_file(output)["scores"]
        files.require_place(output)
    folder = run / "evaluation"
    results, pixels = _evaluate_epochs(trained, epochs, pairs, folder, options, overwrite)
    chosen = _best_epoch(results)
    judged, judged_pixels = results[chosen], pixels
    scores = {"epoch": chosen, **_scores(judged, layer)}
    progress.say(f"Epoch {chosen} of {run}: {_scores_in_words(judged)}")
    if test is not None:
        judged, judged_pixels = _evaluate_on_test(
            trained, chosen, test_pairs, folder, test_options, overwrite
        )
        scores["test"] = _scores(judged, layer)
        progress.say(f"On {test}: {_scores_in_words(judged)}")
    if output is not None:
        made_of = {"rplearn_eval": made_by, "task": trained.task, "epoch": chosen}
        _write_metric(
            trained, results[chosen], judged, judged_pixels, scores, made_of, Path(output), layer
        )
    return scores


def _open_pairs(
    path: str | os.PathLike, trained: Any, batch_size: int, batches: int | None
) -> tuple[Pairs, dict[str, Any]]:
    """Opens held-out pairs for a trained run; returns them with the options of their results.

    Raises:
        InputError: The pairs do not match the run.
    """
    from phire.records import open_records

    path = Path(path)
    opened = open_records(path)
    check_pairs(opened.manifest.schema, trained, path)
    options = {
        "records": str(path.resolve()), "fingerprint": provenance.fingerprint(path),
        "batch_size": batch_size, "batches": batches,
    }  # fmt: skip
    return Pairs(opened, trained.normalization, trained.classes, batch_size, batches), options


def _evaluate_epochs(
    trained: Any,
    epochs: Sequence[int],
    pairs: Pairs,
    folder: Path,
    options: Mapping[str, Any],
    overwrite: bool,
) -> tuple[dict[int, xr.Dataset], xr.Dataset]:
    """Evaluates pixel measures and epochs; writes ``scores.csv`` and ``distances.csv``.

    Returns:
        The results by epoch, and the results of the pixel measures.
    """
    pixels = _read_or_compute(
        folder / "pixels.nc", options, overwrite, lambda: evaluate_pixels(pairs)
    )
    results = {}
    with progress.progress_bar("evaluating epochs", len(epochs), "epochs") as advance:
        for number in epochs:
            results[number] = _read_or_compute(
                folder / f"epoch-{number:04d}.nc",
                {**options, "epoch": number},
                overwrite,
                lambda number=number: evaluate_network(trained.network(number), pairs, pixels),
            )
            advance(text=_scores_in_words(results[number]))
    files.write_text(folder / "scores.csv", score_table(results).to_csv(index=False))
    distances = distance_table(results[_best_epoch(results)], pixels)
    files.write_text(folder / "distances.csv", distances.to_csv(index=False))
    return results, pixels


def _evaluate_on_test(
    trained: Any,
    epoch: int,
    pairs: Pairs,
    folder: Path,
    options: Mapping[str, Any],
    overwrite: bool,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Evaluates the chosen epoch and the pixel measures on independent test pairs."""
    pixels = _read_or_compute(
        folder / "test-pixels.nc", options, overwrite, lambda: evaluate_pixels(pairs)
    )
    judged = _read_or_compute(
        folder / f"test-epoch-{epoch:04d}.nc",
        {**options, "epoch": epoch},
        overwrite,
        lambda: evaluate_network(trained.network(epoch), pairs, pixels),
    )
    distances = distance_table(judged, pixels)
    files.write_text(folder / "test-distances.csv", distances.to_csv(index=False))
    return judged, pixels


def check_pairs(schema: Any, trained: Any, records: Path) -> None:
    """Checks that pair records match the training records of a run.

    Raises:
        InputError: The kind, channels, units, step or patch differ, or lags are missing.
    """
    if schema.kind != "pairs":
        raise InputError(f"{records} holds {schema.kind} records: name pairs of rplearn-data.")
    trained.check_fields(schema.channels, schema.units, str(records))
    if schema.step != trained.step and None not in (schema.step, trained.step):
        raise InputError(
            f"{records} has a time step of {schema.step} s, the run was trained with "
            f"{trained.step} s: name records with the same step."
        )
    if tuple(schema.patch) != trained.patch:
        raise InputError(
            f"{records} holds patches of {schema.patch}, the run was trained on "
            f"{trained.patch}: name records with the same patch."
        )
    if schema.classes < trained.classes:
        raise InputError(
            f"{records} holds lags up to {schema.classes}, the run predicts {trained.classes}: "
            f"make records with --classes {trained.classes}."
        )


def score_table(results: Mapping[int, xr.Dataset]) -> pd.DataFrame:
    """Tabulates scores by epoch, and the rank correlation of each layer's distance with the lag."""
    rows = []
    for epoch, result in sorted(results.items()):
        row: dict[str, Any] = {"epoch": epoch}
        row |= {name: float(result[name]) for name in SCORES if name in result}
        for layer in result["layer"].values:
            row[f"spearman_{layer}"] = float(result["spearman"].sel(layer=layer))
        rows.append(row)
    return pd.DataFrame(rows)


def distance_table(result: xr.Dataset, pixels: xr.Dataset) -> pd.DataFrame:
    """Tabulates the distances of all layers and pixel measures.

    Columns: ``distance``, ``rank_correlation`` with the lag over the pairs, and ``upper_rise`` (see
    :class:`~phire.rplearn.lag_statistics.LagStatistics`).
    """
    rows = [
        {
            "distance": str(name),
            "rank_correlation": float(statistics["spearman"].sel({dimension: name})),
            "upper_rise": float(statistics["upper_rise"].sel({dimension: name})),
        }
        for statistics, dimension in ((result, "layer"), (pixels, "measure"))
        for name in statistics[dimension].values
    ]
    return pd.DataFrame(rows)


def _scores(result: xr.Dataset, layer: str) -> dict[str, float]:
    return {
        **{name: float(result[name]) for name in SCORES if name in result},
        "spearman": float(result["spearman"].sel(layer=layer)),
    }


def _read_or_compute(
    path: Path, options: Mapping[str, Any], overwrite: bool, make: Callable[[], xr.Dataset]
) -> xr.Dataset:
    """Reads a result file if the same options made it; otherwise computes and writes it."""
    if not result_already_made(path, options, overwrite, announce=False):
        write_result(make(), path, options)
    return read_result(path)


def _best_epoch(results: Mapping[int, xr.Dataset]) -> int:
    """Returns the best epoch.

    It has the lowest cross-entropy or, for tasks that predict no lag, the highest rank correlation
    of the deepest layer's distance with the lag.
    """
    if all("cross_entropy" in result for result in results.values()):
        return min(results, key=lambda epoch: float(results[epoch]["cross_entropy"]))
    return max(results, key=lambda epoch: float(results[epoch]["spearman"][-1]))


def _scores_in_words(result: xr.Dataset) -> str:
    if "accuracy" not in result:
        return f"rank correlation with lag {float(result['spearman'][-1]):.3f}"
    return (
        f"cross-entropy {float(result['cross_entropy']):.3f}, accuracy "
        f"{float(result['accuracy']):.1%}, top 3 {float(result['top_3_accuracy']):.1%}"
    )


def _write_metric(
    trained: Any,
    result: xr.Dataset,
    judged: xr.Dataset,
    pixels: xr.Dataset,
    scores: Mapping[str, Any],
    made_of: Mapping[str, Any],
    output: Path,
    layer: str,
) -> None:
    from phire.rplearn.metric import LearnedMetric
    from phire.rplearn.pair_model import encoder_of

    layers = [str(name) for name in result["layer"].values]
    scales = {
        name: dict(zip(layers, result[name].values.tolist()))
        for name in ("scale", "scale_without_log1p")
    }
    metric = LearnedMetric(
        encoder_of(trained.network(made_of["epoch"])),
        layer=layer,
        scales=scales["scale"],
        scales_without_log1p=scales["scale_without_log1p"],
        normalization=trained.normalization,
        channels=trained.channels,
        units=trained.units,
        patch=trained.patch,
        step=trained.step,
        classes=trained.classes,
        scores=scores,
        made_of=made_of,
    )
    chosen = judged.sel(layer=layer).drop_vars("layer")
    scale = scales["scale"][layer]
    table = pixels[["mean", "std", "scale", "scale_without_log1p", "spearman", "count"]].assign(
        learned_mean=scale * chosen["feature_distance_mean"],
        learned_std=scale * chosen["feature_distance_std"],
        learned_spearman=chosen["spearman"],
    )
    with files.replacing(output) as partial:
        metric.write(partial)
        write_result(table, partial / "lag.nc", {})
