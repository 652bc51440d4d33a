"""Figures of energy and variance spectra, on the sphere and in regions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from phire.evaluation.figures.label_text import labelled, readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.results_reading import Datasets, opened, units_of
from phire.evaluation.figures.spectrum_axes import (
    Spectra,
    SpectrumAxis,
    add_wavelength_axis,
    axis_limits,
    draw_curves,
    inside_limits,
    logarithmic_axis,
    mark_cutoff,
    recorded_cutoff,
    shade_members,
    spectra_of,
)
from phire.evaluation.figures.style import Style, candidate_styles, mark_band, new_figure, styled
from phire.evaluation.figures.tick_labels import plain_ticks
from phire.evaluation.results import TRUTH
from phire.fields.grid import EARTH_RADIUS
from phire.fields.units import equal

SLOPES = ((-3.0, "−3"), (-5 / 3, "−5/3"))
"""Slopes of kinetic energy: enstrophy cascade, and mesoscale of Nastrom & Gage (1985)."""

# Vorticity and divergence are derivatives of the wind: their variance is l² times the energy.
DERIVATIVE_SLOPES = ((-1.0, "−1 (energy −3)"), (1 / 3, "+1/3 (energy −5/3)"))


RATIO_LIMITS = (0.02, 50.0)
"""Widest range of the panel of ratios; a candidate without short waves would flatten the others."""


@styled
def spectrum_figure(
    spectra: Datasets,
    *,
    variable: str = "kinetic_energy",
    channel: str | None = None,
    cutoff: float | None = None,
    styles: Mapping[str, Style] | None = None,
    radius: float = EARTH_RADIUS,
    title: str | None = None,
) -> Figure:
    """Draws spectra of all candidates (above) and their ratio to the truth's (below).

    The left panels show the whole range. The right panels show short waves: those shorter than
    twice the cutoff, or without a cutoff the last third of the logarithmic axis. The range 0.5 … 2
    of the ratio is shaded, and so is the range of an ensemble's members.

    Args:
        spectra: Data sets or paths of ``spectrum.nc`` by candidate, the truth under ``truth``, with
            ``variable`` over ``degree``, or over ``wavelength`` in km.
        variable: ``kinetic_energy`` or ``variance``.
        channel: The channel, for variables with this dimension.
        cutoff: Shortest wave that the coarse grid resolves, marked by a line: a degree, or for
            regional spectra km. None means the attribute ``cutoff_degree`` or
            ``cutoff_wavelength`` of the data sets.
        styles: Styles by candidate; None means styles in the order of the candidates.
        radius: Radius of the sphere in m, for wavelengths 2πa/√(l(l+1)).
        title: Title of the figure; None means the name of the variable.

    Raises:
        InputError: No data set has the variable.
    """
    datasets = opened(spectra)
    styles = styles or candidate_styles(datasets)
    drawn = spectra_of(datasets, variable, channel)
    axis, truth = drawn.axis, drawn.curves.get(TRUTH)
    cutoff = recorded_cutoff(datasets, axis) if cutoff is None else cutoff
    units = units_of(drawn.holder, variable, channel)
    figure = new_figure(10, 5.8 if truth is not None else 4.4)
    heights = [2.6, 1.25] if truth is not None else [1]
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=[1.25, 1])
    whole = axis_limits(axis)
    short = _short_end(axis, whole, cutoff)
    for column, (limits, heading) in enumerate(((whole, "Whole range"), (short, "Short waves"))):
        upper = lowest = figure.add_subplot(grid[0, column])
        draw_curves(upper, drawn, limits, styles)
        if column == 0 and truth is not None:
            _draw_slopes(upper, truth, axis, channel or variable, units)
        upper.set_title(heading)
        if axis.dimension == "degree":
            add_wavelength_axis(upper, limits, radius)
        if truth is not None:
            upper.tick_params(labelbottom=False)
            lowest = figure.add_subplot(grid[1, column], sharex=upper)
            _draw_ratios(lowest, drawn, limits, styles)
        for axes in {upper, lowest}:
            mark_cutoff(axes, cutoff, limits)
        lowest.set_xlabel(axis.label)
        if column == 0:
            upper.set_ylabel(labelled(_quantity(variable, channel), units))
            if truth is not None:
                lowest.set_ylabel("Ratio to truth")
    figure.suptitle(title or _title(variable, channel), x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(drawn.curves), styles, extra=_cutoff_handles(cutoff))
    return figure


def _cutoff_handles(cutoff: float | None) -> list[Line2D]:
    """Returns the legend entry of the coarse grid's cutoff; empty without a cutoff."""
    if cutoff is None:
        return []
    return [
        Line2D([], [], color="#555555", linewidth=1, dashes=(1, 2), label="coarse grid's limit")
    ]


def _short_end(
    axis: SpectrumAxis, whole: tuple[float, float], cutoff: float | None
) -> tuple[float, float]:
    """Returns the ends of the axis of short waves; see :func:`spectrum_figure`."""
    left, right = whole
    start = left ** (1 / 3) * right ** (2 / 3)
    if cutoff is not None:
        # Begins at waves twice as long as the cutoff, where downscaling starts to add variance.
        start = cutoff * 2 if axis.wavelengths else cutoff / 2
        start = min(start, left) if axis.wavelengths else max(start, left)
    return start, right


def _draw_ratios(
    axes: Axes, spectra: Spectra, limits: tuple[float, float], styles: Mapping[str, Style]
) -> None:
    """Draws the ratio of the spectra to the truth's, and shades the range 0.5 … 2."""
    axis, truth = spectra.axis, spectra.curves[TRUTH]
    inside = inside_limits(axis, limits)
    low, high = 0.4, 2.5
    mark_band(axes, 0.5, 2.0)
    for name, curve in spectra.curves.items():
        if name == TRUTH or curve.shape != truth.shape:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = curve.values / truth.values
        ratio = np.where(np.isfinite(ratio) & (ratio > 0), ratio, np.nan)
        axes.plot(axis.values, ratio, **styles[name].line())
        shade_members(axes, spectra, name, styles, truth.values)
        if np.isfinite(ratio[inside]).any():
            low = min(low, np.nanmin(ratio[inside]) / 1.2)
            high = max(high, np.nanmax(ratio[inside]) * 1.2)
    axes.set_yscale("log")
    axes.set_ylim(max(low, RATIO_LIMITS[0]), min(high, RATIO_LIMITS[1]))
    plain_ticks(axes.yaxis, axes.get_ylim(), most=6)
    logarithmic_axis(axes, limits)


def _draw_slopes(
    axes: Axes, truth: xr.DataArray, axis: SpectrumAxis, what: str, units: str
) -> None:
    """Draws two reference slopes above the truth's spectrum, unless it is nearly flat.

    Args:
        axes: The axes.
        truth: Spectrum of the truth.
        axis: Horizontal axis.
        what: Name of channel or variable, by which derivatives of the wind are recognised.
        units: Units of the spectrum.
    """
    derivative = any(word in what for word in ("vorticity", "divergence"))
    derivative = derivative or bool(units and equal(units, "s-2"))
    # In waves per circle, or per km.
    wavenumber = 1 / axis.values if axis.wavelengths else axis.values
    good = np.isfinite(wavenumber) & (wavenumber > 0) & (truth.values > 0)
    good &= np.isfinite(truth.values)
    if good.sum() < 8:
        return
    wavenumber, energy, places = wavenumber[good], truth.values[good], axis.values[good]
    order = np.argsort(wavenumber)
    wavenumber, energy, places = wavenumber[order], energy[order], places[order]
    span = np.log(wavenumber[-1] / wavenumber[0])
    first = np.searchsorted(wavenumber, wavenumber[0] * np.exp(0.4 * span))
    last = np.searchsorted(wavenumber, wavenumber[0] * np.exp(0.78 * span))
    part = slice(first, max(last, first + 2))
    shapes = [
        ((wavenumber[part] / wavenumber[part][0]) ** slope, text)
        for slope, text in (DERIVATIVE_SLOPES if derivative else SLOPES)
    ]
    # Both lines begin at one point, high enough not to cross the truth's spectrum.
    start = 2.0 * max(np.max(energy[part] / shape) for shape, _ in shapes)
    if start * max(shape.max() for shape, _ in shapes) > 30 * np.max(energy):
        return  # above a flat spectrum the slopes would take most of the panel
    for shape, text in shapes:
        axes.plot(places[part], start * shape, color="#8a8a8a", linewidth=1, zorder=1.5)
        axes.annotate(
            text,
            (places[part][-1], start * shape[-1]),
            xytext=(3, 0),
            textcoords="offset points",
            color="#555555",
            fontsize=8,
            va="center",
        )
    highest = start * max(shape.max() for shape, _ in shapes)
    axes.set_ylim(top=max(axes.get_ylim()[1], 1.8 * highest))


def _quantity(variable: str, channel: str | None) -> str:
    """Returns the label of the vertical axis."""
    if variable == "kinetic_energy":
        return "Kinetic energy per degree"
    return f"Variance of {readable(channel)}" if channel else readable(variable).capitalize()


def _title(variable: str, channel: str | None) -> str:
    """Returns the default title of a figure of spectra."""
    if variable == "kinetic_energy":
        return "Kinetic energy spectrum"
    return f"Spectrum of {readable(channel or variable)}"
