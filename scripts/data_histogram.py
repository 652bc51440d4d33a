#!/usr/bin/env python
"""Draws the histogram of the data, z-scored and as the network sees it."""

import click
import numpy as np

from phire.cli.command import Command


def draw(results):
    """A panel a channel, the density on a logarithmic axis, beside the normal distribution's."""
    from phire.evaluation.figures.style import (
        candidate_styles,
        legend_below,
        new_figure,
        readable,
    )

    channels = [str(name) for name in results["channel"].values]
    spaces = [str(name) for name in results["space"].values]
    styles = candidate_styles([*spaces, "normal distribution"])
    values = results["value"].to_numpy()
    figure = new_figure(3.6 * len(channels) + 0.6, 3.2)
    panels = figure.subplots(1, len(channels), sharey=True, squeeze=False)[0]
    for axes, channel in zip(panels, channels):
        for space in spaces:
            density = results["density"].sel(channel=channel, space=space).to_numpy()
            axes.plot(values, np.where(density > 0, density, np.nan), **styles[space].line())
        normal = np.exp(-(values**2) / 2) / np.sqrt(2 * np.pi)
        axes.plot(values, normal, **styles["normal distribution"].line())
        axes.set(yscale="log", ylim=(1e-6, 3), xlabel="standard deviations")
        axes.set_title(readable(channel))
    panels[0].set_ylabel("density")
    legend_below(figure, [*spaces, "normal distribution"], styles)
    return figure


@click.command(cls=Command, overwrites=False)
@click.argument("results", type=click.Path())
@click.argument("output", type=click.Path())
def main(results, output):
    """Draw the histogram in RESULTS (RUN/evaluation/pixels.nc) to OUTPUT (.png, .pdf)."""
    from phire.evaluation.figures.style import save_figure, styled
    from phire.rplearn.results import read_results

    save_figure(styled(draw)(read_results(results)), output)


if __name__ == "__main__":
    main()
