"""Figures of distributions: densities, Q–Q plots, boxes of quantiles, errors."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.label_text import labelled, readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.member_bands import draw_member_band, member_edges
from phire.evaluation.figures.results_reading import Datasets, opened, units_of
from phire.evaluation.figures.style import Style, candidate_styles, new_figure, styled
from phire.evaluation.results import TRUTH
from phire.fields.units import power

LEAST_DENSITY = 1e-6
"""Lower end of the logarithmic axis, as a fraction of the largest density."""


@styled
def density_figure(
    distributions: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws densities of a channel's values: left on a linear, right on a logarithmic axis.

    Args:
        distributions: Data sets or paths of ``distribution.nc`` by candidate, the truth under
            ``truth``, with ``density(channel, bin)`` at ``bin_centre(channel, bin)``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has a density.
    """
    return _density_figure(
        distributions,
        channel,
        styles,
        density="density",
        centre="bin_centre",
        label=readable(channel),
        title=f"Distribution of {readable(channel)}",
    )


@styled
def error_figure(
    distributions: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws densities of the errors: left on a linear, right on a logarithmic axis.

    Args:
        distributions: As for :func:`density_figure`, with ``error_density(channel, error_bin)`` at
            ``error_bin_centre(channel, error_bin)``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has a density of errors.
    """
    return _density_figure(
        distributions,
        channel,
        styles,
        density="error_density",
        centre="error_bin_centre",
        label="candidate − truth",
        title=f"Errors of {readable(channel)}",
    )


def _density_figure(
    distributions: Datasets,
    channel: str,
    styles: Mapping[str, Style] | None,
    *,
    density: str,
    centre: str,
    label: str,
    title: str,
) -> Figure:
    """Draws the densities of values or errors; see :func:`density_figure`."""
    datasets = opened(distributions)
    styles = styles or candidate_styles(datasets)
    datasets = {name: dataset for name, dataset in datasets.items() if density in dataset}
    if not datasets:
        raise InputError(f"none of the distributions holds {density}: there is nothing to draw.")
    curves, smoothings = {}, {}
    for name, dataset in datasets.items():
        # The outermost bins also count all values beyond them, so that they show no density.
        values = _channel_values(dataset, centre, channel)[1:-1]
        bounds = None
        if density == "density" and {"minimum", "maximum"} <= set(dataset):
            bounds = tuple(
                float(_channel_values(dataset, end, channel)) for end in ("minimum", "maximum")
            )
        smoothings[name] = functools.partial(_smooth_inner, values, bounds)
        curves[name] = values, smoothings[name](_channel_values(dataset, density, channel))
    units = units_of(next(iter(datasets.values())), centre, channel)
    greatest = max(float(np.max(curve, initial=0)) for _, curve in curves.values())
    figure = new_figure(9.5, 4.2)
    left, right = figure.subplots(1, 2)
    for axes, least in ((left, 2e-3), (right, LEAST_DENSITY)):
        ends = []
        for name, (values, curve) in curves.items():
            draw_member_band(
                axes, values, datasets[name], density, styles[name],
                select=lambda array: array.sel(channel=channel), change=smoothings[name],
            )  # fmt: skip
            axes.plot(values, np.where(curve > 0, curve, np.nan), **styles[name].line())
            above = values[curve > least * greatest]
            ends += [above.min(), above.max()] if len(above) else []
        width = max(ends) - min(ends)
        axes.set_xlim(min(ends) - 0.02 * width, max(ends) + 0.02 * width)
        axes.set_xlabel(labelled(label, units))
        if density == "error_density":
            axes.axvline(0, color="#777777", linewidth=0.8, zorder=1)
    left.set_ylim(bottom=0)
    left.set_title("Bulk")
    left.set_ylabel(labelled("Density", power(units, -1)))
    right.set_yscale("log")
    right.set_ylim(LEAST_DENSITY * greatest, 2 * greatest)
    right.set_title("Tails")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(datasets), styles)
    return figure


def _smooth_inner(
    values: np.ndarray, bounds: tuple[float, float] | None, heights: np.ndarray
) -> np.ndarray:
    """Smooths a histogram without its two outermost bins; see :func:`smooth_density`."""
    return smooth_density(values, heights[1:-1], bounds)


def smooth_density(
    values: np.ndarray, density: np.ndarray, bounds: tuple[float, float] | None = None
) -> np.ndarray:
    """Returns a kernel density estimate from a histogram of narrow bins.

    The histogram is convolved with a Gaussian whose standard deviation is 1.5 bins, which removes
    the steps between bins only.

    Args:
        values: (n,) centres of bins of equal width.
        density: (n,) densities; NaN counts as 0.
        bounds: Smallest and largest value. Density that the smoothing carries beyond them is
            mirrored back, so that rain has no density below zero.

    Returns:
        (n,) smoothed density, with the sum of the histogram if it is 0 at both ends.
    """
    offsets = np.arange(-6, 7)
    kernel = np.exp(-0.5 * (offsets / 1.5) ** 2)
    kernel /= kernel.sum()
    if len(values) < len(kernel):
        return np.nan_to_num(density)
    smooth = np.convolve(np.nan_to_num(density), kernel, mode="same")
    if bounds is None or not np.isfinite(bounds).all():
        return smooth
    first, last = (int(np.abs(values - bound).argmin()) for bound in bounds)
    if last - first < len(kernel):
        return np.nan_to_num(density)  # too few bins to smooth
    reach = len(kernel) // 2
    for edge, inward in ((first, 1), (last, -1)):
        outside = [p for p in range(edge - inward, edge - inward * (reach + 1), -inward)
                   if 0 <= p < len(smooth)]  # fmt: skip
        for step, place in enumerate(outside):
            smooth[edge + inward * step] += smooth[place]
            smooth[place] = 0
    return smooth


@styled
def seasonal_quantile_figure(
    distributions: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws quantiles of the candidates against the truth's, with a column for each season.

    Args:
        distributions: Data sets or paths of ``seasonal_quantiles.nc`` by candidate, with
            ``quantile_value`` and ``truth_quantile_value`` over channel, season and quantile.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has quantiles by season.
    """
    datasets = {n: d for n, d in opened(distributions).items() if "truth_quantile_value" in d}
    if not datasets:
        raise InputError("none of the data sets holds quantiles by season: nothing to draw.")
    styles = styles or candidate_styles(datasets)
    seasons = next(iter(datasets.values()))["season"].values
    units = units_of(next(iter(datasets.values())), "quantile_value", channel)
    figure = new_figure(1 + 2.8 * len(seasons), 5.6)
    panels = figure.subplots(2, len(seasons), squeeze=False, sharex="col", sharey="row")
    for column, season in enumerate(seasons):
        above, below = panels[:, column]
        for name, dataset in datasets.items():
            selected = dataset.sel(channel=channel, season=season)
            truth, values = (selected[f"{p}quantile_value"].values for p in ("truth_", ""))
            line = {**styles[name].line(), "marker": styles[name].marker, "ms": 3.5}
            above.plot(truth[[0, -1]], truth[[0, -1]], color="black", linewidth=1, zorder=1)
            above.plot(truth, values, **line)
            below.plot(truth, values - truth, **line)
            _shade_quantiles(
                above, below, truth, dataset, styles[name], channel=channel, season=season
            )
        below.axhline(0, color="black", linewidth=1, zorder=1)
        above.set_title(season)
        below.set_xlabel(labelled("Truth's quantiles", units))
    panels[0, 0].set_ylabel(labelled("Candidate's quantiles", units))
    panels[1, 0].set_ylabel(labelled("Candidate − truth", units))
    title = f"Quantiles of {readable(channel)} by season"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(datasets), styles, markers=True)
    return figure


@styled
def quantile_figure(
    distributions: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws a Q–Q plot of candidates against the truth (left), and the difference (right).

    Args:
        distributions: Data sets or paths of ``distribution.nc`` by candidate, the truth under
            ``truth``, with ``quantile_value(channel, quantile)``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: The quantiles of the truth are missing.
    """
    datasets = opened(distributions)
    styles = styles or candidate_styles(datasets)
    if TRUTH not in datasets or "quantile_value" not in datasets[TRUTH]:
        raise InputError("the truth's quantiles are missing: a Q–Q plot needs them.")
    truth = _channel_values(datasets[TRUTH], "quantile_value", channel)
    levels = datasets[TRUTH]["quantile"].values
    units = units_of(datasets[TRUTH], "quantile_value", channel)
    figure = new_figure(9.5, 4.4)
    left, right = figure.subplots(1, 2)
    left.plot(truth[[0, -1]], truth[[0, -1]], color="black", linewidth=1, zorder=1)
    right.axhline(0, color="black", linewidth=1, zorder=1)
    names = []
    for name, dataset in datasets.items():
        if name == TRUTH or "quantile_value" not in dataset:
            continue
        names.append(name)
        values = _channel_values(dataset, "quantile_value", channel)
        style = {**styles[name].line(), "linewidth": 1.2}
        left.plot(truth, values, marker=styles[name].marker, ms=3.5, **style)
        right.plot(truth, values - truth, marker=styles[name].marker, ms=3.5, **style)
        _shade_quantiles(left, right, truth, dataset, styles[name], channel=channel)
    label = labelled(f"Truth's quantiles of {readable(channel)}", units)
    for axes in (left, right):
        axes.set_xlabel(label)
    left.set_ylabel(labelled("Candidate's quantiles", units))
    left.set_title(f"Quantiles {levels.min():g} … {levels.max():g}")
    right.set_ylabel(labelled("Candidate − truth", units))
    right.set_title("Departure from the diagonal")
    figure.suptitle(f"Quantiles of {readable(channel)}", x=0.01, ha="left", fontsize=12)
    legend_below(figure, names, styles, markers=True)
    return figure


def _shade_quantiles(
    absolute: Axes,
    relative: Axes,
    truth: np.ndarray,
    dataset: xr.Dataset,
    style: Style,
    **place: str,
) -> None:
    """Shades the range of the members' quantiles in a Q–Q plot and in the plot of differences."""
    for axes, reference in ((absolute, 0.0), (relative, truth)):
        draw_member_band(
            axes, truth, dataset, "quantile_value", style, select=lambda array: array.sel(place),
            change=functools.partial(np.add, -np.asarray(reference)),
        )  # fmt: skip


@styled
def box_figure(
    distributions: Datasets, *, channels: Sequence[str], styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws boxes of quantiles of truth and candidates, with a panel for each channel.

    Boxes extend from the 25 % to the 75 % quantile, with a line at the median and whiskers from the
    2 % to the 98 % quantile. For an ensemble, a band at each of these lines is the range over the
    members.

    Args:
        distributions: As for :func:`quantile_figure`.
        channels: The channels.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has quantiles.
    """
    datasets = opened(distributions)
    styles = styles or candidate_styles(datasets)
    datasets = {n: dataset for n, dataset in datasets.items() if "quantile_value" in dataset}
    if not datasets:
        raise InputError("none of the distributions holds quantiles: there is nothing to draw.")
    height = 0.9 + 0.34 * len(datasets)
    figure = new_figure(9.5, 0.5 + height * len(channels))
    panels = figure.subplots(len(channels), 1, squeeze=False)[:, 0]
    for axes, channel in zip(panels, channels):
        for place, (name, dataset) in enumerate(datasets.items()):
            _box(axes, place, dataset, channel, styles[name])
        axes.set_yticks(range(len(datasets)), list(datasets))
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        units = units_of(next(iter(datasets.values())), "quantile_value", channel)
        axes.set_xlabel(labelled(readable(channel), units))
    figure.suptitle(
        "Quantiles: box 25–75 %, line 50 %, whiskers 2–98 %", x=0.01, ha="left", fontsize=12
    )
    return figure


def _box(axes: Axes, place: int, dataset: xr.Dataset, channel: str, style: Style) -> None:
    """Draws the box of one candidate at the height ``place``."""
    levels = np.asarray(dataset["quantile"].values, float)
    values = _channel_values(dataset, "quantile_value", channel)
    shown = (0.02, 0.25, 0.5, 0.75, 0.98)
    low, first, median, third, high = np.interp(shown, levels, values)
    edges = member_edges(dataset, "quantile_value", lambda array: array.sel(channel=channel))
    if edges is not None:
        least, greatest = (np.interp(shown, levels, edge) for edge in edges)
        axes.barh([place] * len(shown), greatest - least, 0.75, least, color=style.colour,
                  alpha=style.opacity, linewidth=0)  # fmt: skip
    statistics = {"whislo": low, "q1": first, "med": median, "q3": third, "whishi": high}
    line = {"color": style.colour, "linewidth": 1.4}
    axes.bxp(
        [{**statistics, "fliers": []}],
        positions=[place],
        widths=0.55,
        orientation="horizontal",
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": style.colour + "33", "edgecolor": style.colour, "linewidth": 1.4},
        medianprops={**line, "linewidth": 2.2},
        whiskerprops=line,
        capprops=line,
    )


def _channel_values(dataset: xr.Dataset, variable: str, channel: str) -> np.ndarray:
    """Returns the values of a variable, for one channel if the variable has channels."""
    array = dataset[variable]
    if "channel" in array.dims:
        array = array.sel(channel=channel)
    return np.asarray(array.values, float)
