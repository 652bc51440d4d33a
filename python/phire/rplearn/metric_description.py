"""Description of a metric's directory, read without TensorFlow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phire import existing_outputs
from phire.errors import InputError
from phire.fields.time_axis import duration_stated
from phire.value_text import Stated, channels_stated, list_stated, size_stated

METRIC_FILE = "metric.json"
ENCODER_FILE = "encoder.keras"


def read_metric_file(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the ``metric.json`` of a metric.

    Args:
        path: Directory of the metric.

    Raises:
        InputError: The directory does not exist, is not a metric, or is incomplete.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: name a metric made by rplearn-eval.")
    if not path.is_dir():
        raise InputError(f"{path} is a file: name the directory of a metric.")
    if not (path / METRIC_FILE).is_file():
        if (path / "training.csv").exists() or (path / "config.yaml").exists():
            raise InputError(
                f"{path} is a run, not a metric: make a metric from it with `rplearn-eval {path} "
                "--records RECORDS --out METRIC`."
            )
        raise InputError(
            f"{path} is not a metric (it has no {METRIC_FILE}): name a directory made by "
            "rplearn-eval."
        )
    if not (path / ENCODER_FILE).is_file():
        raise InputError(f"{path} is incomplete (it has no {ENCODER_FILE}): make the metric again.")
    try:
        return json.loads((path / METRIC_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path / METRIC_FILE} is not JSON ({error}): make the metric again."
        ) from None


def describe_metric(path: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the description of a metric for ``phire info``; None if ``path`` is not one."""
    path = Path(path)
    if not (path / METRIC_FILE).is_file():
        return None
    description = read_metric_file(path)
    return {
        "kind": "metric",
        "channels": channels_stated(description["channels"], description.get("units") or []),
        "layer": description["layer"],
        "layers": list_stated(list(description["scales"])),
        "scale": description["scale"],
        "normalization": description["normalization"]["kind"],
        "patch": description.get("patch") and size_stated(description["patch"]),
        "step": _step_text(description.get("step")),
        "classes": description.get("classes"),
        **_scores(description.get("scores") or {}),
    }


def metric_already_made(
    output: str | os.PathLike, command: str, options: Mapping[str, Any], overwrite: bool
) -> bool:
    """Returns True if a metric exists and was made by the same command with the same options.

    Args:
        output: Directory of the metric.
        command: Key of the command in ``made_of`` of ``metric.json``.
        options, overwrite: See :func:`phire.existing_outputs.already_made`.

    Raises:
        InputError: The output was made by another command or with other options.
    """
    recorded = None
    if (Path(output) / METRIC_FILE).is_file():
        recorded = read_metric_file(output)["made_of"].get(command)
    return existing_outputs.already_made(output, recorded, options, overwrite)


def _step_text(step: int | None) -> Stated | None:
    """Returns the time step as a duration or, for records without dates, as a number."""
    if step is None or step < 60:
        return None if step is None else Stated(f"{step} (no dates)", step)
    return duration_stated(step)


def _scores(scores: Mapping[str, Any]) -> dict[str, Stated]:
    """Returns a line with the scores that chose the metric, and one with its test scores."""
    chosen_by = {name: value for name, value in scores.items() if name != "test"}
    return {
        name: Stated(", ".join(_score(*one) for one in found.items()), dict(found))
        for name, found in (("scores", chosen_by), ("test scores", scores.get("test")))
        if found
    }


def _score(name: str, value: Any) -> str:
    readable = name.replace("top_3", "top-3").replace("cross_entropy", "cross-entropy")
    readable = readable.replace("spearman", "rank correlation with lag").replace("_", " ")
    return f"{readable} {value:.4g}" if isinstance(value, float) else f"{readable} {value}"
