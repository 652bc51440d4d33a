"""Figure of the training history: losses and scores by epoch."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from phire.errors import InputError
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.style import candidate_styles, new_figure, styled

# Columns of the history that have a panel besides the loss, with the labels of their axes.
PANELS = {
    "cross_entropy": "cross-entropy (nats)",
    "accuracy": "accuracy",
    "top_3_accuracy": "top-3 accuracy",
    "pixel_loss": "pixel loss",
    "learned_loss": "learned loss",
}


@styled
def training_figure(history: pd.DataFrame) -> Figure:
    """Draws losses and scores of training and validation by epoch, with a panel for each.

    The epochs of all phases but the longest are shaded.

    Args:
        history: Table ``training.csv`` of a run: ``epoch``, ``phase``, ``loss`` and further
            columns.
    """
    names = ["loss", *[name for name in PANELS if name in history]]
    styles = candidate_styles(["training", "validation"])
    figure = new_figure(3.1 * len(names), 3.1)
    rows = figure.subplots(1, len(names), sharex=True, squeeze=False)[0]
    drawn = ["training"]
    for axes, name in zip(rows, names):
        _shade(axes, history)
        for label, column in (("training", name), ("validation", f"val_{name}")):
            if column not in history or history[column].isna().all():
                continue
            known = history[history[column].notna()]
            style = styles[label]
            axes.plot(
                known["epoch"], known[column], marker=style.marker, markersize=3, **style.line()
            )
            if label not in drawn:
                drawn.append(label)
        axes.set(xlabel="epoch", ylabel=PANELS.get(name, "loss"))
        axes.set_xlim(0.5, history["epoch"].max() + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_below(figure, drawn, styles, markers=True)
    return figure


def _shade(axes: Axes, history: pd.DataFrame) -> None:
    """Shades the epochs of all phases but the longest, with the name of the phase above."""
    longest = history["phase"].value_counts().idxmax()
    for phase, rows in history.groupby("phase", sort=False):
        if phase != longest:
            first, last = rows["epoch"].min(), rows["epoch"].max()
            axes.axvspan(first - 0.5, last + 0.5, color="#888888", alpha=0.16, linewidth=0)
            axes.text(
                (first + last) / 2,
                1.01,
                phase,
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="bottom",
                size=7,
            )


def read_history(run: str | os.PathLike) -> pd.DataFrame:
    """Reads the training history ``training.csv`` of a run.

    Raises:
        InputError: The file does not exist, or lacks a column.
    """
    table = Path(run) / "training.csv"
    if not table.is_file():
        raise InputError(f"{run} has no training.csv: name a run that has finished an epoch.")
    history = pd.read_csv(table)
    missing = {"epoch", "phase", "loss"} - set(history)
    if missing:
        raise InputError(
            f"{table} has no column {', '.join(sorted(missing))}: name the folder of a training."
        )
    return history
