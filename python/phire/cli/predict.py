"""``phire predict``."""

import click

from phire.cli.command import Command, import_tensorflow
from phire.cli.paths import FIELDS_OUTPUT, INTERPOLATIONS, NAMED_FIELDS, CheckedPath
from phire.cli.shared_options import time_option


@click.command("predict", cls=Command)
@click.argument("run", type=CheckedPath("training.run_directory:open_run", INTERPOLATIONS))
@click.argument("input", type=NAMED_FIELDS)
@click.argument("output", type=FIELDS_OUTPUT)
@click.option("--coarsen", type=int, help="Take fine fields and coarsen them by this first.")
@time_option
@click.option("--network", default="generator", help="Name of the network in the run.")
@click.option("--epoch", help="A number or best.  [default: the end of training]")
@click.option("--tile", type=int, help="Largest side of a tile in coarse pixels.  [default: 128]")
@click.option("--any-spacing", is_flag=True, help="Take input of another spacing than trained on.")
@click.option("--scale", type=int, help="Interpolations: how much finer the output is.")
@click.option(
    "--alignment",
    type=click.Choice(["cell", "corner"]),
    help="Interpolations: coarse points are centres of blocks or their first points.",
)
@click.option(
    "--fill",
    type=click.Choice(["nearest", "mean"]),
    default="nearest",
    help="Runs: what stands for missing input, the nearest valid value or the channel's mean; its "
    "own blocks are missing in the output.",
)
@click.option(
    "--minimum",
    type=float,
    help="Runs: the least physical value of the output, such as 0 for rain; lower ones are set to "
    "it.",
)
@click.option(
    "--trace",
    type=float,
    help="Runs, with --minimum: the least amount that is measured, such as 0.05 mm of rain; lower "
    "values are set to the minimum.",
)
@click.option(
    "--consistency",
    type=click.Choice(["mean"]),
    help="Runs: give every member the coarse field's block means.",
)
@click.option(
    "--noise-memory",
    metavar="DURATION",
    help="Runs with noise: time over which a member's noise is correlated, such as 6h.  "
    "[default: none]",
)
@click.option("--seed", type=int, help="Stochastic runs: seed of the random numbers.  [default: 0]")
@click.option(
    "--sampler",
    metavar="NAME,KEY=VALUE,...",
    help="Denoisers: sampler and options, such as dpmpp-2m,steps=20: phire parts sampler.",
)
@click.option("--members", type=int, help="Stochastic runs: members of the ensemble.  [default: 1]")
@click.option(
    "--statistic",
    type=click.Choice(["mean", "median"]),
    help="Runs of the objective likelihood: statistic to write without --members.  [default: mean]",
)
@click.option(
    "--predictors", metavar="FILE[:NAMES]", type=NAMED_FIELDS, multiple=True,
    help="Runs: further coarse fields; may be repeated.  [default: those of the records]",
)  # fmt: skip
@click.option(
    "--static", metavar="FILE[:NAMES]", type=NAMED_FIELDS, multiple=True,
    help="Runs: maps on the fine grid.  [default: those that the run keeps]",
)  # fmt: skip
@click.option(
    "--auxiliary", metavar="FILE[:NAMES]", type=NAMED_FIELDS, multiple=True,
    help="Runs: predictors in time on the fine grid.  [default: those of the records]",
)  # fmt: skip
@click.option(
    "--stations", metavar="FILE.csv", type=click.Path(exists=True),
    help="Runs: observations of stations.",
)  # fmt: skip
def main(run, input, output, **options):
    """Refine the coarse fields INPUT by the generator of RUN; write OUTPUT (.h5, .nc or .zarr).

    For RUN also nearest, bilinear or bicubic: an interpolation to compare with.
    """
    from phire.downscaling.sampler_choice import check_samplers

    if run not in INTERPOLATIONS:
        if options["sampler"] is not None:
            check_samplers(run, options["sampler"])
        import_tensorflow()
    from phire.downscaling import predict

    predict(run, input, output, **options)
