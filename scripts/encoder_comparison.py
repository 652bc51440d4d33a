#!/usr/bin/env python
"""Draws the learned distances of several metrics against lag, side by side."""

from pathlib import Path

import click

from phire.cli.command import Command
from phire.errors import InputError


def draw(results, step_hours):
    """The distances, each over its own largest mean, and their rank correlation with lag."""
    from phire.evaluation.figures.style import candidate_styles, legend_below, new_figure

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


@click.command(cls=Command, overwrites=False)
@click.argument("results", nargs=-1, required=True, metavar="NAME=FILE...")
@click.option("--out", "output", required=True, type=click.Path(), help="The .png or .pdf file.")
@click.option("--step-hours", type=float, default=None, help="Hours of a time step, for the axes.")
def main(results, output, step_hours):
    """Compare encoders by their lag statistics, each NAME=METRIC/lag.nc."""
    from phire.evaluation.figures.style import save_figure, styled
    from phire.rplearn.results import read_results

    opened = {}
    for given in results:
        name, separator, path = given.partition("=")
        if not separator:
            name, path = Path(given).parent.name or given, given
        if name in opened:
            raise InputError(f"Two results are named {name!r}: name them, NAME=FILE.")
        opened[name] = read_results(path)
    save_figure(styled(draw)(opened, step_hours), output)


if __name__ == "__main__":
    main()
