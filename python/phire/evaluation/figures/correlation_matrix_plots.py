"""Figure of the correlations between channels."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.label_text import readable
from phire.evaluation.figures.results_reading import Datasets, opened
from phire.evaluation.figures.style import panel_grid, styled
from phire.evaluation.member_ranges import member_ends
from phire.evaluation.results import TRUTH

VARIABLE = "channel_correlation"


@styled
def correlation_matrix_figure(correlations: Datasets, *, title: str = "") -> Figure:
    """Draws the matrix of correlations between channels, in a panel for truth and each candidate.

    For an ensemble, the range over the members is written below each correlation.

    Args:
        correlations: Data sets or paths by candidate, the truth under ``truth``, with
            ``channel_correlation`` over ``channel`` and ``other``.
        title: Title of the figure.

    Raises:
        InputError: No data set has correlations.
    """
    datasets = {n: one for n, one in opened(correlations).items() if VARIABLE in one}
    if not datasets:
        raise InputError(f"none of the data sets holds {VARIABLE}: there is nothing to draw.")
    channels = [str(name) for name in next(iter(datasets.values()))["channel"].values]
    side = max(2.4, 0.75 * len(channels))
    figure, panels = panel_grid(len(datasets), panel=(side + 0.5, side), margin=(1, 0.8),
                                least_width=5, title=title)  # fmt: skip
    names = [readable(name) for name in channels]
    ends = member_ends(VARIABLE)
    for axes, (name, dataset) in zip(panels, datasets.items()):
        values = dataset[VARIABLE].values
        axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
        for row, column in np.ndindex(values.shape):
            text = f"{values[row, column]:.2f}".replace("-", "−")
            if row != column and all(end in dataset for end in ends):
                low, high = (float(dataset[end].values[row, column]) for end in ends)
                text += f"\n({low:.2f} … {high:.2f})".replace("-", "−")
            dark = abs(values[row, column]) > 0.6
            axes.text(column, row, text, ha="center", va="center", fontsize=8,
                      color="white" if dark else "black")  # fmt: skip
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.grid(visible=False)
        axes.set_title("Truth" if name == TRUTH else name)
    return figure
