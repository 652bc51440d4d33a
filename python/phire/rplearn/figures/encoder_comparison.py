"""Learned distances of several metrics by lag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from phire.errors import InputError
from phire.evaluation.figures.legend import legend_below
from phire.evaluation.figures.style import candidate_styles, new_figure, styled
from phire.fields.result_files import read_result
from phire.rplearn.figures.lag_distance import VARIABLES


@styled
def encoder_figure(results: Mapping[str, xr.Dataset], step_hours: float | None = None) -> Figure:
    """Draws distances by lag, each divided by its largest mean, and their rank correlations.

    Args:
        results: ``METRIC/lag.nc`` of each metric, by name.
        step_hours: Time step in hours, for axes in hours; None draws axes in steps.
    """
    styles = candidate_styles(results)
    figure = new_figure(7.4, 3.4)
    curves, bars = figure.subplots(1, 2, width_ratios=(2, 1))
    for name, result in results.items():
        lags = result["lag"].to_numpy() * (step_hours or 1)
        mean, spread = (result[f"learned_{part}"].to_numpy() for part in ("mean", "std"))
        style, top = styles[name], mean.max()
        curves.fill_between(
            lags,
            (mean - spread) / top,
            (mean + spread) / top,
            color=style.colour,
            alpha=0.12,
            linewidth=0,
        )
        curves.plot(lags, mean / top, marker=style.marker, markersize=4, **style.line())
    curves.set(xlabel=f"lag ({'h' if step_hours else 'steps'})", ylabel="distance / largest mean")
    every = -(-len(lags) // 6)
    curves.set_xticks(lags[every - 1 :: every])
    curves.set_ylim(bottom=0)
    curves.set_title("mean ± standard deviation")
    values = [float(result["learned_spearman"]) for result in results.values()]
    bars.barh(range(len(values)), values, color=[styles[name].colour for name in results])
    for row, value in enumerate(values):
        bars.text(value, row, f" {value:.2f}", va="center", size=8)
    bars.set_yticks(range(len(values)), list(results))
    bars.invert_yaxis()
    bars.grid(axis="y", visible=False)
    bars.margins(x=0.18)
    bars.set_title("rank correlation with lag")
    legend_below(figure, list(results), styles, markers=True)
    return figure


def read_named(given: Sequence[str]) -> dict[str, xr.Dataset]:
    """Reads result files by name.

    Args:
        given: ``NAME=FILE``; the default name of a file is that of its folder.

    Raises:
        InputError: Two results have the same name, a file does not exist or is of another kind.
    """
    opened = {}
    for text in given:
        name, separator, path = text.partition("=")
        if not separator:
            name, path = Path(text).parent.name or text, text
        if name in opened:
            raise InputError(f"two results are named {name!r}: name them, NAME=FILE.")
        opened[name] = read_result(path, VARIABLES, "METRIC/lag.nc of rplearn-eval")
    return opened
