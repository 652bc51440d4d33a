"""``phire-train``: train a network on downscaling records."""

import click

from phire.cli.comma_separated import CommaSeparated
from phire.cli.command import Command
from phire.cli.part_choice import PartChoice
from phire.cli.paths import CONTENT, METRIC, RECORDS, RUN, STATISTICS
from phire.cli.shared_options import schedule_option, training_options, validation_option


@click.command("phire-train", cls=Command, tensorflow=True)
@click.argument("records", type=RECORDS)
@click.option("--out", required=True, type=click.Path(), help="The run directory to make.")
@validation_option
@click.option(
    "--network",
    type=PartChoice("network"),
    default="srgan",
    help="The network and its options: phire parts network.",
)
@click.option(
    "--objective",
    type=PartChoice(
        "objective",
        "phire.downscaling.objectives",
        checks={"content": CONTENT, "metric": METRIC, "residual": RUN},
    ),
    default="srgan",
    help="Training objective with options, such as srgan,content=mse: phire parts objective.",
)
@schedule_option("constant")
@click.option(
    "--epochs",
    type=CommaSeparated(int, name="N,..."),
    default="15,5",
    help="Epochs of each phase after a pretraining; 0, with one rate, pretrains alone.",
)
@click.option(
    "--learning-rates",
    type=CommaSeparated(float, name="RATE,..."),
    default="1e-4,1e-5",
    help="Learning rate of each phase.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=64, help="Samples of a batch.")
@click.option(
    "--conserve",
    is_flag=True,
    help="Give the output the block means of coarse channels that are targets.",
)
@click.option(
    "--pretrained",
    type=RUN,
    help="Run to start from: its generator, with the state of its Adam.",
)
@click.option(
    "--initialize-from",
    type=RUN,
    help="Run to copy the weights of corresponding layers from.",
)
@click.option(
    "--trainable",
    type=CommaSeparated(name="PATTERN,..."),
    default=(),
    help="Layers that learn, such as conv2d_1*; the others keep their weights.  [default: all]",
)
@click.option(
    "--select",
    type=click.Choice(["loss", "spectrum", "distance"]),
    default="loss",
    help="Score of which the best epoch has the least.",
)
@click.option(
    "--normalization",
    type=click.Choice(["z", "none"]),
    help="Bare TFRecord files: normalization to apply to them.",
)
@click.option(
    "--statistics", type=STATISTICS, help="Bare TFRecord files: JSON file of their statistics."
)
@click.option(
    "--channels",
    type=CommaSeparated(name="NAME,..."),
    help="Bare TFRecord files: names of their channels.",
)
@click.option(
    "--folds",
    type=int,
    default=0,
    help="Train as many further runs, each without a part of the times, for residual=RUN.",
)
@training_options
def main(records, out, **options):
    """Train a network on the downscaling records RECORDS."""
    from phire.downscaling.fold_training import train_with_folds

    train_with_folds(records, out, **options)
