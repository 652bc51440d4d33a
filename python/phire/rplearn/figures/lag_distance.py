"""Learned distance and pixel measures by time lag."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from phire.evaluation.figures.style import candidate_styles, new_figure, styled

NAMES = {
    "learned": "learned distance",
    "l1": "mean absolute difference",
    "l2": "mean squared difference",
    "psnr": "50 − PSNR",
    "ssim": "(1 − SSIM)/2",
}

VARIABLES = ("lag", "learned_mean", "learned_std", "learned_spearman")
"""Variables and coordinates of the learned distance in ``METRIC/lag.nc``."""

MEASURE_VARIABLES = ("measure", "mean", "std", "scale", "spearman")
"""Further variables and coordinates, of the pixel measures."""


@styled
def lag_figure(results: xr.Dataset, step_hours: float | None = None) -> Figure:
    """Draws mean and standard deviation of each measure by lag, scaled to the pixel MSE.

    Args:
        results: ``METRIC/lag.nc``.
        step_hours: Time step in hours, for axes in hours; None draws axes in steps.
    """
    measures = ["learned", *[str(name) for name in results["measure"].values]]
    styles = candidate_styles(measures)
    lags = results["lag"].to_numpy() * (step_hours or 1)
    figure = new_figure(2.5 * len(measures), 2.9)
    panels = figure.subplots(1, len(measures), sharex=True, squeeze=False)[0]
    for axes, name in zip(panels, measures):
        if name == "learned":
            mean, spread, scale = results["learned_mean"], results["learned_std"], 1.0
            correlation = float(results["learned_spearman"])
        else:
            statistics = results.sel(measure=name)
            mean, spread, scale = statistics["mean"], statistics["std"], float(statistics["scale"])
            correlation = float(statistics["spearman"])
        mean, spread = scale * mean.to_numpy(), scale * spread.to_numpy()
        style = styles[name]
        axes.fill_between(
            lags, mean - spread, mean + spread, color=style.colour, alpha=0.18, linewidth=0
        )
        axes.plot(lags, mean, marker=style.marker, markersize=3.5, **style.line())
        axes.set_title(f"{NAMES.get(name, name)}\nrank correlation {correlation:.2f}", size=8.5)
        axes.set_xlabel(f"lag ({'h' if step_hours else 'steps'})")
        axes.set_ylim(bottom=0)
        every = -(-len(lags) // 6)
        axes.set_xticks(lags[every - 1 :: every])
    panels[0].set_ylabel("distance (pixel-MSE scale)")
    return figure
