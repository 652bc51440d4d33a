"""Figure of the spectral coherence with the truth."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.label_text import readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.member_bands import draw_member_band
from phire.evaluation.figures.results_reading import Datasets, opened
from phire.evaluation.figures.spectrum_axes import (
    add_wavelength_axis,
    axis_limits,
    axis_of,
    logarithmic_axis,
    mark_cutoff,
    of_channel,
    recorded_cutoff,
    spectrum_curve,
)
from phire.evaluation.figures.style import Style, candidate_styles, new_figure, styled
from phire.evaluation.results import TRUTH
from phire.fields.grid import EARTH_RADIUS


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

    A coherence of 1 means that the waves have the truth's phases. The range of an ensemble's
    members is shaded.

    Args:
        spectra: Data sets or paths by candidate, with ``coherence`` over ``channel`` and ``degree``
            (or ``wavelength`` in km).
        channel: The channel; None means kinetic energy, ``kinetic_energy_coherence``.
        cutoff: As for :func:`spectrum_figure`.
        styles: Styles by candidate; None means styles in the order of the candidates.
        radius: Radius of the sphere in m.

    Raises:
        InputError: No data set has a coherence.
    """
    datasets = opened(spectra)
    styles = styles or candidate_styles(datasets)
    variable = "kinetic_energy_coherence" if channel is None else "coherence"
    curves = {
        name: spectrum_curve(dataset, variable, channel)
        for name, dataset in datasets.items()
        if variable in dataset and name != TRUTH
    }
    if not curves:
        raise InputError("none of the spectra holds a coherence: there is nothing to draw.")
    axis = axis_of(next(iter(curves.values())), next(iter(datasets.values())))
    figure = new_figure(7.5, 4.2)
    axes = figure.add_subplot()
    limits = axis_limits(axis)
    for name, curve in curves.items():
        axes.plot(axis.values, curve.values, **styles[name].line())
        draw_member_band(
            axes, axis.values, datasets[name], variable, styles[name],
            select=functools.partial(of_channel, channel),
        )  # fmt: skip
    # The coherent resolution is where the coherence falls below 0.5.
    axes.axhline(0.5, color="#777777", linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
    values = np.concatenate([curve.values for curve in curves.values()])
    axes.set_ylim(min(0.0, float(np.nanmin(values, initial=0.0))), 1.02)
    logarithmic_axis(axes, limits)
    mark_cutoff(axes, recorded_cutoff(datasets, axis) if cutoff is None else cutoff, limits)
    axes.set_xlabel(axis.label)
    axes.set_ylabel("Coherence with truth")
    if axis.dimension == "degree":
        add_wavelength_axis(axes, limits, radius)
    of = readable(channel or "kinetic energy")
    figure.suptitle(f"Spectral coherence: {of}", x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(curves), styles)
    return figure
