"""Style of all figures: a colour, line style and marker for each candidate.

The palette of Okabe & Ito (2008) can be distinguished with all common colour deficiencies; the
truth is black. Line styles and markers differ as well, so that figures can be read in greyscale.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from phire.evaluation.results import TRUTH

# The palette of Okabe & Ito, with a darker yellow for white paper, and Tol's wine as the eighth.
# As seen with any of the common colour deficiencies, all pairs are at least 0.14 apart in RGB.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#C7B42E", "#882255",
)  # fmt: skip
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (1.3, 1.1)),
    (0, (9, 2)),
    (0, (6, 1.5, 1.2, 1.5, 1.2, 1.5)),
    (0, (3, 2.5)),
    (0, (9, 1.5, 3, 1.5)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

OF_MEMBERS = "_range of the members"
"""Label of bands and bars that show the range over the members of an ensemble."""

SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"

LOOK = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.6,
    "lines.dash_capstyle": "butt",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # embeds TrueType fonts, as journals require
    "image.cmap": SEQUENTIAL,
}

Parameters = ParamSpec("Parameters")


@dataclasses.dataclass(frozen=True)
class Style:
    """Style of a candidate's lines and markers.

    Attributes:
        colour: Colour as ``#rrggbb``.
        dashes: Line style of matplotlib.
        marker: Marker of matplotlib.
        width: Width of lines in points.
        order: Drawing order of matplotlib; greater values are drawn on top.
        opacity: Opacity of the range of an ensemble's members.
    """

    colour: str
    dashes: Any
    marker: str
    width: float = 1.6
    order: float = 2.5
    opacity: float = 0.18

    def line(self) -> dict[str, Any]:
        """Returns the keyword arguments of a line without markers."""
        return {
            "color": self.colour,
            "linestyle": self.dashes,
            "linewidth": self.width,
            "zorder": self.order,
        }


MOST_OPAQUE = 4
"""Largest number of candidates whose members' ranges are drawn in full opacity."""

TRUTH_STYLE = Style("#000000", "-", "", width=2.2, order=2.2)


def candidate_styles(names: Iterable[str]) -> dict[str, Style]:
    """Returns the style of each candidate, chosen by its position; the truth has a fixed style.

    Args:
        names: Names of all candidates in the same order for all figures; may include ``truth``.
    """
    styles = {TRUTH: TRUTH_STYLE}
    candidates = [name for name in names if name != TRUTH]
    # Ranges of many ensembles lie on top of each other and would hide all lines.
    opacity = Style.opacity if len(candidates) <= MOST_OPAQUE else Style.opacity / 2
    for i, name in enumerate(candidates):
        # After eight candidates the colours repeat, with other line styles and markers.
        turn = i // len(COLOURS)
        styles[name] = Style(
            COLOURS[i % len(COLOURS)],
            DASHES[(i + turn) % len(DASHES)],
            MARKERS[(i + turn) % len(MARKERS)],
            opacity=opacity,
        )
    return styles


def styled(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Decorates a function to draw in phire's style, regardless of matplotlib's settings."""

    @functools.wraps(draw)
    def draw_in_style(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        with matplotlib.rc_context(LOOK):
            return draw(*args, **kwargs)

    return draw_in_style


def new_figure(width: float, height: float) -> Figure:
    """Returns a figure without a window and not registered with pyplot, safe in threads.

    Args:
        width, height: Size in inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06, wspace=0.04, hspace=0.04)
    return figure


def panel_grid(
    count: int,
    *,
    panel: tuple[float, float],
    margin: tuple[float, float],
    most_columns: int = 4,
    least_width: float = 0.0,
    title: str = "",
    **options: Any,
) -> tuple[Figure, list[Axes]]:
    """Returns a figure and its panels, row by row.

    Args:
        count: Number of panels.
        panel: Width and height of a panel in inches.
        margin: Additional width and height in inches for labels, title and legend.
        most_columns: Largest number of panels in a row.
        least_width: Smallest width of the figure in inches, which title and legend need.
        title: Title of the figure.
        options: Keyword arguments of ``Figure.subplots``, such as ``sharex`` or ``subplot_kw``.
    """
    columns = min(count, most_columns)
    rows = -(-count // columns)
    width = max(margin[0] + panel[0] * columns, least_width)
    figure = new_figure(width, margin[1] + panel[1] * rows)
    panels = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for axes in panels[count:]:
        axes.set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure, list(panels[:count])


def mark_band(axes: Axes, low: float, high: float) -> None:
    """Shades the band ``low … high`` of good values of a ratio, with a line at 1."""
    axes.axhspan(low, high, color="#009E73", alpha=0.10, linewidth=0, zorder=0.5)
    for edge in (low, high):
        axes.axhline(edge, color="#777777", linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
    axes.axhline(1, color="#000000", linewidth=0.9, zorder=1)
