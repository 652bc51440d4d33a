"""Plan of a figure: its name, title, caption and drawing function."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator

from matplotlib.figure import Figure

from phire.evaluation.figures.label_text import readable
from phire.evaluation.figures.results_reading import ResultsFolder, has_values, values_of

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
"""Headings of the groups of figures, in the order of the report."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Plan of a figure.

    Attributes:
        name: Name of the file without its ending.
        group: Group in the report, one of :data:`GROUPS`.
        title: Title.
        caption: Caption.
        draw: Function that draws the figure.
        channel: Channel of the figure; empty for several channels or none.
        region: Region of the figure; empty for the whole domain.
        times: Seasons or months that are shown separately; empty if all times are combined.
        candidates: Candidates of the figure.
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
    """Returns a file name made of the words that are not empty."""
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
        folder: Results folder.
        metric: Name of the statistic.
        draw: Function of the results by candidate, with the arguments ``channel`` and ``styles``.
        group: Group of the figures in the report.
        title: Title of the figures, in which ``{channel}`` is replaced; the region is appended.
        caption: Caption of the figures.
        variable: Variable that must have values.
        name: First word of the file names; the statistic's name if empty.
        titled: If True, ``draw`` has the argument ``title``, too.
        dimension: Dimension of seasons or months that figures show separately; empty for none.
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
