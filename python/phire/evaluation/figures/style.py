"""Style of all figures: a colour, line style and marker for each candidate.

The palette of Okabe & Ito (2008) can be distinguished with all common colour deficiencies; the
truth is black. Line styles and markers differ as well, so that figures can be read in greyscale.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogFormatterSciNotation,
    NullLocator,
    ScalarFormatter,
)

from phire import files
from phire.errors import InputError
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

RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
"""Translation of digits and minus to superscripts."""

OF_MEMBERS = "_range of the members"
"""Label of bands and bars that are the range over the members of an ensemble."""

SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"

_LOOK = {
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
    "pdf.fonttype": 42,  # text stays text, as journals ask
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

ROUND_OFF = 1e-13
"""Share of its maximum below which a spectrum is round-off of single precision."""

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
        with matplotlib.rc_context(_LOOK):
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


class PlainScalarFormatter(ScalarFormatter):
    """Matplotlib's tick labels without mathtext.

    The parser of mathtext takes a fifth of the time of a figure.
    """

    def __init__(self) -> None:
        super().__init__(useMathText=False)

    def get_offset(self) -> str:
        """Returns the common factor of the ticks, such as ``×10⁻⁵``."""
        power = super().get_offset().replace("−", "-").removeprefix("1e")
        return f"×10{power.translate(RAISED)}" if power else ""


class PlainLogFormatter(LogFormatterSciNotation):
    """Labels of logarithmic axes without mathtext: ``10⁻⁵``, ``2·10³``."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        text = super().__call__(x, pos).removeprefix(r"$\mathdefault{").removesuffix("}$")
        text = text.replace("−", "-").replace(r"\times", "·")
        return re.sub(r"\^\{(-?\d+)\}", lambda power: power[1].translate(RAISED), text)


def lay_out(figure: Figure) -> None:
    """Computes the layout once, so that saving in several formats does not repeat it.

    Tick labels are set without mathtext, whose parser is slow.
    """
    with matplotlib.rc_context(_LOOK):
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                if type(axis.get_major_formatter()) is ScalarFormatter:
                    axis.set_major_formatter(PlainScalarFormatter())
                if type(axis.get_major_formatter()) is LogFormatterSciNotation:
                    axis.set_major_formatter(PlainLogFormatter())
                if type(axis.get_minor_formatter()) is LogFormatterSciNotation:
                    axis.set_minor_formatter(PlainLogFormatter(minor_thresholds=(1, 0.4)))
        figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")


def save_figure(
    figure: Figure,
    path: str | os.PathLike,
    *,
    dpi: int = 160,
    description: str = "",
) -> None:
    """Saves a figure in the format given by the ending of the path.

    Args:
        figure: The figure.
        path: File that ends in ``.png``, ``.pdf`` or ``.svg``.
        dpi: Dots per inch of pixel formats, and of images within vector formats.
        description: Description in the metadata of the file.
    """
    ending = os.path.splitext(os.fspath(path))[1].lower()
    canvas, written, key = {
        ".png": (FigureCanvasAgg, "print_png", "Description"),
        ".pdf": (FigureCanvasPdf, "print_pdf", "Subject"),
        ".svg": (FigureCanvasSVG, "print_svg", "Description"),
    }[ending]
    figure.set_dpi(dpi)
    with matplotlib.rc_context(_LOOK):
        # Figure.savefig draws twice, and takes 1.5 times as long.
        # PNG compression of level 3 takes two thirds of the time of level 6; files are a few per
        # cent larger.
        options = {"pil_kwargs": {"compress_level": 3}} if ending == ".png" else {}
        getattr(canvas(figure), written)(path, metadata={key: description}, **options)


def write_figure(
    figure: Figure, path: str | os.PathLike, *, dpi: int = 160, description: str = ""
) -> None:
    """Saves a figure such that an interrupted call leaves no file; see :func:`save_figure`.

    Raises:
        InputError: The path does not end in ``.png``, ``.pdf`` or ``.svg``.
    """
    ending = os.path.splitext(os.fspath(path))[1].lower()
    if ending not in (".png", ".pdf", ".svg"):
        raise InputError(f"{path} must end in .png, .pdf or .svg: the ending names the format.")
    with files.replacing(path) as partial:
        # The format is taken from the ending, which the temporary name lacks.
        temporary = partial.with_name(f"{partial.name}{ending}")
        save_figure(figure, temporary, dpi=dpi, description=description)
        os.replace(temporary, partial)


def legend_below(
    figure: Figure,
    names: Sequence[str],
    styles: Mapping[str, Style],
    *,
    extra: Sequence[Any] = (),
    markers: bool = False,
) -> None:
    """Adds one legend below all panels, where it covers no data.

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
    columns = math.ceil(len(handles) / math.ceil(len(handles) / columns))
    order = [i for column in range(columns) for i in range(column, len(handles), columns)]
    figure.legend(
        handles=[handles[i] for i in order],
        loc="outside lower center",
        ncols=columns,
        handlelength=3.2,
        columnspacing=1.8,
    )


def pretty_units(units: str) -> str:
    """Returns units for a label with superscripts, ``m2 s-2`` → ``m² s⁻²``.

    Dimensionless units become an empty text.
    """
    text = str(units or "").strip().replace("**", "").replace("^", "")
    if text in ("1", "-", "dimensionless"):
        return ""
    written, power = [], False
    for i, letter in enumerate(text):
        before = text[i - 1] if i else " "
        starts_power = letter in "-0123456789" and (before.isalpha() or before == ")" or power)
        if letter == "-" and not (i + 1 < len(text) and text[i + 1].isdigit()):
            starts_power = False
        power = starts_power
        written.append(letter.translate(RAISED) if power else letter)
    return "".join(written)


def _table_width(widths: Sequence[float], columns: int) -> float:
    """Returns the width of a table whose cells are filled by rows."""
    return sum(max(widths[column::columns]) for column in range(columns))


def labelled(quantity: str, units: str) -> str:
    """Returns ``quantity (units)``, or only the quantity if there are no units."""
    units = pretty_units(units)
    return f"{quantity} ({units})" if units else quantity


def readable(name: str) -> str:
    """Returns a variable's name as words: ``relative_vorticity`` → ``relative vorticity``."""
    return str(name).replace("_", " ")


def heading(channel: str) -> str:
    """Returns a channel's name for the beginning of a line: words are capitalised, symbols not.

    ``relative_vorticity`` → ``Relative vorticity``, but ``u500`` and ``slp`` are unchanged.
    """
    text = readable(channel)
    is_word = text.replace(" ", "").isalpha() and len(text) > 5 and text.islower()
    return text[:1].upper() + text[1:] if is_word else text


def mark_band(axes: Axes, low: float, high: float) -> None:
    """Shades the band ``low … high`` of good values of a ratio, with a line at 1."""
    axes.axhspan(low, high, color="#009E73", alpha=0.10, linewidth=0, zorder=0.5)
    for edge in (low, high):
        axes.axhline(edge, color="#777777", linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
    axes.axhline(1, color="#000000", linewidth=0.9, zorder=1)


def plain_ticks(axis: Axis, limits: tuple[float, float], most: int) -> None:
    """Sets ticks of a logarithmic axis at round numbers, written without powers of ten.

    Args:
        axis: The axis.
        limits: Its limits.
        most: Largest number of ticks.
    """
    low, high = min(limits), max(limits)
    span = math.log(high / low)
    ticks: list[float] = []
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        gaps = [math.log(after / before) for before, after in itertools.pairwise(ticks)]
        if len(ticks) <= most and (not gaps or min(gaps) > 0.07 * span):
            break
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(number_text))


def number_text(value: float, _: object = None) -> str:
    """Returns the text of a round number, with a power of ten below 10⁻³ and from 10⁶ on."""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:,.10g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    mantissa = mantissa.removesuffix(".0")
    factor = "" if mantissa == "1" else f"{mantissa}·"
    return f"{factor}10{str(int(exponent)).translate(RAISED)}"


def number_digits(value: float, digits: int = 4) -> str:
    """Returns the text of a number: ``12.35``, ``1.2·10⁻⁵``; NaN is ``–``, infinity ``∞``.

    Args:
        value: The number.
        digits: Number of significant digits.
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        decimals = digits - 1 - math.floor(math.log10(abs(value))) if value else digits - 1
        return f"{value:,.{max(0, min(decimals, 6))}f}".replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 2}e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(RAISED)}".replace("-", "−")
