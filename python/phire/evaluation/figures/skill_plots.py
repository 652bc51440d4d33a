"""Figures of skill by scale: fractions skill score, large errors, projections."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from phire.errors import InputError
from phire.evaluation.catalogue import definition
from phire.evaluation.figures.label_text import readable
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.member_bands import draw_member_band, member_edges
from phire.evaluation.figures.results_reading import Datasets, event_heading, opened
from phire.evaluation.figures.style import OF_MEMBERS, Style, candidate_styles, new_figure, styled
from phire.evaluation.figures.tick_labels import plain_ticks
from phire.evaluation.member_ranges import member_ends
from phire.evaluation.results import TRUTH


@styled
def fractions_skill_figure(
    scores: Datasets,
    *,
    channel: str,
    styles: Mapping[str, Style] | None = None,
    variable: str = "fractions_skill_score",
) -> Figure:
    """Draws the fractions skill score against the square's side, with a panel for each threshold.

    The best score is 1. The dotted line at 0.5 is the usual limit of useful skill for rare events.

    Args:
        scores: Data sets or paths by candidate, with the score over ``channel``, ``event`` and
            ``window``, ``threshold(channel, event)`` and perhaps ``window_km(window)``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.
        variable: Name of the score, ``fractions_skill_score`` or ``member_fractions_skill_score``.

    Raises:
        InputError: No data set has the score.
    """
    datasets = _having_variable(scores, variable)
    styles = styles or candidate_styles(opened(scores))
    some = next(iter(datasets.values()))
    limits = some["threshold"].sel(channel=channel)
    events = [event for event in some["event"].values if limits.sel(event=event).notnull()]
    figure = new_figure(1 + 2.8 * len(events), 3.6)
    panels = figure.subplots(1, len(events), sharey=True, squeeze=False)[0]
    kilometres = "window_km" in some and np.isfinite(some["window_km"].values).all()
    sizes = np.asarray(some["window_km" if kilometres else "window"].values, float)
    for axes, event in zip(panels, events):
        axes.axhline(0.5, color="#777777", linewidth=0.8, dashes=(2, 2), zorder=1)
        for name, dataset in datasets.items():
            values = dataset[variable].sel(channel=channel, event=event)
            draw_member_band(
                axes, sizes, dataset, variable, styles[name],
                select=lambda array, event=event: array.sel(channel=channel, event=event),
            )  # fmt: skip
            axes.plot(
                sizes,
                values.transpose("window").values,
                marker=styles[name].marker,
                ms=4,
                **styles[name].line(),
            )
        heading = event_heading(some, channel, event)
        axes.set_title(heading, fontsize=9)
        axes.set_xscale("log")
        limits = (sizes.min() / 1.2, sizes.max() * 1.2)
        axes.set_xlim(*limits)
        plain_ticks(axes.xaxis, limits, most=5)
        axes.set_xlabel("Side of the square (km)" if kilometres else "Side of the square (points)")
    panels[0].set_ylabel("Fractions skill score")
    panels[0].set_ylim(top=1.02)
    title = f"{definition(variable).title} of {readable(channel)}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(datasets), styles, markers=True)
    return figure


@styled
def large_error_figure(
    errors: Datasets, *, channel: str, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws the share of the area with errors beyond multiples of the truth's deviation.

    There is a panel for each degree at which errors and truth were high-passed.

    Args:
        errors: Data sets or paths by candidate, with ``exceedance`` over ``channel``, ``degree``
            and ``multiple``.
        channel: The channel.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has ``exceedance``.
    """
    datasets = _having_variable(errors, "exceedance")
    styles = styles or candidate_styles(opened(errors))
    some = next(iter(datasets.values()))
    degrees = some["degree"].values
    figure = new_figure(1 + 2.8 * max(len(degrees), 2), 3.6)
    panels = figure.subplots(1, len(degrees), sharey=True, squeeze=False)[0]
    for axes, degree in zip(panels, degrees):
        for name, dataset in datasets.items():
            values = dataset["exceedance"].sel(channel=channel, degree=degree)
            values = values.transpose("multiple").values
            draw_member_band(
                axes, dataset["multiple"].values, dataset, "exceedance", styles[name],
                select=lambda array, degree=degree: array.sel(channel=channel, degree=degree),
            )  # fmt: skip
            axes.plot(
                dataset["multiple"].values,
                np.where(values > 0, values, np.nan),
                marker=styles[name].marker,
                ms=4,
                **styles[name].line(),
            )
        axes.set_title(f"degrees above {int(degree)}" if degree > 0 else "all degrees")
        axes.set_xlabel("Error / standard deviation of the truth")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_yscale("log")
    panels[0].set_ylabel("Share of the area beyond")
    figure.suptitle(f"Large errors of {readable(channel)}", x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(datasets), styles, markers=True)
    return figure


@styled
def projection_figure(
    projections: Datasets, *, styles: Mapping[str, Style] | None = None
) -> Figure:
    """Draws the distances of projected fields, with a panel for each distance.

    Wasserstein-1 and Fréchet distance are better further left, the RV coefficient further right.
    Pale bars are the range over an ensemble's members.

    Args:
        projections: Data sets or paths by candidate, with ``wasserstein_mean``, ``frechet`` and
            ``rv_coefficient`` over ``projection``.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has projections.
    """
    datasets = _having_variable(projections, "wasserstein_mean")
    styles = styles or candidate_styles(opened(projections))
    some = next(iter(datasets.values()))
    shown = [
        (name, title)
        for name, title in (
            ("wasserstein_mean", "Wasserstein-1 distance ↓"),
            ("frechet", "Fréchet distance ↓"),
            ("rv_coefficient", "RV coefficient ↑"),
        )
        if name in some
    ]
    kinds = [str(kind) for kind in some["projection"].values]
    figure = new_figure(1 + 3.2 * len(shown), 0.9 + len(kinds) * (0.5 + 0.2 * len(datasets)))
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, (variable, title) in zip(panels, shown):
        _draw_distances(axes, datasets, variable, styles)
        axes.set_title(title)
        greatest = max(
            float(dataset[name].max())
            for dataset in datasets.values()
            for name in (variable, member_ends(variable)[1])
            if name in dataset
        )
        axes.set_yticks(range(len(kinds)), [f"{kind} projections" for kind in kinds])
        axes.set_ylim(len(kinds) - 0.5, -0.5)
        axes.set_xlim(0, 1.08 * greatest if greatest > 0 else 1)
        axes.grid(axis="y", visible=False)
    figure.suptitle("Distances of projected fields", x=0.01, ha="left", fontsize=12)
    legend_below(figure, list(datasets), styles, markers=True)
    return figure


def _draw_distances(
    axes: Axes, datasets: Datasets, variable: str, styles: Mapping[str, Style]
) -> None:
    """Draws one distance of all candidates, in a row for each kind of projection."""
    for i, (name, dataset) in enumerate(datasets.items()):
        shift = (i - (len(datasets) - 1) / 2) * 0.6 / len(datasets)
        values = dataset[variable].transpose("projection").values
        rows = np.arange(len(values)) + shift
        edges = member_edges(dataset, variable, lambda array: array.transpose("projection"))
        if edges is not None:
            axes.hlines(
                rows, *edges, color=styles[name].colour, linewidth=5,
                alpha=2 * styles[name].opacity, label=OF_MEMBERS,
            )  # fmt: skip
        axes.plot(
            values, rows, linestyle="", marker=styles[name].marker, color=styles[name].colour, ms=7
        )


def _having_variable(datasets: Datasets, variable: str) -> dict:
    """Returns the data sets of candidates that have a variable.

    Raises:
        InputError: No data set has it.
    """
    found = {
        name: dataset
        for name, dataset in opened(datasets).items()
        if name != TRUTH and variable in dataset
    }
    if not found:
        raise InputError(f"none of the data sets holds {variable}: there is nothing to draw.")
    return found
