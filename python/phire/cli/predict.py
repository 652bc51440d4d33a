"""``phire predict``: downscaling of whole fields with a trained network or an interpolation."""

import shlex

import click

from phire import progress
from phire.cli.command import Command, import_tensorflow
from phire.cli.paths import FIELDS_OUTPUT, INTERPOLATIONS, NAMED_FIELDS, CheckedPath
from phire.cli.shared_options import time_option


@click.command("predict", cls=Command)
@click.argument("run", type=CheckedPath("training.run_directory:open_run", INTERPOLATIONS))
@click.argument("input", type=NAMED_FIELDS)
@click.argument("output", type=FIELDS_OUTPUT)
@click.option(
    "--coarsen", type=int, help="Coarsen INPUT by this factor first, if it holds fine fields."
)
@time_option
@click.option("--network", default="generator", help="Name of the network in the run.")
@click.option(
    "--epoch", help="Epoch whose weights to use: a number or best.  [default: the end of training]"
)
@click.option(
    "--tile",
    type=int,
    help="Largest side of a tile, coarse points.  [default: 128; denoisers: one patch with "
    "attention, two with group normalization, else 288 fine points]",
)
@click.option(
    "--any-spacing", is_flag=True, help="Accept input with another grid spacing than in training."
)
@click.option(
    "--scale", type=int, help="Interpolations: fine points per coarse point along each axis."
)
@click.option(
    "--alignment",
    type=click.Choice(["cell", "corner"]),
    help="Interpolations: coarse points are the centres of their blocks or their first points.  "
    "[default: cell]",
)
@click.option(
    "--fill",
    type=click.Choice(["nearest", "mean"]),
    default="nearest",
    help="Runs: replace missing input by the nearest valid value or the channel's mean; the output "
    "is missing in these blocks.",
)
@click.option(
    "--minimum",
    type=float,
    help="Runs: lower bound of the output, such as 0 for rain; lower values are set to it.",
)
@click.option(
    "--trace",
    type=float,
    help="Runs, with --minimum: smallest measurable amount, such as 0.05 mm of rain; lower ones "
    "are set to the minimum.",
)
@click.option(
    "--consistency",
    type=click.Choice(["mean"]),
    help="Runs: make every member's block means equal the coarse field.",
)
@click.option(
    "--noise-memory",
    metavar="DURATION",
    help="Stochastic runs: correlation time of a member's noise, such as 6h.  [default: none]",
)
@click.option("--seed", type=int, help="Stochastic runs: seed of the random numbers.  [default: 0]")
@click.option(
    "--sampler",
    metavar="NAME,KEY=VALUE,...",
    help="Diffusion runs: sampler and options, such as dpmpp-2m,steps=20: phire parts sampler. "
    "Values separated by / give one output each.",
)
@click.option(
    "--members", type=int, help="Stochastic runs: number of ensemble members.  [default: 1]"
)
@click.option(
    "--statistic",
    type=click.Choice(["mean", "median"]),
    help="Runs of the objective likelihood, without --members: statistic to write.  "
    "[default: mean]",
)
@click.option(
    "--predictors", metavar="FILE[:NAMES]", type=NAMED_FIELDS, multiple=True,
    help="Runs: further coarse fields; may be repeated.  [default: the files of the records]",
)  # fmt: skip
@click.option(
    "--static", metavar="FILE[:NAMES]", type=NAMED_FIELDS, multiple=True,
    help="Runs: maps on the fine grid; may be repeated.  [default: those stored in the run]",
)  # fmt: skip
@click.option(
    "--auxiliary", metavar="FILE[:NAMES]", type=NAMED_FIELDS, multiple=True,
    help="Runs: time-dependent predictors on the fine grid; may be repeated.  [default: the files "
    "of the records]",
)  # fmt: skip
@click.option(
    "--stations", metavar="FILE.csv", type=click.Path(exists=True),
    help="Runs: station observations; see phire-data --help.",
)  # fmt: skip
def main(run, input, output, **options):
    """Downscale the coarse fields INPUT with the network of RUN; write OUTPUT (.h5, .nc or .zarr).

    RUN is a run of phire-train, or nearest, bilinear or bicubic for an interpolation.
    """
    from phire.downscaling.sampler_choice import check_samplers, swept_candidates

    if run not in INTERPOLATIONS:
        if options["sampler"] is not None:
            check_samplers(run, options["sampler"])
        import_tensorflow()
    from phire.downscaling import predict

    predict(run, input, output, **options)
    if "/" in (options["sampler"] or ""):
        named = map(shlex.quote, swept_candidates(output, options["sampler"]))
        candidates = "".join(f" --candidate {one}" for one in named)
        progress.say(f"Evaluate them together: phire-eval TRUTH --out RESULTS{candidates}")
