"""Figures of semivariograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.label_text import labelled, readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.member_bands import draw_member_band
from phire.evaluation.figures.results_reading import Datasets, opened, over_all_but, units_of
from phire.evaluation.figures.style import Style, candidate_styles, mark_band, new_figure, styled
from phire.evaluation.figures.tick_labels import plain_ticks
from phire.evaluation.results import TRUTH

ABSOLUTE = "semivariogram"
NORMALISED = "semivariogram_normalised"


@styled
def semivariogram_figure(
    semivariograms: Datasets,
    *,
    channel: str,
    styles: Mapping[str, Style] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws the semivariogram of one channel: absolute, normalised, and relative to the truth.

    Lags below one grid spacing have no values and are left out. The confidence interval is shaded,
    for ensembles the range of the members.

    Args:
        semivariograms: Data sets or paths of ``semivariogram.nc`` by candidate, the truth under
            ``truth``, with ``semivariogram`` and ``semivariogram_normalised`` over ``channel`` and
            ``lag`` (km), and perhaps the interval ``semivariogram_low``, ``semivariogram_high``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.
        title: Title of the figure.

    Raises:
        InputError: No data set has a semivariogram.
    """
    datasets = opened(semivariograms)
    styles = styles or candidate_styles(datasets)
    datasets = {name: dataset for name, dataset in datasets.items() if ABSOLUTE in dataset}
    if not datasets:
        raise InputError("none of the data sets holds a semivariogram: there is nothing to draw.")
    some = next(iter(datasets.values()))
    ratios = TRUTH in datasets and len(datasets) > 1
    variables = [
        ABSOLUTE,
        *([NORMALISED] if any(NORMALISED in d for d in datasets.values()) else []),
    ]
    count = len(variables) + ratios
    figure = new_figure(1.2 + 3.4 * count, 4.2)
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    for axes, variable in zip(panels, variables):
        _draw_curves(axes, datasets, variable, channel, styles)
        if variable == NORMALISED:
            axes.axhline(1, color="#777777", linewidth=0.8, dashes=(2, 2), zorder=1)
            axes.set_title("Relative to the truth's variance")
            axes.set_ylabel("$\\gamma$ / variance of truth")
        else:
            axes.set_title("Absolute")
            axes.set_ylabel(labelled("Semivariance $\\gamma$", units_of(some, variable, channel)))
    if ratios:
        _draw_ratios(panels[-1], datasets, channel, styles)
    figure.suptitle(
        title or f"Semivariogram of {readable(channel)}", x=0.01, ha="left", fontsize=12
    )
    legend_below(figure, list(datasets), styles, markers=True)
    return figure


@styled
def direction_figure(
    semivariograms: Datasets,
    *,
    channel: str,
    styles: Mapping[str, Style] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws the semivariograms of one channel along parallels and along meridians.

    Args:
        semivariograms: As for :func:`semivariogram_figure`, with ``semivariogram_zonal`` and
            ``semivariogram_meridional`` over ``channel`` and ``lag``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.
        title: Title of the figure.

    Raises:
        InputError: No data set has both directions.
    """
    datasets = opened(semivariograms)
    styles = styles or candidate_styles(datasets)
    variables = {"semivariogram_zonal": "East–west", "semivariogram_meridional": "North–south"}
    datasets = {
        name: dataset
        for name, dataset in datasets.items()
        if all(variable in dataset for variable in variables)
    }
    if not datasets:
        raise InputError("none of the data sets holds directional semivariograms: nothing to draw.")
    figure = new_figure(8.5, 4.2)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (variable, heading) in zip(panels, variables.items()):
        _draw_curves(axes, datasets, variable, channel, styles)
        axes.set_title(heading)
    _share_heights(panels)
    some = next(iter(datasets.values()))
    panels[0].set_ylabel(labelled("Semivariance $\\gamma$", units_of(some, ABSOLUTE, channel)))
    text = title or f"Semivariogram of {readable(channel)} by direction"
    figure.suptitle(text, x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(datasets), styles, markers=True)
    return figure


def _draw_curves(
    axes: Axes,
    datasets: Mapping[str, xr.Dataset],
    variable: str,
    channel: str,
    styles: Mapping[str, Style],
) -> None:
    """Draws the semivariograms of all candidates with their bands."""
    lags, heights = [np.empty(0)], [np.empty(0)]
    units = "km"
    for name, dataset in datasets.items():
        if variable not in dataset:
            continue
        lag, values = _valid(_curve(dataset, variable, channel))
        units = dataset["lag"].attrs.get("units", units)
        if not _shade_members(axes, dataset, variable, channel, styles[name]):
            _draw_interval(axes, dataset, variable, channel, styles[name])
        axes.plot(lag, values, marker=styles[name].marker, ms=4, **styles[name].line())
        lags.append(lag)
        heights.append(values)
    _lag_axis(axes, np.concatenate(lags), units)
    axes.set_yscale("log")
    _set_heights(axes, np.concatenate(heights))


def _set_heights(axes: Axes, heights: np.ndarray) -> None:
    """Sets limits and ticks of a logarithmic vertical axis that includes all heights."""
    if not len(heights):
        return
    limits = (heights.min() / 1.3, heights.max() * 1.3)
    axes.set_ylim(*limits)
    if limits[1] / limits[0] < 200:
        plain_ticks(axes.yaxis, limits, most=7)


def _share_heights(panels: Sequence[Axes]) -> None:
    """Gives all panels the same limits, which include all lines."""
    lines = [np.asarray(line.get_ydata(), float) for axes in panels for line in axes.get_lines()]
    heights = np.concatenate([np.empty(0), *lines])
    for axes in panels:
        _set_heights(axes, heights)


def _draw_ratios(
    axes: Axes, datasets: Mapping[str, xr.Dataset], channel: str, styles: Mapping[str, Style]
) -> None:
    """Draws the semivariograms relative to the truth's."""
    truth = _curve(datasets[TRUTH], ABSOLUTE, channel)
    mark_band(axes, 0.5, 2.0)
    low, high, lags = 0.4, 2.5, []
    for name, dataset in datasets.items():
        if name == TRUTH:
            continue
        lag, ratio = _valid(_curve(dataset, ABSOLUTE, channel) / truth)
        _shade_members(axes, dataset, ABSOLUTE, channel, styles[name], truth.values)
        axes.plot(lag, ratio, marker=styles[name].marker, ms=4, **styles[name].line())
        lags.append(lag)
        if len(ratio):
            low, high = min(low, ratio.min() / 1.2), max(high, ratio.max() * 1.2)
    axes.set_yscale("log")
    axes.set_ylim(max(low, 0.02), min(high, 50))
    plain_ticks(axes.yaxis, axes.get_ylim(), most=7)
    _lag_axis(axes, np.concatenate(lags), truth["lag"].attrs.get("units", "km"))
    axes.set_title("Relative to the truth")
    axes.set_ylabel("Ratio to truth")


def _curve(dataset: xr.Dataset, variable: str, channel: str) -> xr.DataArray:
    """Returns a variable of one channel over ``lag``."""
    array = dataset[variable]
    if "channel" in array.dims:
        array = array.sel(channel=channel)
    return over_all_but(array, "lag")


def _valid(curve: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Returns lags and values of a curve where the value is positive, for a logarithmic axis."""
    good = np.isfinite(curve.values) & (curve.values > 0)
    return np.asarray(curve["lag"].values, float)[good], curve.values[good]


def _shade_members(
    axes: Axes,
    dataset: xr.Dataset,
    variable: str,
    channel: str,
    style: Style,
    reference: np.ndarray | float = 1.0,
) -> bool:
    """Shades the range of the members, divided by a reference; returns True if there is one."""
    return draw_member_band(
        axes, np.asarray(dataset["lag"].values, float), dataset, variable, style,
        select=lambda array: array.sel(channel=channel),
        change=lambda values: values / reference,
    )  # fmt: skip


def _draw_interval(
    axes: Axes, dataset: xr.Dataset, variable: str, channel: str, style: Style
) -> None:
    """Shades the confidence interval of a variable, if the data set has it."""
    lower, upper = f"{variable}_low", f"{variable}_high"
    if lower not in dataset or upper not in dataset:
        return
    low, high = _curve(dataset, lower, channel), _curve(dataset, upper, channel)
    good = np.isfinite(low.values) & np.isfinite(high.values) & (low.values > 0)
    axes.fill_between(
        np.asarray(low["lag"].values, float)[good],
        low.values[good],
        high.values[good],
        color=style.colour,
        alpha=0.15,
        linewidth=0,
        zorder=1.5,
    )


def _lag_axis(axes: Axes, lags: np.ndarray, units: str) -> None:
    """Sets up a logarithmic horizontal axis that includes all lags."""
    axes.set_xscale("log")
    if len(lags):
        limits = (lags.min() / 1.15, lags.max() * 1.15)
        axes.set_xlim(*limits)
        plain_ticks(axes.xaxis, limits, most=7)
    axes.set_xlabel(labelled("Distance", units))
