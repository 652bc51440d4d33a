"""Figures of energy and variance spectra, on the sphere and in regions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from phire.errors import InputError
from phire.evaluation.figures.images import latitude_text
from phire.evaluation.figures.member_bands import OPACITY, member_edges
from phire.evaluation.figures.reading import Datasets, opened, over_all_but, units_of
from phire.evaluation.figures.style import (
    TRUTH,
    Style,
    candidate_styles,
    labelled,
    legend_below,
    mark_band,
    new_figure,
    panel_grid,
    plain_ticks,
    readable,
    styled,
)
from phire.fields.grid import EARTH_RADIUS
from phire.fields.units import equal

SLOPES = ((-3.0, "−3"), (-5 / 3, "−5/3"))
"""Slopes of kinetic energy: enstrophy cascade, and Nastrom & Gage's mesoscale."""

# Vorticity and divergence are derivatives of the wind: their variance is l² times its energy.
DERIVATIVE_SLOPES = ((-1.0, "−1 (energy −3)"), (1 / 3, "+1/3 (energy −5/3)"))

ROUND_OFF = 1e-13
"""Share of the greatest value below which a spectrum is round-off of single precision."""

RATIO_LIMITS = (0.02, 50.0)
"""The ratio panel never shows more than this: an empty end would squeeze all else flat."""


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Horizontal axis of a spectrum."""

    dimension: str
    label: str
    values: np.ndarray
    wavelengths: bool  # km, drawn from long to short; else degrees


@dataclasses.dataclass(frozen=True)
class _Spectra:
    """Spectra of one variable by candidate.

    Attributes:
        axis: Horizontal axis of all of them.
        curves: The spectra.
        bands: Least and greatest over the members of candidates that are ensembles.
        holder: A data set that holds the variable.
    """

    axis: _Axis
    curves: Mapping[str, xr.DataArray]
    bands: Mapping[str, tuple[np.ndarray, np.ndarray]]
    holder: xr.Dataset


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
    """Draws spectra of all candidates: whole, the short-wave end, and both relative to the truth.

    Args:
        spectra: By candidate, the truth under ``truth``: data sets or paths of ``spectrum.nc``,
            with ``variable`` over ``degree``, or over ``wavelength`` in km.
        variable: ``kinetic_energy`` or ``variance``.
        channel: The channel, for variables that have the dimension.
        cutoff: The shortest wave that the coarse grid resolves, marked by a line: a degree, or km
            for regional spectra. Taken from the variable's data set's attributes
            (``cutoff_degree``, ``cutoff_wavelength``) if None.
        styles: By candidate; by their order if None.
        radius: Radius of the sphere in m, for wavelengths 2πa/√(l(l+1)).
        title: Above the figure; made from the variable if None.

    Returns:
        The figure: spectra above, their ratio to the truth below with the band 0.5 … 2; the whole
        range left, the part from twice the cutoff's wavelength (else the last third of the
        logarithmic axis) right. The range of an ensemble's members is shaded.

    Raises:
        InputError: No data set holds the variable.
    """
    datasets = opened(spectra)
    styles = styles or candidate_styles(datasets)
    drawn = _spectra_of(datasets, variable, channel)
    axis, truth = drawn.axis, drawn.curves.get(TRUTH)
    cutoff = _cutoff(datasets, axis) if cutoff is None else cutoff
    units = units_of(drawn.holder, variable, channel)
    figure = new_figure(10, 5.8 if truth is not None else 4.4)
    heights = [2.6, 1.25] if truth is not None else [1]
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=[1.25, 1])
    whole = _limits(axis)
    short = _short_end(axis, whole, cutoff)
    for column, (limits, heading) in enumerate(((whole, "Whole range"), (short, "Short waves"))):
        upper = lowest = figure.add_subplot(grid[0, column])
        _draw_curves(upper, drawn, limits, styles)
        if column == 0 and truth is not None:
            _draw_slopes(upper, truth, axis, channel or variable, units)
        upper.set_title(heading)
        if axis.dimension == "degree":
            _wavelength_axis(upper, limits, radius)
        if truth is not None:
            upper.tick_params(labelbottom=False)
            lowest = figure.add_subplot(grid[1, column], sharex=upper)
            _draw_ratios(lowest, drawn, limits, styles)
        for axes in {upper, lowest}:
            _mark_cutoff(axes, cutoff, limits)
        lowest.set_xlabel(axis.label)
        if column == 0:
            upper.set_ylabel(labelled(_quantity(variable, channel), units))
            if truth is not None:
                lowest.set_ylabel("Ratio to truth")
    figure.suptitle(title or _title(variable, channel), x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(drawn.curves), styles, extra=_cutoff_handles(cutoff))
    return figure


def _spectra_of(datasets: Mapping[str, xr.Dataset], variable: str, channel: str | None) -> _Spectra:
    """Takes the spectra of one variable, and the ranges of members, from data sets.

    Raises:
        InputError: No data set holds the variable.
    """
    curves = {
        name: _curve(dataset, variable, channel)
        for name, dataset in datasets.items()
        if variable in dataset
    }
    if not curves:
        raise InputError(f"none of the spectra holds {variable}: there is nothing to draw.")
    holder = next(dataset for dataset in datasets.values() if variable in dataset)
    axis = _axis(curves.get(TRUTH, next(iter(curves.values()))), holder)
    edges = {
        name: member_edges(datasets[name], variable, functools.partial(_of_channel, channel))
        for name in curves
    }
    bands = {name: ends for name, ends in edges.items() if ends is not None}
    return _Spectra(axis, curves, bands, holder)


def _cutoff_handles(cutoff: float | None) -> list[Line2D]:
    """Legend entry of the coarse grid's limit."""
    if cutoff is None:
        return []
    return [
        Line2D([], [], color="#555555", linewidth=1, dashes=(1, 2), label="coarse grid's limit")
    ]


@styled
def coherence_figure(
    spectra: Datasets,
    *,
    channel: str | None,
    cutoff: float | None = None,
    styles: Mapping[str, Style] | None = None,
    radius: float = EARTH_RADIUS,
) -> Figure:
    """Draws the spectral coherence of each candidate with the truth, by degree or wavelength.

    Args:
        spectra: By candidate, data sets or paths with ``coherence`` over ``channel`` and
            ``degree`` (or ``wavelength`` in km).
        channel: The channel; that of kinetic energy, ``kinetic_energy_coherence``, if None.
        cutoff: As for :func:`spectrum_figure`.
        styles: By candidate; by their order if None.
        radius: Radius of the sphere in m.

    Returns:
        The figure; 1 means that the waves of a degree have the truth's phases.

    Raises:
        InputError: No data set holds a coherence.
    """
    datasets = opened(spectra)
    styles = styles or candidate_styles(datasets)
    variable = "kinetic_energy_coherence" if channel is None else "coherence"
    curves = {
        name: _curve(dataset, variable, channel)
        for name, dataset in datasets.items()
        if variable in dataset and name != TRUTH
    }
    if not curves:
        raise InputError("none of the spectra holds a coherence: there is nothing to draw.")
    axis = _axis(next(iter(curves.values())), next(iter(datasets.values())))
    figure = new_figure(7.5, 4.2)
    axes = figure.add_subplot()
    limits = _limits(axis)
    for name, curve in curves.items():
        axes.plot(axis.values, curve.values, **styles[name].line())
    # The line that the coherent resolution is told by.
    axes.axhline(0.5, color="#777777", linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
    values = np.concatenate([curve.values for curve in curves.values()])
    axes.set_ylim(min(0.0, float(np.nanmin(values, initial=0.0))), 1.02)
    _logarithmic(axes, limits)
    _mark_cutoff(axes, _cutoff(datasets, axis) if cutoff is None else cutoff, limits)
    axes.set_xlabel(axis.label)
    axes.set_ylabel("Coherence with truth")
    if axis.dimension == "degree":
        _wavelength_axis(axes, limits, radius)
    of = readable(channel or "kinetic energy")
    figure.suptitle(f"Spectral coherence: {of}", x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(curves), styles)
    return figure


@styled
def zonal_figure(
    spectra: Datasets,
    *,
    channel: str,
    styles: Mapping[str, Style] | None = None,
) -> Figure:
    """Draws spectra along circles of latitude, a panel for each band.

    Args:
        spectra: By candidate: data sets or paths with ``variance`` over ``channel``, ``band``
            (degrees north) and ``wavenumber``.
        channel: The channel.
        styles: By candidate; by their order if None.

    Raises:
        InputError: No data set holds bands.
    """
    datasets = opened(spectra)
    styles = styles or candidate_styles(datasets)
    datasets = {name: dataset for name, dataset in datasets.items() if "band" in dataset.dims}
    if not datasets:
        raise InputError("none of the spectra is known in bands of latitude: nothing to draw.")
    some = next(iter(datasets.values()))
    bands = sorted(some["band"].values.tolist(), reverse=True)
    columns = 3
    figure, panels = panel_grid(
        len(bands), panel=(3.3, 2.7), margin=(1, 1), most_columns=columns,
        title=f"Zonal spectra of {readable(channel)}",
    )  # fmt: skip
    for i, (axes, band) in enumerate(zip(panels, bands)):
        here = {name: dataset.sel(band=band) for name, dataset in datasets.items()}
        spectra = _spectra_of(here, "variance", channel)
        _draw_curves(axes, spectra, _limits(spectra.axis), styles)
        axes.set_title(f"around {latitude_text(band)}")
        if i + columns >= len(bands):
            axes.set_xlabel(spectra.axis.label)
        if i % columns == 0:
            axes.set_ylabel(labelled("Variance", units_of(some, "variance", channel)))
    legend_below(figure, list(datasets), styles)
    return figure


def _of_channel(channel: str | None, array: xr.DataArray) -> xr.DataArray:
    """The array of one channel, where it has several."""
    if channel is not None and "channel" in array.dims:
        return array.sel(channel=channel)
    return array


def _curve(dataset: xr.Dataset, variable: str, channel: str | None) -> xr.DataArray:
    array = _of_channel(channel, dataset[variable])
    dimension = _dimension(array)
    attributes = array.attrs
    curve = over_all_but(array, dimension)
    return curve.assign_attrs(attributes)


def _dimension(array: xr.DataArray) -> str:
    for dimension in ("degree", "wavelength", "wavenumber"):
        if dimension in array.dims:
            return dimension
    raise InputError(
        f"{array.name} has the dimensions {array.dims}: a spectrum needs degree, wavelength or "
        "wavenumber."
    )


def _axis(curve: xr.DataArray, holder: xr.Dataset) -> _Axis:
    dimension = curve.dims[0]
    if dimension == "wavelength":
        values = np.asarray(curve["wavelength"].values, dtype=float)
        units = curve["wavelength"].attrs.get("units", "km")
        return _Axis(dimension, labelled("Wavelength", units), values, True)
    values = np.asarray(curve[dimension].values, dtype=float)
    # Beyond the truth's last degree there is round-off, and what candidates make of it.
    last = float(holder.attrs.get("truncation", np.inf))
    above = values[curve.values > ROUND_OFF * np.nanmax(curve.values)]
    last = min(last, above.max()) if len(above) else last
    label = "Degree $l$" if dimension == "degree" else "Zonal wavenumber"
    return _Axis(dimension, label, np.where(values <= last, values, np.nan), False)


def _cutoff(datasets: Mapping[str, xr.Dataset], axis: _Axis) -> float | None:
    """The coarse grid's limit, from the results' attributes."""
    key = "cutoff_wavelength" if axis.wavelengths else "cutoff_degree"
    found = [dataset.attrs[key] for dataset in datasets.values() if key in dataset.attrs]
    return float(found[0]) if found else None


def _limits(axis: _Axis) -> tuple[float, float]:
    """The left and the right end of the axis: long waves left."""
    values = axis.values[np.isfinite(axis.values) & (axis.values > 0)]
    low, high = values.min(), values.max()
    return (high, low) if axis.wavelengths else (max(low, 1.0), high)


def _short_end(
    axis: _Axis, whole: tuple[float, float], cutoff: float | None
) -> tuple[float, float]:
    left, right = whole
    start = left ** (1 / 3) * right ** (2 / 3)
    if cutoff is not None:
        # From waves twice as long as the coarse grid's limit, where super-resolution begins to add.
        start = cutoff * 2 if axis.wavelengths else cutoff / 2
        start = min(start, left) if axis.wavelengths else max(start, left)
    return start, right


def _draw_curves(
    axes: Axes, spectra: _Spectra, limits: tuple[float, float], styles: Mapping[str, Style]
) -> None:
    """Draws the spectra, the truth's range of values setting that of the axis."""
    axis, curves, truth = spectra.axis, spectra.curves, spectra.curves.get(TRUTH)
    inside = _inside(axis, limits)
    for name, curve in curves.items():
        values = np.where(curve.values > 0, curve.values, np.nan)
        axes.plot(axis.values, values, **styles[name].line())
        _shade(axes, spectra, name, styles)
    shown = [truth] if truth is not None else list(curves.values())
    values = np.concatenate([curve.values[inside] for curve in shown])
    values = values[np.isfinite(values) & (values > 0)]
    axes.set_yscale("log")
    if len(values):
        # The truth sets the range: smoothed candidates may fall by any number of decades.
        others = np.concatenate([curve.values[inside] for curve in curves.values()])
        others = others[np.isfinite(others) & (others > 0)]
        low = max(values.min() / 30, others.min() / 1.5)
        axes.set_ylim(low, max(values.max(), min(others.max(), 30 * values.max())) * 2)
    _logarithmic(axes, limits)


def _shade(
    axes: Axes,
    spectra: _Spectra,
    name: str,
    styles: Mapping[str, Style],
    reference: np.ndarray | float = 1.0,
) -> None:
    """Shades the range of a candidate's members, relative to a reference."""
    if name in spectra.bands:
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = (edge / reference for edge in spectra.bands[name])
        axes.fill_between(spectra.axis.values, low, high, color=styles[name].colour,
                          alpha=OPACITY, linewidth=0)  # fmt: skip


def _draw_ratios(
    axes: Axes, spectra: _Spectra, limits: tuple[float, float], styles: Mapping[str, Style]
) -> None:
    """Draws the spectra relative to the truth's, and the band of 0.5 … 2."""
    axis, truth = spectra.axis, spectra.curves[TRUTH]
    inside = _inside(axis, limits)
    low, high = 0.4, 2.5
    mark_band(axes, 0.5, 2.0)
    for name, curve in spectra.curves.items():
        if name == TRUTH or curve.shape != truth.shape:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = curve.values / truth.values
        ratio = np.where(np.isfinite(ratio) & (ratio > 0), ratio, np.nan)
        axes.plot(axis.values, ratio, **styles[name].line())
        _shade(axes, spectra, name, styles, truth.values)
        if np.isfinite(ratio[inside]).any():
            low = min(low, np.nanmin(ratio[inside]) / 1.2)
            high = max(high, np.nanmax(ratio[inside]) * 1.2)
    axes.set_yscale("log")
    axes.set_ylim(max(low, RATIO_LIMITS[0]), min(high, RATIO_LIMITS[1]))
    plain_ticks(axes.yaxis, axes.get_ylim(), most=6)
    _logarithmic(axes, limits)


def _draw_slopes(axes: Axes, truth: xr.DataArray, axis: _Axis, what: str, units: str) -> None:
    derivative = (units and equal(units, "s-2")) or any(
        word in what for word in ("vorticity", "divergence")
    )
    # In waves per circle or per km; a wavelength falls as the wavenumber grows.
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
    # From one point, so far up that neither line crosses the truth that it is compared with.
    start = 2.0 * max(np.max(energy[part] / shape) for shape, _ in shapes)
    if start * max(shape.max() for shape, _ in shapes) > 30 * np.max(energy):
        return  # the spectrum is so flat that the slopes would take the panel for themselves
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


def _mark_cutoff(axes: Axes, cutoff: float | None, limits: tuple[float, float]) -> None:
    if cutoff is not None and min(limits) <= cutoff <= max(limits):
        axes.axvline(cutoff, color="#555555", linewidth=1, dashes=(1, 2), zorder=1.2)


def _wavelength_axis(axes: Axes, limits: tuple[float, float], radius: float) -> None:
    circumference = 2 * np.pi * radius / 1e3

    # l(l+1) ≈ (l+½)²: within 1 % from degree 3, and invertible in closed form.
    def wavelength(degree: Any) -> Any:
        return circumference / (np.maximum(np.asarray(degree, float), 0) + 0.5)

    def degree(kilometres: Any) -> Any:
        return circumference / np.maximum(np.asarray(kilometres, float), 1e-9) - 0.5

    upper = axes.secondary_xaxis("top", functions=(wavelength, degree))
    upper.set_xlabel("Wavelength (km)", fontsize=8)
    upper.tick_params(labelsize=8)
    plain_ticks(upper.xaxis, tuple(wavelength(np.array(limits))), most=6)


def _inside(axis: _Axis, limits: tuple[float, float]) -> np.ndarray:
    return (axis.values >= min(limits) * 0.999) & (axis.values <= max(limits) * 1.001)


def _logarithmic(axes: Axes, limits: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    plain_ticks(axes.xaxis, limits, most=8)


def _quantity(variable: str, channel: str | None) -> str:
    if variable == "kinetic_energy":
        return "Kinetic energy per degree"
    return f"Variance of {readable(channel)}" if channel else readable(variable).capitalize()


def _title(variable: str, channel: str | None) -> str:
    if variable == "kinetic_energy":
        return "Kinetic energy spectrum"
    return f"Spectrum of {readable(channel or variable)}"
