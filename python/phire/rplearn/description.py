"""What stands in a metric's directory, read without loading a network."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from phire.errors import InputError

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
    """What ``phire info`` shows of a metric; None where ``path`` is no metric."""
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
        "patch": facts.get("patch"),
        "step": facts.get("step"),
        "classes": facts.get("classes"),
        "scores": facts.get("scores") or {},
    }
