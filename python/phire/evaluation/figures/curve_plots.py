"""Figures of curves, with a panel for each variable and a line for each candidate."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.figure_plan import Plan, figure_name, in_region
from phire.evaluation.figures.label_text import labelled, readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.member_bands import draw_member_band
from phire.evaluation.figures.results_reading import (
    Datasets,
    ResultsFolder,
    has_values,
    opened,
    units_of,
    values_of,
)
from phire.evaluation.figures.spectrum_axes import SMALLEST_SHARE
from phire.evaluation.figures.style import TRUTH_STYLE, Style, candidate_styles, panel_grid, styled
from phire.evaluation.figures.tick_labels import plain_ticks
from phire.evaluation.results import TRUTH


@dataclasses.dataclass(frozen=True)
class Panel:
    """One panel of a figure of curves.

    Attributes:
        title: Title of the panel.
        variable: Variable on the vertical axis.
        along: Coordinate or variable on the horizontal axis.
        x_label, y_label: Labels of the axes, to which the units are added.
        select: Labels to select along further dimensions.
        logarithmic: Logarithmic axes: ``x``, ``y``, ``both`` or empty.
        reference: Level that is marked by a line, or ``diagonal``.
        band: Variables of the lower and upper edge of a band around each curve; None means the
            range of an ensemble's members, if the results have it.
        truth: Variable of the truth's curve in the results of a candidate; None means that the
            curve comes from the results of the truth, if there are any.
        from_zero: If True, the vertical axis begins at 0.
        falling: If True, the horizontal axis descends.
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
    """Draws curves of all candidates, and of the truth if it has results.

    Args:
        results: Data sets or paths of one metric by candidate.
        panels: The panels.
        channel: The channel, for variables with this dimension.
        styles: Styles by candidate; None means styles in the order of the candidates.
        title: Title of the figure.

    Raises:
        InputError: No data set has a variable of the panels.
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
        _draw_panel(axes, panel, datasets, channel, styles)
    drawn = [*([TRUTH] if TRUTH in datasets or any(p.truth for p in panels) else []), *names]
    legend_below(figure, drawn, styles, markers=True)
    return figure


def _draw_panel(
    axes: Axes,
    panel: Panel,
    datasets: Mapping[str, Any],
    channel: str | None,
    styles: Mapping[str, Style],
) -> None:
    """Draws the curves of all candidates in one panel."""
    place = dict(panel.select) | ({} if channel is None else {"channel": channel})
    reach: list[np.ndarray] = []
    units = x_units = ""
    for i, (name, dataset) in enumerate(datasets.items()):
        if panel.variable not in dataset:
            continue
        selected = dataset.sel({k: v for k, v in place.items() if k in dataset.dims})
        x = np.asarray(selected[panel.along].values, float)
        order = np.argsort(x)
        x, y = x[order], np.asarray(selected[panel.variable].values, float)[order]
        units = units or units_of(dataset, panel.variable, channel)
        # A coordinate without units (a level, a probability) must not get the channel's units.
        if panel.along in dataset.data_vars or dataset[panel.along].attrs.get("units"):
            x_units = x_units or units_of(dataset, panel.along, channel)
        style = styles.get(name, TRUTH_STYLE)
        marker = style.marker if len(x) <= 40 else ""
        axes.plot(x, y, marker=marker, ms=4, **style.line())
        drawn = np.isfinite(x) & np.isfinite(y)
        reach.append(x[drawn] if drawn.any() else x[np.isfinite(x)])
        if panel.band is not None:
            low, high = (np.asarray(selected[edge].values, float)[order] for edge in panel.band)
            axes.fill_between(x, low, high, color=style.colour, alpha=style.opacity, linewidth=0)
        else:
            draw_member_band(
                axes, x, selected, panel.variable, style, select=lambda array: array,
                change=functools.partial(np.take, indices=order),
            )  # fmt: skip
        if panel.truth is not None and panel.truth in selected and not i:
            truth = np.asarray(selected[panel.truth].values, float)[order]
            axes.plot(x, truth, **TRUTH_STYLE.line())
    _set_axes(axes, panel, _limits(np.concatenate(reach)))
    axes.set_title(panel.title, fontsize=9)
    axes.set_xlabel(panel.x_label if "(" in panel.x_label else labelled(panel.x_label, x_units))
    axes.set_ylabel(labelled(panel.y_label, units))


def _set_axes(axes: Axes, panel: Panel, limits: tuple[float, float]) -> None:
    """Sets scales, limits and reference lines of a panel.

    Args:
        axes: Axes with all curves.
        panel: The panel.
        limits: Limits of a logarithmic horizontal axis.
    """
    if panel.logarithmic in ("y", "both"):
        axes.set_yscale("log")
        _hide_round_off(axes)
        bottom, top = axes.get_ylim()
        if top < 30 * bottom:
            plain_ticks(axes.yaxis, (bottom, top), most=6)
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


def _hide_round_off(axes: Axes) -> None:
    """Sets the lower limit of the axis such that values of round-off are not shown.

    The limit is :data:`SMALLEST_SHARE` times the largest value, if curves extend below it.
    """
    greatest = max((np.nanmax(line.get_ydata(), initial=0) for line in axes.lines), default=0)
    low, _ = axes.get_ylim()
    if greatest > 0 and low < SMALLEST_SHARE * greatest:
        axes.set_ylim(bottom=SMALLEST_SHARE * greatest)


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Returns the limits of a horizontal axis; for positive values a tenth beyond them."""
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
        folder: Results folder.
        metric: Name of the statistic.
        panels: The panels; those without values are left out.
        group: Group of the figures in the report.
        title: Title of the figures, to which channel and region are added.
        caption: Caption of the figures.
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
