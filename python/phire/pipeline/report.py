"""One page that compares the results of all evaluations of a pipeline."""

from __future__ import annotations

import csv
import os
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from phire import files
from phire.pipeline import records
from phire.pipeline.stages import Stage

REPORT = "report.html"
SUMMARY = "summary.csv"
"""The table of scores in each folder of results, one row for each candidate and region."""


def write_report(directory: Path, stages: Mapping[str, Stage]) -> Path:
    """Writes ``report.html``: the scores of all ``phire-eval`` stages, and the stages themselves.

    Args:
        directory: Of the pipeline.
        stages: All stages by name.

    Returns:
        Path of the page.
    """
    data = resources.files("phire") / "data"
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((data / "pipeline_report.html").read_text(encoding="utf-8"))
    planned = records.plan(directory, stages)
    page = template.render(
        title=directory.name,
        # The style sheet is the package's own text, in an element that is not parsed as HTML.
        style=markupsafe.Markup((data / "report.css").read_text(encoding="utf-8")),
        tables=sorted(_tables(directory, stages).items()),
        stages=[_stage_row(directory, plan) for plan in planned.values()],
    )
    path = directory / REPORT
    files.write_text(path, page)
    return path


def _stage_row(directory: Path, planned: records.Planned) -> dict[str, Any]:
    stage = planned.stage
    record = records.read(directory, stage.name) or {}
    return {
        "name": stage.name,
        "state": planned.state,
        "seconds": record.get("seconds", "") if planned.state == records.DONE else "",
        "command": shlex.join(stage.command_line),
    }


def _tables(directory: Path, stages: Mapping[str, Stage]) -> dict[str, dict[str, Any]]:
    """The scores by region: names of all columns and a row for each evaluation and candidate."""
    tables: dict[str, dict[str, Any]] = {}
    for stage in stages.values():
        if stage.command != "phire-eval":
            continue
        link = stage.output / REPORT
        for row in _read(stage.output / SUMMARY):
            table = tables.setdefault(row.pop("region", ""), {"names": {}, "rows": []})
            candidate = row.pop("candidate", "")
            table["names"] |= dict.fromkeys(row)
            table["rows"].append(
                {
                    "evaluation": stage.name,
                    "link": os.path.relpath(link, directory) if link.is_file() else "",
                    "candidate": candidate,
                    "scores": row,
                }
            )
    for table in tables.values():
        for row in table["rows"]:
            scores = row.pop("scores")
            row["numbers"] = [_rounded(scores.get(name, "")) for name in table["names"]]
    return tables


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _rounded(text: str) -> str:
    return f"{float(text):.4g}" if text else ""
