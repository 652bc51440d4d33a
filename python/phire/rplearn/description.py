"""Description of a metric's directory, read without loading a network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phire.errors import InputError
from phire.fields.time import duration_text
from phire.files import size_stated

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
        raise InputError(f"{path} has no {ENCODER_FILE}: the metric is incomplete, make it anew.")
    try:
        return json.loads((path / METRIC_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path / METRIC_FILE} is not JSON ({error}): make the metric anew."
        ) from None


def describe_metric(path: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the lines of ``phire info`` about a metric; None where ``path`` is not a metric."""
    path = Path(path)
    if not (path / METRIC_FILE).is_file():
        return None
    facts = read_metric_file(path)
    units = facts.get("units") or []
    return {
        "kind": "metric",
        "channels": ", ".join(
            f"{name} [{unit}]" if unit else name
            for name, unit in zip(facts["channels"], [*units, *[""] * len(facts["channels"])])
        ),
        "layer": facts["layer"],
        "layers": ", ".join(facts["scales"]),
        "scale": facts["scale"],
        "normalization": facts["normalization"]["kind"],
        "patch": facts.get("patch") and size_stated(facts["patch"]),
        "step": _step_text(facts.get("step")),
        "classes": facts.get("classes"),
        **_scores(facts.get("scores") or {}),
    }


def _step_text(step: int | None) -> str | None:
    """A duration; of records without dates, whose steps are counted, their number."""
    if step is None or step < 60:
        return None if step is None else f"{step} (no dates)"
    return duration_text(step)


def _scores(scores: Mapping[str, Any]) -> dict[str, str]:
    """The scores a metric was chosen by, and those on test records, a line each."""
    found = {"scores": ", ".join(_score(*one) for one in scores.items() if one[0] != "test")}
    if scores.get("test"):
        found["test scores"] = ", ".join(_score(*one) for one in scores["test"].items())
    return {name: text for name, text in found.items() if text}


def _score(name: str, value: Any) -> str:
    readable = name.replace("top_3", "top-3").replace("cross_entropy", "cross-entropy")
    readable = readable.replace("spearman", "rank correlation with lag").replace("_", " ")
    return f"{readable} {value:.4g}" if isinstance(value, float) else f"{readable} {value}"
