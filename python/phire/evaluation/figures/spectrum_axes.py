"""Axes and curves of figures of spectra, by degree, wavelength or wavenumber."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from phire.errors import InputError
from phire.evaluation.figures.label_text import labelled
from phire.evaluation.figures.member_bands import member_edges
from phire.evaluation.figures.results_reading import over_all_but
from phire.evaluation.figures.style import OF_MEMBERS, Style
from phire.evaluation.figures.tick_labels import plain_ticks
from phire.evaluation.results import TRUTH

SMALLEST_SHARE = 1e-13
"""Share of its maximum below which a spectrum is round-off of single precision."""


@dataclasses.dataclass(frozen=True)
class SpectrumAxis:
    """Horizontal axis of a spectrum.

    Attributes:
        dimension: Dimension of the spectrum.
        label: Label of the axis.
        values: Positions on the axis; NaN beyond the last degree.
        wavelengths: True for wavelengths, drawn from long to short; False for degrees or
            wavenumbers.
    """

    dimension: str
    label: str
    values: np.ndarray
    wavelengths: bool


@dataclasses.dataclass(frozen=True)
class Spectra:
    """Spectra of one variable by candidate.

    Attributes:
        axis: Horizontal axis of all spectra.
        curves: The spectra.
        bands: Minimum and maximum over the members of ensembles.
        holder: One of the data sets with the variable.
    """

    axis: SpectrumAxis
    curves: Mapping[str, xr.DataArray]
    bands: Mapping[str, tuple[np.ndarray, np.ndarray]]
    holder: xr.Dataset


def spectra_of(datasets: Mapping[str, xr.Dataset], variable: str, channel: str | None) -> Spectra:
    """Returns the spectra of one variable with the ranges of members.

    Raises:
        InputError: No data set has the variable.
    """
    curves = {
        name: spectrum_curve(dataset, variable, channel)
        for name, dataset in datasets.items()
        if variable in dataset
    }
    if not curves:
        raise InputError(f"none of the spectra holds {variable}: there is nothing to draw.")
    holder = next(dataset for dataset in datasets.values() if variable in dataset)
    axis = axis_of(curves.get(TRUTH, next(iter(curves.values()))), holder)
    edges = {
        name: member_edges(datasets[name], variable, functools.partial(of_channel, channel))
        for name in curves
    }
    bands = {name: ends for name, ends in edges.items() if ends is not None}
    return Spectra(axis, curves, bands, holder)


def of_channel(channel: str | None, array: xr.DataArray) -> xr.DataArray:
    """Returns the array of one channel, if it has the dimension."""
    if channel is not None and "channel" in array.dims:
        return array.sel(channel=channel)
    return array


def spectrum_curve(dataset: xr.Dataset, variable: str, channel: str | None) -> xr.DataArray:
    """Returns a spectrum over its one dimension, the mean over all others.

    Raises:
        InputError: The variable has no degree, wavelength or wavenumber.
    """
    array = of_channel(channel, dataset[variable])
    dimension = _dimension(array)
    attributes = array.attrs
    curve = over_all_but(array, dimension)
    return curve.assign_attrs(attributes)


def _dimension(array: xr.DataArray) -> str:
    """Returns the dimension of a spectrum.

    Raises:
        InputError: The array has no such dimension.
    """
    for dimension in ("degree", "wavelength", "wavenumber"):
        if dimension in array.dims:
            return dimension
    raise InputError(
        f"{array.name} has the dimensions {array.dims}: a spectrum needs degree, wavelength or "
        "wavenumber."
    )


def axis_of(curve: xr.DataArray, holder: xr.Dataset) -> SpectrumAxis:
    """Returns the horizontal axis of a spectrum, without the degrees of round-off at its end."""
    dimension = curve.dims[0]
    if dimension == "wavelength":
        values = np.asarray(curve["wavelength"].values, dtype=float)
        units = curve["wavelength"].attrs.get("units", "km")
        return SpectrumAxis(dimension, labelled("Wavelength", units), values, True)
    values = np.asarray(curve[dimension].values, dtype=float)
    # Beyond the truth's last degree the spectra are round-off.
    last = float(holder.attrs.get("truncation", np.inf))
    above = values[curve.values > SMALLEST_SHARE * np.nanmax(curve.values)]
    last = min(last, above.max()) if len(above) else last
    label = "Degree $l$" if dimension == "degree" else "Zonal wavenumber"
    return SpectrumAxis(dimension, label, np.where(values <= last, values, np.nan), False)


def recorded_cutoff(datasets: Mapping[str, xr.Dataset], axis: SpectrumAxis) -> float | None:
    """Returns the coarse grid's cutoff from the attributes of the results; None without one."""
    key = "cutoff_wavelength" if axis.wavelengths else "cutoff_degree"
    found = [dataset.attrs[key] for dataset in datasets.values() if key in dataset.attrs]
    return float(found[0]) if found else None


def axis_limits(axis: SpectrumAxis) -> tuple[float, float]:
    """Returns the left (long waves) and the right end of the axis."""
    values = axis.values[np.isfinite(axis.values) & (axis.values > 0)]
    low, high = values.min(), values.max()
    return (high, low) if axis.wavelengths else (max(low, 1.0), high)


def draw_curves(
    axes: Axes, spectra: Spectra, limits: tuple[float, float], styles: Mapping[str, Style]
) -> None:
    """Draws the spectra, on a vertical axis whose range follows the truth."""
    axis, curves, truth = spectra.axis, spectra.curves, spectra.curves.get(TRUTH)
    inside = inside_limits(axis, limits)
    for name, curve in curves.items():
        values = np.where(curve.values > 0, curve.values, np.nan)
        axes.plot(axis.values, values, **styles[name].line())
        shade_members(axes, spectra, name, styles)
    shown = [truth] if truth is not None else list(curves.values())
    values = np.concatenate([curve.values[inside] for curve in shown])
    values = values[np.isfinite(values) & (values > 0)]
    axes.set_yscale("log")
    if len(values):
        # The range follows the truth, since smooth candidates may fall by any number of decades.
        others = np.concatenate([curve.values[inside] for curve in curves.values()])
        others = others[np.isfinite(others) & (others > 0)]
        low = max(values.min() / 30, others.min() / 1.5)
        axes.set_ylim(low, max(values.max(), min(others.max(), 30 * values.max())) * 2)
    logarithmic_axis(axes, limits)


def shade_members(
    axes: Axes,
    spectra: Spectra,
    name: str,
    styles: Mapping[str, Style],
    reference: np.ndarray | float = 1.0,
) -> None:
    """Shades the range of a candidate's members, divided by a reference."""
    if name in spectra.bands:
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = (edge / reference for edge in spectra.bands[name])
        axes.fill_between(spectra.axis.values, low, high, color=styles[name].colour,
                          alpha=styles[name].opacity, linewidth=0, label=OF_MEMBERS)  # fmt: skip


def mark_cutoff(axes: Axes, cutoff: float | None, limits: tuple[float, float]) -> None:
    """Draws a vertical line at the coarse grid's cutoff."""
    if cutoff is not None and min(limits) <= cutoff <= max(limits):
        axes.axvline(cutoff, color="#555555", linewidth=1, dashes=(1, 2), zorder=1.2)


def add_wavelength_axis(axes: Axes, limits: tuple[float, float], radius: float) -> None:
    """Adds an axis of wavelengths in km above an axis of degrees.

    Args:
        axes: Axes with a horizontal axis of degrees.
        limits: Limits of the horizontal axis, degrees.
        radius: Radius of the sphere in m.
    """
    circumference = 2 * np.pi * radius / 1e3

    # √(l(l + 1)) is replaced by l + ½, which has a simple inverse; the error is 1 % at degree 3.
    def wavelength(degree: Any) -> Any:
        return circumference / (np.maximum(np.asarray(degree, float), 0) + 0.5)

    def degree(kilometres: Any) -> Any:
        return circumference / np.maximum(np.asarray(kilometres, float), 1e-9) - 0.5

    upper = axes.secondary_xaxis("top", functions=(wavelength, degree))
    upper.set_xlabel("Wavelength (km)", fontsize=8)
    upper.tick_params(labelsize=8)
    plain_ticks(upper.xaxis, tuple(wavelength(np.array(limits))), most=6)


def inside_limits(axis: SpectrumAxis, limits: tuple[float, float]) -> np.ndarray:
    """Returns booleans: True for positions of the axis within the limits."""
    return (axis.values >= min(limits) * 0.999) & (axis.values <= max(limits) * 1.001)


def logarithmic_axis(axes: Axes, limits: tuple[float, float]) -> None:
    """Makes the horizontal axis logarithmic, with ticks written without powers of ten."""
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    plain_ticks(axes.xaxis, limits, most=8)
