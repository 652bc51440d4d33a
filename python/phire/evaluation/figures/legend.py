"""One legend for all panels of a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from phire.evaluation.figures.style import OF_MEMBERS, Style

ROWS_WITHIN = 2
"""Number of rows of a legend for which figures have room."""

ROW = 0.21
"""Height of a row in inches."""


def legend_below(
    figure: Figure,
    names: Sequence[str],
    styles: Mapping[str, Style],
    *,
    extra: Sequence[Any] = (),
    markers: bool = False,
) -> None:
    """Adds one legend below all panels, where it covers no data; it may make the figure higher.

    If a panel shows ranges over members, which have the label :data:`OF_MEMBERS`, the legend names
    them.

    Args:
        figure: The figure.
        names: Names of the candidates in the figure.
        styles: Styles by candidate.
        extra: Further handles with labels.
        markers: If True, the legend shows markers on the lines.
    """
    handles = [
        Line2D(
            [],
            [],
            label=name,
            **styles[name].line(),
            **({"marker": styles[name].marker, "markersize": 5} if markers else {}),
        )
        for name in names
    ]
    handles += list(extra)
    if not handles:
        return
    drawn = (artist.get_label() for axes in figure.axes for artist in axes.collections)
    if OF_MEMBERS in drawn:
        handles.append(
            Line2D([], [], color="#888888", alpha=0.4, linewidth=7, label="range of the members")
        )
    # In inches: about 1/13 for a character, and 0.8 for the sample of a line and the gaps.
    widths = [len(str(handle.get_label())) / 13 + 0.8 for handle in handles]
    columns = len(handles)
    while columns > 1 and _table_width(widths, columns) > figure.get_figwidth() - 0.3:
        columns -= 1
    # Rows of nearly equal length. matplotlib fills a legend by columns, but it is read by rows.
    rows = math.ceil(len(handles) / columns)
    columns = math.ceil(len(handles) / rows)
    # Further rows make the figure higher, so that the panels keep their height.
    figure.set_figheight(figure.get_figheight() + ROW * max(0, rows - ROWS_WITHIN))
    order = [i for column in range(columns) for i in range(column, len(handles), columns)]
    figure.legend(
        handles=[handles[i] for i in order],
        loc="outside lower center",
        ncols=columns,
        handlelength=3.2,
        columnspacing=1.8,
    )


def _table_width(widths: Sequence[float], columns: int) -> float:
    """Returns the width of a table whose cells are filled by rows."""
    return sum(max(widths[column::columns]) for column in range(columns))
