"""Layout of figures, and their files as PNG, PDF or SVG."""

from __future__ import annotations

import os

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import (
    LogFormatterSciNotation,
    ScalarFormatter,
)

from phire import files
from phire.errors import InputError
from phire.evaluation.figures.style import LOOK
from phire.evaluation.figures.tick_labels import PlainLogFormatter, PlainScalarFormatter


def lay_out(figure: Figure) -> None:
    """Computes the layout once, so that saving in several formats does not repeat it.

    Tick labels are set without mathtext, whose parser is slow.
    """
    with matplotlib.rc_context(LOOK):
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
    with matplotlib.rc_context(LOOK):
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
