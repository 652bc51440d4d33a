"""Figure of an evaluation: its name, title, caption and drawing function."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator

from matplotlib.figure import Figure

from phire.evaluation.figures.reading import ResultsFolder, has_values, values_of
from phire.evaluation.figures.style import readable

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
        channel: The channel that it shows; empty where it shows several or none.
        region: The region that it shows; empty for the whole domain.
        times: Seasons and months that it shows apart; empty where all times count together.
        candidates: The candidates that it shows.
    """

    name: str
    group: str
    title: str
    caption: str
    draw: Callable[[], Figure]
    channel: str = ""
    region: str = ""
    times: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()


def figure_name(*parts: str) -> str:
    """Returns a file name from words, without those that are empty."""
    words = [re.sub(r"[^\w.+-]+", "-", str(part)).strip("-") for part in parts if part]
    return "-".join(words).replace("_", "-")


def in_region(region: str) -> str:
    """Returns the end of a title that names the region; empty for the whole domain."""
    return f", {region}" if region else ""


def plans_by_channel(
    folder: ResultsFolder,
    metric: str,
    draw: Callable[..., Figure],
    *,
    group: str,
    title: str,
    caption: str,
    variable: str,
    name: str = "",
    titled: bool = False,
    dimension: str = "",
) -> Iterator[Plan]:
    """Yields a figure for each region and channel in which a statistic has values.

    Args:
        folder: Folder of results.
        metric: Name of the statistic.
        draw: Draws the results by candidate; takes ``channel`` and ``styles``.
        group: Group of the figures.
        title: Of the figures; ``{channel}`` is replaced by the channel's name, and the region
            follows at the end.
        caption: How to read the figures.
        variable: Variable that must have values.
        name: First word of the file names; the statistic's name if empty.
        titled: ``draw`` takes the title, too.
        dimension: That of seasons or months, where figures show these apart.
    """
    for region in folder.regions_of(metric):
        data = folder.metric(metric, region)
        for channel in values_of(data, "channel"):
            if not has_values(data, variable, channel):
                continue
            whole = title.format(channel=readable(channel)) + in_region(region)
            options = {"title": whole} if titled else {}
            yield Plan(
                figure_name(name or metric, channel, region),
                group,
                whole,
                caption,
                functools.partial(draw, data, channel=channel, styles=folder.styles, **options),
                channel,
                region,
                tuple(map(str, values_of(data, dimension))) if dimension else (),
            )
