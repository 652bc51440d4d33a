"""Drawing of the figures of a results folder into files."""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Sequence
from pathlib import Path

from phire import files, progress
from phire.errors import InputError
from phire.evaluation.figures.all_figures import plans
from phire.evaluation.figures.figure_drawing import figure_writer
from phire.evaluation.figures.parallel_drawing import outcomes, sensible_processes
from phire.evaluation.figures.results_reading import FIGURES, ResultsFolder

INDEX = "figures.json"
"""File of the list of figures with titles and captions, in the folder of the figures."""

DESCRIBED = ("name", "group", "title", "caption", "channel", "region", "times", "candidates")
"""Attributes of a figure in the list."""

FORMATS = ("png", "pdf")


def draw_all(
    results: str | os.PathLike,
    *,
    names: Sequence[str] | None = None,
    formats: Sequence[str] = FORMATS,
    dpi: int = 160,
    output: str | os.PathLike | None = None,
    processes: int | None = None,
) -> list[Path]:
    """Draws the figures of a results folder from its NetCDF files.

    A metric that was not computed has no figure. If a figure fails, the reason is printed and shown
    in the report, and the other figures are drawn.

    Args:
        results: Folder ``OUT`` of an evaluation.
        names: Names of figures, or patterns such as ``spectrum-*``; None means all.
        formats: Formats: ``png``, ``pdf`` or ``svg``.
        dpi: Dots per inch of pixel formats.
        output: Folder to write to; None means ``OUT/figures``.
        processes: Number of processes; None chooses it by the numbers of figures and cores.

    Returns:
        The files written.

    Raises:
        InputError: ``results`` is no results folder, a format is unknown, or a name matches no
            figure.
    """
    for form in formats:
        if form not in ("png", "pdf", "svg"):
            raise InputError(f"figures cannot be drawn as {form!r}: choose png, pdf or svg.")
    folder = ResultsFolder(results)
    found = plans(folder)
    if names is not None:
        for name in names:
            if not any(fnmatch.fnmatch(plan.name, name) for plan in found):
                known = ", ".join(plan.name for plan in found) or "none"
                raise InputError(f"{results} gives no figure {name}: the figures are {known}.")
        found = [plan for plan in found if any(fnmatch.fnmatch(plan.name, n) for n in names)]
    target = folder.path / FIGURES if output is None else Path(output)
    request = {
        "results": os.fspath(results),
        "target": os.fspath(target),
        "formats": list(formats),
        "dpi": dpi,
    }
    drawn = outcomes(
        [plan.name for plan in found],
        figure_writer(**request, folder=folder),
        request,
        processes or sensible_processes(len(found)),
    )
    written, failed = [], {}
    for name, reason in progress.tracked(drawn, "Drawing figures", len(found), "figures"):
        if reason is None:
            written += [target / f"{name}.{form}" for form in formats]
        else:
            failed[name] = reason
            progress.say(f"The figure {name} could not be drawn ({reason}).")
    if names is None:
        entries = [
            {key: getattr(plan, key) for key in DESCRIBED}
            | ({"failed": failed[plan.name]} if plan.name in failed else {})
            for plan in found
        ]
        files.write_text(target / INDEX, json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
    return written


def figure_names(results: str | os.PathLike) -> list[tuple[str, str]]:
    """Returns names and titles of the figures of a results folder."""
    return [(plan.name, plan.title) for plan in plans(ResultsFolder(results))]
