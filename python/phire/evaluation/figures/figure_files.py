"""Drawing all figures of a folder of results, or some of them anew."""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Sequence
from pathlib import Path

from phire import files, progress
from phire.errors import InputError
from phire.evaluation.figures.all_figures import Plan, plans
from phire.evaluation.figures.reading import FIGURES, ResultsFolder
from phire.evaluation.figures.style import lay_out, save_figure

INDEX = "figures.json"
"""The list of figures with their titles and captions, beside them."""

FORMATS = ("png", "pdf")


def draw_all(
    results: str | os.PathLike,
    *,
    names: Sequence[str] | None = None,
    formats: Sequence[str] = FORMATS,
    dpi: int = 160,
    output: str | os.PathLike | None = None,
) -> list[Path]:
    """Draws the figures that a folder of results gives, from its NetCDF files alone.

    Args:
        results: The folder ``OUT`` of an evaluation.
        names: Names of figures, or patterns such as ``spectrum-*``; all if None.
        formats: ``png``, ``pdf`` or ``svg``.
        dpi: Dots per inch of pixel formats.
        output: Where to put them; ``OUT/figures`` if None.

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
    written, failed = [], {}
    for plan in progress.tracked(found, "Drawing figures", unit="figures"):
        try:
            written += _draw(plan, target, formats, dpi)
        except OSError:
            raise  # a full disk is no fault of the figure
        except Exception as error:  # the numbers stand, whatever a figure comes upon
            failed[plan.name] = f"{type(error).__name__}: {error}"
            progress.say(f"The figure {plan.name} could not be drawn ({failed[plan.name]}).")
    if names is None:
        entries = [
            {"name": plan.name, "group": plan.group, "title": plan.title, "caption": plan.caption}
            | ({"failed": failed[plan.name]} if plan.name in failed else {})
            for plan in found
        ]
        files.write_text(target / INDEX, json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
    return written


def _draw(plan: Plan, target: Path, formats: Sequence[str], dpi: int) -> list[Path]:
    """Draws one figure in all formats; returns its files."""
    figure = plan.draw()
    lay_out(figure)
    written = []
    for form in formats:
        path = target / f"{plan.name}.{form}"
        with files.replacing(path) as partial:
            # The ending tells matplotlib the format; the temporary name has another one.
            drawn = partial.with_name(f"{partial.name}.{form}")
            save_figure(figure, drawn, dpi=dpi, description=plan.title)
            os.replace(drawn, partial)
        written.append(path)
    return written


def figure_names(results: str | os.PathLike) -> list[tuple[str, str]]:
    """The names and titles of the figures that a folder of results gives."""
    return [(plan.name, plan.title) for plan in plans(ResultsFolder(results))]
