"""Description of a metric's directory, read without loading a network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phire.errors import InputError
from phire.fields.time import duration_stated
from phire.value_text import Stated, channels_stated, list_stated, size_stated

METRIC_FILE = "metric.json"
ENCODER_FILE = "encoder.keras"


def read_metric_file(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the contents of a metric's ``metric.json``.

    Args:
        path: The metric's directory.

    Raises:
        InputError: The directory is missing, is a run or records instead, or is incomplete.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} is not there: name a metric that rplearn-eval wrote.")
    if not path.is_dir():
        raise InputError(f"{path} is a file: name the metric's directory.")
    if not (path / METRIC_FILE).is_file():
        if (path / "training.csv").exists() or (path / "config.yaml").exists():
            raise InputError(
                f"{path} is a run, not a metric: make a metric of it with `rplearn-eval {path} "
                "--records RECORDS --out METRIC`."
            )
        raise InputError(
            f"{path} is not a metric (it has no {METRIC_FILE}): name a directory that rplearn-eval "
            "wrote."
        )
    if not (path / ENCODER_FILE).is_file():
        raise InputError(f"{path} has no {ENCODER_FILE}: the metric is incomplete, make it again.")
    try:
        return json.loads((path / METRIC_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path / METRIC_FILE} is not JSON ({error}): make the metric again."
        ) from None


def describe_metric(path: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the lines of ``phire info`` about a metric; None where ``path`` is not a metric."""
    path = Path(path)
    if not (path / METRIC_FILE).is_file():
        return None
    facts = read_metric_file(path)
    return {
        "kind": "metric",
        "channels": channels_stated(facts["channels"], facts.get("units") or []),
        "layer": facts["layer"],
        "layers": list_stated(list(facts["scales"])),
        "scale": facts["scale"],
        "normalization": facts["normalization"]["kind"],
        "patch": facts.get("patch") and size_stated(facts["patch"]),
        "step": _step_text(facts.get("step")),
        "classes": facts.get("classes"),
        **_scores(facts.get("scores") or {}),
    }


def _step_text(step: int | None) -> Stated | None:
    """Returns a duration; of records without dates, whose steps are counted, their number."""
    if step is None or step < 60:
        return None if step is None else Stated(f"{step} (no dates)", step)
    return duration_stated(step)


def _scores(scores: Mapping[str, Any]) -> dict[str, Stated]:
    """Returns the scores a metric was chosen by, and those on test records, a line each."""
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
