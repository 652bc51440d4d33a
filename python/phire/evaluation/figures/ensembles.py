"""Figures of ensembles: spread against error, ranks, reliability."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.reading import Datasets, opened, units_of
from phire.evaluation.figures.style import (
    TRUTH,
    Style,
    candidate_styles,
    labelled,
    legend_below,
    new_figure,
    readable,
    styled,
)


@styled
def ensemble_figure(
    ensembles: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws spread against error and the rank histogram of one channel.

    Args:
        ensembles: By candidate: data sets or paths of ``ensemble.nc`` with ``binned_spread`` and
            ``binned_error`` over ``channel`` and ``spread_bin``, ``rank_histogram(channel, rank)``.
        channel: The channel.
        styles: By candidate; by their order if None.

    Returns:
        The figure: points on the diagonal mean that the spread tells the error; equal ranks, that
        the truth cannot be told from a member.

    Raises:
        InputError: No data set holds a rank histogram.
    """
    datasets = {
        name: dataset
        for name, dataset in opened(ensembles).items()
        if name != TRUTH and "rank_histogram" in dataset
    }
    if not datasets:
        raise InputError("none of the data sets holds a rank histogram: there is nothing to draw.")
    styles = styles or candidate_styles(opened(ensembles))
    figure = new_figure(9.5, 4.2)
    left, right = figure.subplots(1, 2)
    greatest = 0.0
    for name, dataset in datasets.items():
        spread = dataset["binned_spread"].sel(channel=channel).values
        error = dataset["binned_error"].sel(channel=channel).values
        left.plot(spread, error, marker=styles[name].marker, ms=4, **styles[name].line())
        greatest = max(greatest, np.nanmax([spread, error], initial=0.0))
        ranks = dataset["rank_histogram"].sel(channel=channel).values.astype(float)
        # A rank's share times their number: 1 where all ranks are equally frequent, so that
        # ensembles of different sizes share the panel.
        level = ranks / ranks.sum() * len(ranks)
        places = (np.arange(len(ranks)) + 0.5) / len(ranks)
        right.plot(places, level, marker=styles[name].marker, ms=4, **styles[name].line())
    left.plot([0, greatest], [0, greatest], color="black", linewidth=1, zorder=1)
    units = units_of(next(iter(datasets.values())), "binned_spread", channel)
    left.set_xlabel(labelled("Spread of the members", units))
    left.set_ylabel(labelled("Error of their mean", units))
    left.set_xlim(left=0)
    left.set_ylim(bottom=0)
    left.set_title("Spread and error")
    right.axhline(1, color="black", linewidth=1, zorder=1)
    right.set_xlim(0, 1)
    right.set_ylim(bottom=0)
    right.set_xlabel("Rank of the truth among the members (share)")
    right.set_ylabel("Frequency relative to equal ranks")
    right.set_title("Rank histogram")
    figure.suptitle(f"Ensembles of {readable(channel)}", x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(datasets), styles, markers=True)
    return figure


@styled
def reliability_figure(
    ensembles: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws observed frequency against forecast probability, a panel for a threshold.

    Args:
        ensembles: By candidate: data sets or paths with ``forecast_probability`` and
            ``observed_frequency`` over ``channel``, ``quantile`` and ``probability_bin``.
        channel: The channel.
        styles: By candidate; by their order if None.

    Returns:
        The figure; reliable forecasts lie on the diagonal.

    Raises:
        InputError: No data set holds the frequencies.
    """
    datasets = {
        name: dataset
        for name, dataset in opened(ensembles).items()
        if name != TRUTH and "observed_frequency" in dataset
    }
    if not datasets:
        raise InputError("none of the data sets holds observed frequencies: nothing to draw.")
    styles = styles or candidate_styles(opened(ensembles))
    some = next(iter(datasets.values()))
    quantiles = some["quantile"].values
    figure = new_figure(1 + 2.9 * len(quantiles), 3.9)
    panels = figure.subplots(1, len(quantiles), sharey=True, squeeze=False)[0]
    for axes, quantile in zip(panels, quantiles):
        axes.plot([0, 1], [0, 1], color="black", linewidth=1, zorder=1)
        for name, dataset in datasets.items():
            here = dataset.sel(channel=channel, quantile=quantile)
            axes.plot(
                here["forecast_probability"].values,
                here["observed_frequency"].values,
                marker=styles[name].marker,
                ms=4,
                **styles[name].line(),
            )
        axes.set_title(f"above the {100 * float(quantile):g} % quantile", fontsize=9)
        axes.set_xlabel("Forecast probability")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
    panels[0].set_ylabel("Observed frequency")
    figure.suptitle(f"Reliability of {readable(channel)}", x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(datasets), styles, markers=True)
    return figure
