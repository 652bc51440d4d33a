"""Files of the figures that a results folder gives, written or redrawn."""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Sequence
from pathlib import Path

from phire import files, progress
from phire.errors import InputError
from phire.evaluation.figures.all_figures import Plan, plans
from phire.evaluation.figures.parallel_drawing import Draw, outcomes, sensible_processes
from phire.evaluation.figures.reading import FIGURES, ResultsFolder
from phire.evaluation.figures.style import lay_out, write_figure

INDEX = "figures.json"
"""The list of figures with their titles and captions, beside them."""

DESCRIBED = ("name", "group", "title", "caption", "channel", "region", "times", "candidates")
"""Attributes of a figure that the list holds."""

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
    """Draws the figures that a folder of results gives, from its NetCDF files alone.

    Args:
        results: The folder ``OUT`` of an evaluation.
        names: Names of figures, or patterns such as ``spectrum-*``; all if None.
        formats: ``png``, ``pdf`` or ``svg``.
        dpi: Dots per inch of pixel formats.
        output: Where to put them; ``OUT/figures`` if None.
        processes: Number of processes; by the number of figures and cores if None.

    Returns:
        The files written, each whole. A metric that was not computed gives no figure; a figure
        that fails is told, and named in the report.

    Raises:
        InputError: No folder of results, an unknown format, or a name that fits no figure.
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
        drawing(**request, folder=folder),
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


def drawing(
    results: str,
    target: str,
    formats: Sequence[str],
    dpi: int,
    folder: ResultsFolder | None = None,
) -> Draw:
    """Returns the function that draws a figure of a folder of results, given its name.

    It writes the figure to ``target`` in all formats and returns what went wrong, or None: the
    numbers stand, whatever a figure comes upon. Only a file that cannot be written is an error.

    Args:
        results, target, formats, dpi: As in :func:`draw_all`.
        folder: The folder ``results`` where it is open already.
    """
    by_name = {plan.name: plan for plan in plans(folder or ResultsFolder(results))}

    def draw(name: str) -> str | None:
        try:
            _draw(by_name[name], Path(target), formats, dpi)
        except OSError:
            raise  # a full disk is no fault of the figure
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None

    return draw


def _draw(plan: Plan, target: Path, formats: Sequence[str], dpi: int) -> None:
    """Draws one figure and writes it in all formats."""
    figure = plan.draw()
    lay_out(figure)
    for form in formats:
        write_figure(figure, target / f"{plan.name}.{form}", dpi=dpi, description=plan.title)


def figure_names(results: str | os.PathLike) -> list[tuple[str, str]]:
    """Returns the names and titles of the figures that a folder of results gives."""
    return [(plan.name, plan.title) for plan in plans(ResultsFolder(results))]
