"""HTML page that compares the results of all evaluations of a pipeline."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from phire import files
from phire.evaluation.figures.results_reading import ResultsFolder
from phire.evaluation.merged_results import comparable, is_merged, merge_results
from phire.evaluation.report import write_report
from phire.evaluation.report.page import REPORT, rendered, table_colours
from phire.evaluation.report.score_tables import score_tables
from phire.evaluation.results import SUMMARY
from phire.pipeline import stage_records
from phire.pipeline.stages import Stage

COMPARISON = "comparison"
"""Folder of the merged results within the pipeline's directory."""


def write_pipeline_report(directory: Path, stages: Mapping[str, Stage]) -> Path:
    """Writes ``report.html``: tables of the scores of all ``phire-eval`` stages, and of the stages.

    Evaluations with the same truth, times and scale are merged as by ``phire-eval --compare``,
    into the folders ``comparison``, ``comparison-2`` and so on, whose reports have the figures.

    Args:
        directory: Directory of the pipeline.
        stages: All stages by name.

    Returns:
        Path of the page.
    """
    evaluated = [stage.output for stage in stages.values() if stage.command == "phire-eval"]
    evaluated = [output for output in evaluated if (output / SUMMARY).is_file()]
    folders = list(_compared(directory, comparable(evaluated)))
    planned = stage_records.plan(directory, stages)
    page = rendered(
        "pipeline_report.html",
        title=directory.name,
        comparisons=[_comparison(directory, *one) for one in folders],
        stages=[_stage_row(directory, plan) for plan in planned.values()],
    )
    path = directory / REPORT
    files.write_text(path, page)
    return path


def _compared(directory: Path, groups: list[list[Path]]) -> Iterable[tuple[Path, list[Path]]]:
    """Yields, for each group of comparable evaluations, the merged results and the evaluations."""
    count = 0
    for group in groups:
        if len(group) == 1:
            yield group[0], group
            continue
        count += 1
        merged = directory / (COMPARISON if count == 1 else f"{COMPARISON}-{count}")
        if not is_merged(group, merged):
            merge_results(group, merged, overwrite=True)
        elif not (merged / REPORT).is_file():
            write_report(merged)
        yield merged, group


def _comparison(directory: Path, folder: Path, evaluations: list[Path]) -> dict[str, Any]:
    results = ResultsFolder(folder)
    report = folder / REPORT
    return {
        "name": ", ".join(output.name for output in evaluations),
        "link": os.path.relpath(report, directory) if report.is_file() else "",
        "notes": results.provenance.get("notes", ()),
        # Tables of seasons and months are left to the reports.
        "tables": [table for table in score_tables(results) if not table.times],
        "colours": table_colours(results),
    }


def _stage_row(directory: Path, planned: stage_records.Planned) -> dict[str, Any]:
    stage = planned.stage
    record = stage_records.read(directory, stage.name) or {}
    return {
        "name": stage.name,
        "state": planned.state,
        "seconds": record.get("seconds", "") if planned.state == stage_records.DONE else "",
        "command": shlex.join(stage.command_line),
    }
