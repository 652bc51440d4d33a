#!/usr/bin/env python
"""Draws maps of how surely a network tells the lag."""

import click

from phire.cli.command import Command
from phire.errors import InputError

NAMES = {
    "probability": "probability of the true lag",
    "accuracy": "accuracy",
    "top_3_accuracy": "top-3 accuracy",
    "entropy": "entropy (nats)",
}


def draw(results, group):
    """Four maps: probability, accuracy, top-3 accuracy and entropy, by location."""
    from phire.evaluation.figures.style import SEQUENTIAL, new_figure

    groups = [str(name) for name in results["group"].values]
    if group not in groups:
        raise InputError(f"--group {group}: the results hold {', '.join(groups)}.")
    chosen = results.sel(group=group)
    figure = new_figure(9.0, 5.0)
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, NAMES.items()):
        image = axes.pcolormesh(
            results["longitude"], results["latitude"], chosen[name], cmap=SEQUENTIAL,
            shading="auto", vmin=0, vmax=float(chosen[name].max()) or 1.0,
        )  # fmt: skip
        axes.set_title(title)
        axes.grid(False)
        figure.colorbar(image, ax=axes, pad=0.02)
        axes.set(xlabel="longitude (° east)", ylabel="latitude (° north)")
        axes.label_outer()
    lag, count = results.attrs["lag"], int(chosen["count"])
    span = "all times" if group == "all" else group
    steps, pairs = ("step" if lag == 1 else "steps"), ("pair" if count == 1 else "pairs")
    figure.suptitle(f"lag of {lag} {steps}, {span}, {count} {pairs} of fields", size=10)
    return figure


@click.command(cls=Command, overwrites=False)
@click.argument("results", type=click.Path())
@click.argument("output", type=click.Path())
@click.option("--group", default="all", help="all, a season such as JJA, or an hour: '00 UTC'.")
def main(results, output, group):
    """Draw the maps in RESULTS (of rplearn-certainty) to OUTPUT (.png, .pdf)."""
    from phire.evaluation.figures.style import save_figure, styled
    from phire.rplearn.results import read_results

    save_figure(styled(draw)(read_results(results), group), output)


if __name__ == "__main__":
    main()
