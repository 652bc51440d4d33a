"""``phire plot KIND``: figures and animations of results, runs, metrics and fields."""

from __future__ import annotations

import click

from phire.cli.command import Command, CommandGroup
from phire.cli.paths import FIELDS, RUN, Named
from phire.cli.shared_options import time_option

STEP_HOURS = click.option(
    "--step-hours",
    type=float,
    default=None,
    help="Time step in hours, for axes in hours.  [default: axes in steps]",
)

RATE = click.option(
    "--rate", type=click.FloatRange(0.1, 60), default=4.0, help="Frames per second."
)


def require_new(output, overwrite):
    """Raises an InputError if the output exists and must not be replaced."""
    import os

    from phire.errors import InputError

    if os.path.lexists(output) and not overwrite:
        raise InputError(f"{output} exists: name another file, or pass --overwrite.")


@click.group("plot", cls=CommandGroup)
def main():
    """Draw figures and animations of results, runs, metrics and fields."""


@main.command("figures", cls=Command, overwrites=False)
@click.argument("results", type=click.Path())
@click.argument("names", nargs=-1)
@click.option("--list", "listing", is_flag=True, help="List the figures' names and stop.")
@click.option(
    "--out", type=click.Path(), help="Directory for the figures.  [default: RESULTS/figures]"
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["png", "pdf", "svg"]),
    default=["png", "pdf"],
    help="File format; may be repeated.",
)
@click.option(
    "--dpi", type=click.IntRange(30, 1200), default=160, help="Resolution, dots per inch."
)
@click.option("--report", is_flag=True, help="Also rewrite RESULTS/report.html.")
def figures(results, names, listing, out, formats, dpi, report):
    """Draw figures of RESULTS of phire-eval.

    NAMES are names or patterns such as 'spectrum-*'; by default all figures are drawn.
    """
    from phire.evaluation.figures import draw_all, figure_names
    from phire.evaluation.report import write_report

    if listing:
        for name, title in figure_names(results):
            click.echo(f"{name:44} {title}")
        return
    for path in draw_all(results, names=names or None, formats=formats, dpi=dpi, output=out):
        click.echo(path)
    if report:
        click.echo(write_report(results))


def _to_file(name, source):
    """Declares a subcommand that draws one file or folder to one picture."""

    def declare(function):
        command = click.argument("output", type=click.Path())(function)
        command = click.argument(source, type=click.Path())(command)
        return main.command(name, cls=Command, overwrites=False)(command)

    return declare


@_to_file("training-curves", "run")
def training_curves(run, output):
    """Draw losses and scores of RUN by epoch."""
    from phire.evaluation.figures.figure_saving import write_figure
    from phire.evaluation.figures.training_curve_plots import read_history, training_figure

    write_figure(training_figure(read_history(run)), output)


@_to_file("confusion-matrix", "results")
@STEP_HOURS
def confusion_matrix(results, output, step_hours):
    """Draw predicted against true lags, from RUN/evaluation/epoch-NNNN.nc."""
    from phire.evaluation.figures.figure_saving import write_figure
    from phire.fields.result_files import read_result
    from phire.rplearn.figures.confusion_matrix import VARIABLES, confusion_figure

    expected = "RUN/evaluation/epoch-NNNN.nc of a task that predicts lags"
    scores = read_result(results, VARIABLES, expected)
    write_figure(confusion_figure(scores, step_hours), output)


@_to_file("lag-distance", "results")
@STEP_HOURS
def lag_distance(results, output, step_hours):
    """Draw learned distance and pixel measures by lag, from METRIC/lag.nc."""
    from phire.evaluation.figures.figure_saving import write_figure
    from phire.fields.result_files import read_result
    from phire.rplearn.figures.lag_distance import (
        MEASURE_VARIABLES,
        VARIABLES,
        lag_figure,
    )

    required = (*VARIABLES, *MEASURE_VARIABLES)
    distances = read_result(results, required, "METRIC/lag.nc of rplearn-eval")
    write_figure(lag_figure(distances, step_hours), output)


@main.command("encoder-comparison", cls=Command, overwrites=False)
@click.argument("results", nargs=-1, required=True, metavar="NAME=FILE...")
@click.option("--out", "output", required=True, type=click.Path(), help="The picture.")
@STEP_HOURS
def encoder_comparison(results, output, step_hours):
    """Draw learned distances of several metrics by lag, from NAME=METRIC/lag.nc."""
    from phire.evaluation.figures.figure_saving import write_figure
    from phire.rplearn.figures.encoder_comparison import encoder_figure, read_named

    write_figure(encoder_figure(read_named(results), step_hours), output)


@_to_file("certainty-map", "results")
@click.option(
    "--group", default="all", help="Times: all, a season such as JJA, or an hour such as '00 UTC'."
)
def certainty_map(results, output, group):
    """Draw maps of a network's certainty, from a file of rplearn-certainty."""
    from phire.evaluation.figures.figure_saving import write_figure
    from phire.fields.result_files import read_result
    from phire.rplearn.figures.certainty_map import VARIABLES, certainty_figure

    certainty = read_result(results, VARIABLES, "a file of rplearn-certainty")
    write_figure(certainty_figure(certainty, group), output)


@_to_file("data-histogram", "results")
def data_histogram(results, output):
    """Draw histograms of the data, from RUN/evaluation/pixels.nc."""
    from phire.evaluation.figures.figure_saving import write_figure
    from phire.fields.result_files import read_result
    from phire.rplearn.figures.data_histogram import VARIABLES, histogram_figure

    histograms = read_result(results, VARIABLES, "RUN/evaluation/pixels.nc of rplearn-eval")
    write_figure(histogram_figure(histograms), output)


@main.command("animation", cls=Command)
@click.argument("truth", type=FIELDS)
@click.argument("output", type=click.Path())
@click.option("--candidate", "candidates", multiple=True, type=Named("FILE", FIELDS),
              help="Fields to show beside the truth; for an ensemble (dimension `member`) its mean "
              "and some members; may be repeated.")  # fmt: skip
@click.option("--channel", help="Channel to show.  [default: the first one of the truth]")
@click.option(
    "--members",
    type=click.IntRange(0),
    default=2,
    help="Largest number of members to show of each ensemble.",
)
@time_option
@RATE
def animation(truth, output, candidates, channel, members, time, rate, overwrite):
    """Animate truth, candidates and members in time, to OUTPUT (.gif or .mp4)."""
    from phire.evaluation.figures.animation import (
        evaluation_frames,
        require_writer,
        write_animation,
    )
    from phire.fields import open_fields

    require_writer(output)
    require_new(output, overwrite)
    named = {name: open_fields(path) for name, path in candidates}
    frames = evaluation_frames(
        open_fields(truth), named, channel=channel, times=time, members=members
    )
    click.echo(write_animation(frames, output, rate=rate))


@main.command("denoising", cls=Command, tensorflow=True)
@click.argument("run", type=RUN)
@click.argument("input", type=FIELDS)
@click.argument("output", type=click.Path())
@click.option("--channel", help="Channel to show.  [default: the first one of the run]")
@click.option(
    "--sampler",
    metavar="NAME,KEY=VALUE,...",
    help="Sampler and options: phire parts sampler.  [default: as in phire predict]",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the noise.")
@click.option("--coarsen", type=click.IntRange(2), help="Coarsen INPUT by this factor first.")
@time_option
@RATE
def denoising(run, input, output, rate, overwrite, **options):
    """Animate the denoising of one sample of RUN, to OUTPUT (.gif or .mp4).

    The sample is generated for the first field of INPUT.
    """
    from phire.downscaling.denoising_frames import denoising_frames
    from phire.evaluation.figures.animation import require_writer, write_animation

    require_writer(output)
    require_new(output, overwrite)
    click.echo(write_animation(denoising_frames(run, input, **options), output, rate=rate))


if __name__ == "__main__":
    main()
