"""Curves of candidates side by side: a panel a quantity, a line a candidate."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.member_bands import draw_member_band
from phire.evaluation.figures.plan import Plan, figure_name, in_region
from phire.evaluation.figures.reading import (
    Datasets,
    ResultsFolder,
    has_values,
    opened,
    units_of,
    values_of,
)
from phire.evaluation.figures.style import (
    TRUTH,
    TRUTH_STYLE,
    Style,
    candidate_styles,
    labelled,
    legend_below,
    panel_grid,
    plain_ticks,
    readable,
    styled,
)


@dataclasses.dataclass(frozen=True)
class Panel:
    """One panel of a figure of curves.

    Attributes:
        title: Above the panel.
        variable: What is drawn upwards.
        along: The coordinate or variable that is drawn to the right.
        x_label, y_label: Labels; units are added from the data.
        select: Labels of further dimensions.
        logarithmic: ``x``, ``y``, ``both`` or empty.
        reference: A level to mark, or ``diagonal``.
        band: Variables of the lower and upper edge of a band around each curve; the range of an
            ensemble's members, where it is known, if None.
        truth: Variable of the truth's curve within a candidate's results; the truth's own results
            are drawn if None and if there are any.
        from_zero: Begin the vertical axis at 0.
        falling: Draw the horizontal axis from large to small.
    """

    title: str
    variable: str
    along: str
    x_label: str
    y_label: str
    select: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    logarithmic: str = ""
    reference: float | str | None = None
    band: tuple[str, str] | None = None
    truth: str | None = None
    from_zero: bool = False
    falling: bool = False


@styled
def curve_figure(
    results: Datasets,
    panels: Sequence[Panel],
    *,
    channel: str | None = None,
    styles: Mapping[str, Style] | None = None,
    title: str = "",
) -> Figure:
    """Draws curves of all candidates, and of the truth where it has any.

    Args:
        results: By candidate: data sets or paths of one metric.
        panels: What to draw.
        channel: The channel, for variables that have the dimension.
        styles: By candidate; by their order if None.
        title: Above the figure.

    Returns:
        The figure.

    Raises:
        InputError: No data set holds a variable of the panels.
    """
    datasets = {
        name: dataset
        for name, dataset in opened(results).items()
        if any(panel.variable in dataset for panel in panels)
    }
    if not datasets:
        raise InputError(f"none of the data sets holds {panels[0].variable}: nothing to draw.")
    styles = styles or candidate_styles(opened(results))
    figure, grid = panel_grid(
        len(panels), panel=(3.1, 3.2), margin=(1, 0.5), least_width=5.5, title=title
    )
    names = dict.fromkeys(name for name in datasets if name != TRUTH)
    for axes, panel in zip(grid, panels):
        _draw(axes, panel, datasets, channel, styles)
    drawn = [*([TRUTH] if TRUTH in datasets or any(p.truth for p in panels) else []), *names]
    legend_below(figure, drawn, styles, markers=True)
    return figure


def _draw(
    axes: Axes,
    panel: Panel,
    datasets: Mapping[str, Any],
    channel: str | None,
    styles: Mapping[str, Style],
) -> None:
    """Draws one panel."""
    place = dict(panel.select) | ({} if channel is None else {"channel": channel})
    reach: list[np.ndarray] = []
    units = x_units = ""
    for i, (name, dataset) in enumerate(datasets.items()):
        if panel.variable not in dataset:
            continue
        here = dataset.sel({k: v for k, v in place.items() if k in dataset.dims})
        x = np.asarray(here[panel.along].values, float)
        order = np.argsort(x)
        x, y = x[order], np.asarray(here[panel.variable].values, float)[order]
        units = units or units_of(dataset, panel.variable, channel)
        # Coordinates without units (levels, probabilities) are not in the channel's.
        if panel.along in dataset.data_vars or dataset[panel.along].attrs.get("units"):
            x_units = x_units or units_of(dataset, panel.along, channel)
        style = styles.get(name, TRUTH_STYLE)
        marker = style.marker if len(x) <= 40 else ""
        axes.plot(x, y, marker=marker, ms=4, **style.line())
        reach.append(x[np.isfinite(x)])
        if panel.band is not None:
            low, high = (np.asarray(here[edge].values, float)[order] for edge in panel.band)
            axes.fill_between(x, low, high, color=style.colour, alpha=0.2, linewidth=0)
        else:
            draw_member_band(
                axes, x, here, panel.variable, style, select=lambda array: array,
                change=functools.partial(np.take, indices=order),
            )  # fmt: skip
        if panel.truth is not None and panel.truth in here and not i:
            theirs = np.asarray(here[panel.truth].values, float)[order]
            axes.plot(x, theirs, **TRUTH_STYLE.line())
    limits = _limits(np.concatenate(reach))
    if panel.logarithmic in ("y", "both"):
        axes.set_yscale("log")
    if panel.logarithmic in ("x", "both") and limits[0] > 0:
        axes.set_xscale("log")
        axes.set_xlim(*limits)
        plain_ticks(axes.xaxis, limits, most=5)
    if panel.falling:
        axes.invert_xaxis()
    if panel.reference == "diagonal":
        axes.plot([0, 1], [0, 1], color="black", linewidth=1, zorder=1)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
    elif panel.reference is not None:
        axes.axhline(float(panel.reference), color="black", linewidth=1, zorder=1)
    if panel.from_zero:
        axes.set_ylim(bottom=0)
    axes.set_title(panel.title, fontsize=9)
    axes.set_xlabel(panel.x_label if "(" in panel.x_label else labelled(panel.x_label, x_units))
    axes.set_ylabel(labelled(panel.y_label, units))


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Limits of a horizontal axis, a tenth beyond the values where the axis is logarithmic."""
    low, high = float(values.min()), float(values.max())
    return (low / 1.1, high * 1.1) if low > 0 else (low, high)


def channel_plans(
    folder: ResultsFolder,
    metric: str,
    panels: Sequence[Panel],
    group: str,
    title: str,
    caption: str,
) -> Iterator[Plan]:
    """Yields a figure of curves for each channel and region of a metric.

    Args:
        folder: Folder of results.
        metric: Name of the statistic.
        panels: What to draw; panels without values are left out.
        group: Group of the figures.
        title, caption: Of the figures.
    """
    for region in folder.regions_of(metric):
        data = folder.metric(metric, region)
        for channel in values_of(data, "channel"):
            shown = [panel for panel in panels if has_values(data, panel.variable, channel)]
            if not shown:
                continue
            whole = f"{title} of {readable(channel)}{in_region(region)}"
            yield Plan(
                figure_name(metric, channel, region),
                group,
                whole,
                caption,
                functools.partial(
                    curve_figure, data, shown, channel=channel, styles=folder.styles, title=whole
                ),
                channel,
                region,
            )
