"""One figure of an evaluation: its name, title, caption, and how to draw it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from matplotlib.figure import Figure

GROUPS = {
    "spectra": "Spectra",
    "semivariograms": "Semivariograms",
    "panels": "Fields",
    "scores": "Scores over time",
    "distributions": "Distributions",
    "maps": "Maps",
    "cities": "Cities",
    "sites": "Sites",
    "skill": "Skill by scale",
    "ensembles": "Ensembles",
    "groups": "By hour, month and season",
}
"""The groups of figures in the order of the report, and their headings."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A figure that can be drawn.

    Attributes:
        name: The file's name without its ending.
        group: One of :data:`GROUPS`.
        title: What it shows, in a line.
        caption: How to read it.
        draw: Draws it.
    """

    name: str
    group: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def figure_name(*parts: str) -> str:
    """Returns a file name from words, without those that are empty."""
    words = [re.sub(r"[^\w.+-]+", "-", str(part)).strip("-") for part in parts if part]
    return "-".join(words).replace("_", "-")


def in_region(region: str) -> str:
    """Returns the end of a title that names the region; empty for the whole domain."""
    return f", {region}" if region else ""
