"""Drawing of single figures of a results folder into files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from phire.evaluation.figures.all_figures import Plan, plans
from phire.evaluation.figures.figure_saving import lay_out, write_figure
from phire.evaluation.figures.results_reading import ResultsFolder

Draw: TypeAlias = Callable[[str], "str | None"]
"""Function that draws the figure with a name; it returns None, or the error as a text."""


def figure_writer(
    results: str,
    target: str,
    formats: Sequence[str],
    dpi: int,
    folder: ResultsFolder | None = None,
) -> Draw:
    """Returns a function that draws the figure with a given name into files.

    The function returns None, or the error as a text if the figure failed: an evaluation must not
    fail because of a figure. Only errors of writing files are raised.

    Args:
        results: Folder ``OUT`` of an evaluation.
        target: Folder to write to.
        formats, dpi: As for :func:`phire.evaluation.figures.figure_files.draw_all`.
        folder: The opened results folder; None opens ``results``.
    """
    by_name = {plan.name: plan for plan in plans(folder or ResultsFolder(results))}

    def draw(name: str) -> str | None:
        try:
            _draw(by_name[name], Path(target), formats, dpi)
        except OSError:
            raise  # such as a full disk, which would fail all figures
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
