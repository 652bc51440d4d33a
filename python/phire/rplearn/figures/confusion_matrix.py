"""Confusion matrix of predicted lags."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from phire.evaluation.figures.style import SEQUENTIAL, new_figure, styled

VARIABLES = ("lag", "confusion", "accuracy", "top_3_accuracy")
"""Variables and coordinates of a file of scores, if the task predicts lags."""


@styled
def confusion_figure(results: xr.Dataset, step_hours: float | None = None) -> Figure:
    """Draws the confusion matrix, each row scaled to sum to one.

    Args:
        results: ``RUN/evaluation/epoch-NNNN.nc``.
        step_hours: Time step in hours, for axes in hours; None draws axes in steps.
    """
    counts = results["confusion"].transpose("lag", "predicted_lag").to_numpy().astype(float)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    lags = results["lag"].to_numpy() * (step_hours or 1)
    figure = new_figure(5.2, 4.6)
    axes = figure.subplots()
    image = axes.imshow(share, origin="lower", cmap=SEQUENTIAL, vmin=0, vmax=share.max())
    every = max(1, len(lags) // 12)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(np.arange(0, len(lags), every), [f"{lag:g}" for lag in lags[::every]])
    unit = "h" if step_hours else "steps"
    axes.set(xlabel=f"predicted lag ({unit})", ylabel=f"true lag ({unit})")
    axes.set_title(
        f"accuracy {float(results['accuracy']):.1%}, top 3 {float(results['top_3_accuracy']):.1%}"
    )
    axes.grid(False)
    if len(lags) <= 12:
        for i, row in enumerate(share):
            for j, value in enumerate(row):
                shade = "white" if value < 0.6 * share.max() else "black"
                axes.text(j, i, f"{value:.0%}", ha="center", va="center", size=7, color=shade)
    figure.colorbar(image, ax=axes, label="share of the true lag's pairs")
    return figure
