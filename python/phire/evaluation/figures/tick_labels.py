"""Ticks at round numbers, and labels without mathtext."""

from __future__ import annotations

import itertools
import math
import re

from matplotlib.axis import Axis
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogFormatterSciNotation,
    NullLocator,
    ScalarFormatter,
)

from phire.evaluation.figures.label_text import RAISED, number_text


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
