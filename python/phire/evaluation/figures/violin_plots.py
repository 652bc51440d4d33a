"""Violin plots: distribution of scores over the fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.catalogue import definition
from phire.evaluation.figures.label_text import labelled, readable
from phire.evaluation.figures.results_reading import Datasets, opened, units_of
from phire.evaluation.figures.style import Style, candidate_styles, panel_grid, styled
from phire.evaluation.member_ranges import member_ends
from phire.evaluation.results import TRUTH


@styled
def violin_figure(
    scores: Datasets,
    *,
    channel: str,
    variables: Sequence[str],
    styles: Mapping[str, Style] | None = None,
) -> Figure:
    """Draws the distribution over time of each score as a violin plot, with a panel for each score.

    Widths are kernel densities, lines are medians. A bar beside a violin is the range over an
    ensemble's members of their scores of all fields.

    Args:
        scores: Data sets or paths by candidate, with ``variables`` over ``channel`` and ``time``.
        channel: The channel.
        variables: The scores.
        styles: Styles by candidate; None means styles in the order of the candidates.

    Raises:
        InputError: No data set has a score.
    """
    datasets = {name: one for name, one in opened(scores).items() if name != TRUTH}
    shown = [v for v in variables if any(v in one for one in datasets.values())]
    if not shown:
        raise InputError(f"none of the data sets holds {variables[0]}: there is nothing to draw.")
    styles = styles or candidate_styles(datasets)
    title = f"Scores of {readable(channel)} over the fields"
    panel = (max(2.6, 0.8 * len(datasets)), 2.6)
    figure, panels = panel_grid(
        len(shown), panel=panel, margin=(1, 0.8), most_columns=3, title=title
    )
    for axes, variable in zip(panels, shown):
        for place, (name, dataset) in enumerate(datasets.items()):
            values = dataset[variable].sel(channel=channel).values
            values = values[np.isfinite(values)]
            # A kernel density needs two different values.
            if len(np.unique(values)) > 1:
                drawn = axes.violinplot([values], [place], widths=0.8, showextrema=False)
                for body in drawn["bodies"]:
                    body.set(facecolor=styles[name].colour, alpha=0.5)
            ends = [end for end in member_ends(f"{variable}_mean") if end in dataset]
            if ends:
                range_ = [float(dataset[end].sel(channel=channel)) for end in ends]
                axes.plot([place + 0.3] * 2, range_, color=styles[name].colour, linewidth=3)
            if len(values):
                ends = [place - 0.2, place + 0.2]
                axes.plot(ends, [np.median(values)] * 2, color=styles[name].colour, linewidth=2)
        known = definition(variable)
        axes.set_title(f"{known.title} {known.direction}", fontsize=9)
        units = units_of(next(iter(datasets.values())), variable, channel)
        axes.set_ylabel(labelled("", units).strip(" ()"))
        axes.set_xticks(range(len(datasets)), list(datasets), rotation=20)
    return figure
