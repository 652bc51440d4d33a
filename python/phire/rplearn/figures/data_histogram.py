"""Histogram of z-scored and of normalised data."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from phire.evaluation.figures.label_text import readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.style import candidate_styles, new_figure, styled

VARIABLES = ("channel", "space", "value", "density")
"""Variables and coordinates of a file of histograms."""


@styled
def histogram_figure(results: xr.Dataset) -> Figure:
    """Draws the density of each channel with that of the normal distribution, on a log axis.

    Args:
        results: ``RUN/evaluation/pixels.nc``.
    """
    channels = [str(name) for name in results["channel"].values]
    spaces = [str(name) for name in results["space"].values]
    styles = candidate_styles([*spaces, "normal distribution"])
    values = results["value"].to_numpy()
    figure = new_figure(3.6 * len(channels) + 0.6, 3.2)
    panels = figure.subplots(1, len(channels), sharey=True, squeeze=False)[0]
    for axes, channel in zip(panels, channels):
        for space in spaces:
            density = results["density"].sel(channel=channel, space=space).to_numpy()
            axes.plot(values, np.where(density > 0, density, np.nan), **styles[space].line())
        normal = np.exp(-(values**2) / 2) / np.sqrt(2 * np.pi)
        axes.plot(values, normal, **styles["normal distribution"].line())
        axes.set(yscale="log", ylim=(1e-6, 3), xlabel="standard deviations")
        axes.set_title(readable(channel))
    panels[0].set_ylabel("density")
    legend_below(figure, [*spaces, "normal distribution"], styles)
    return figure
