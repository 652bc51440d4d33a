"""Figures of ensembles: spread–error relation, rank histogram, reliability, ROC curve."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.label_text import labelled, readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.results_reading import Datasets, event_heading, opened, units_of
from phire.evaluation.figures.style import Style, candidate_styles, new_figure, panel_grid, styled
from phire.evaluation.results import TRUTH


@styled
def ensemble_figure(
    ensembles: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws the error of the mean against the spread, and the rank histogram of one channel.

    On the diagonal the spread equals the error. A flat rank histogram means that the ensemble is
    calibrated.

    Args:
        ensembles: Data sets or paths of ``ensemble.nc`` by candidate, with ``binned_spread`` and
            ``binned_error`` over ``channel`` and ``spread_bin``, ``rank_histogram(channel, rank)``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has a rank histogram.
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
        # The share of a rank times the number of ranks is 1 if all ranks are equally frequent,
        # whatever the number of members.
        level = ranks / ranks.sum() * len(ranks)
        places = (np.arange(len(ranks)) + 0.5) / len(ranks)
        right.plot(places, level, marker=styles[name].marker, ms=4, **styles[name].line())
    left.plot([0, greatest], [0, greatest], color="black", linewidth=1, zorder=1)
    units = units_of(next(iter(datasets.values())), "binned_spread", channel)
    left.set_xlabel(labelled("Spread of the members", units))
    left.set_ylabel(labelled("Error of the mean", units))
    left.set_xlim(left=0)
    left.set_ylim(bottom=0)
    left.set_title("Spread and error")
    right.axhline(1, color="black", linewidth=1, zorder=1)
    right.set_xlim(0, 1)
    # matplotlib's margin is a share of the data's span, which is small for a flat histogram.
    right.set_ylim(0, 1.1 * right.get_ylim()[1])
    right.set_xlabel("Rank of the truth among the members (share)")
    right.set_ylabel("Frequency relative to equal ranks")
    right.set_title("Rank histogram")
    figure.suptitle(f"Ensembles of {readable(channel)}", x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(datasets), styles, markers=True)
    return figure


@styled
def reliability_figure(
    probabilities: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws the observed frequency against the forecast probability, with a panel for each event.

    Reliable forecasts lie on the diagonal.

    Args:
        probabilities: Data sets or paths of ``probability.nc`` by candidate, with
            ``forecast_probability`` and ``observed_frequency`` over ``channel``, ``event`` and
            ``probability_bin``, and ``threshold(channel, event)``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has the frequencies.
    """
    axes = ("forecast_probability", "Forecast probability"), (
        "observed_frequency", "Observed frequency",
    )  # fmt: skip
    return _event_figure(probabilities, channel, styles, *axes, title="Reliability")


@styled
def operating_figure(
    probabilities: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws relative operating curves (ROC) with the areas below, with a panel for each event.

    Args:
        probabilities: Data sets or paths of ``probability.nc`` by candidate, with ``hit_rate`` and
            ``false_alarm_rate`` over ``channel``, ``event`` and ``votes``, ``roc_area`` and
            ``threshold`` over ``channel`` and ``event``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has the rates.
    """
    axes = ("false_alarm_rate", "False-alarm rate"), ("hit_rate", "Hit rate")
    return _event_figure(
        probabilities, channel, styles, *axes, title="Relative operating curves", area="roc_area"
    )


def _event_figure(
    results: Datasets,
    channel: str,
    styles: Mapping[str, Style] | None,
    across: tuple[str, str],
    up: tuple[str, str],
    *,
    title: str,
    area: str = "",
) -> Figure:
    """Draws curves within the unit square with its diagonal, with a panel for each event.

    Args:
        results: Data sets or paths by candidate.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.
        across, up: Variable and label of the horizontal and vertical axis.
        title: Title of the figure, to which the channel is appended.
        area: Variable over ``channel`` and ``event`` that is written into the panels; empty for
            none.

    Raises:
        InputError: No data set has the variable of the vertical axis.
    """
    datasets = {
        name: dataset
        for name, dataset in opened(results).items()
        if name != TRUTH and up[0] in dataset
    }
    if not datasets:
        raise InputError(f"none of the data sets holds {up[0]}: there is nothing to draw.")
    styles = styles or candidate_styles(opened(results))
    some = next(iter(datasets.values()))
    limits = some["threshold"].sel(channel=channel)
    events = [event for event in some["event"].values if limits.sel(event=event).notnull()]
    figure, grid = panel_grid(
        len(events), panel=(2.5, 3.3), margin=(1, 0.8), title=f"{title} of {readable(channel)}",
        sharey=True,
    )  # fmt: skip
    for axes, event in zip(grid, events):
        axes.plot([0, 1], [0, 1], color="black", linewidth=1, zorder=1)
        for i, (name, dataset) in enumerate(datasets.items()):
            selected = dataset.sel(channel=channel, event=event)
            x, y = (selected[variable].values for variable, _ in (across, up))
            axes.plot(x, y, marker=styles[name].marker, ms=4, **styles[name].line())
            if area:
                text, place = f"{float(selected[area]):.3f}", (0.97, 0.04 + 0.09 * i)
                axes.text(*place, text, color=styles[name].colour, ha="right", fontsize=8)
        axes.set_title(event_heading(some, channel, event), fontsize=9)
        axes.set_xlabel(across[1])
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel(up[1])
    legend_below(figure, list(datasets), styles, markers=True)
    return figure
