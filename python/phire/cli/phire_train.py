"""``phire-train``: train a network on downscaling records."""

import click

from phire.cli.comma_separated import CommaSeparated
from phire.cli.command import Command
from phire.cli.part_choice import PartChoice
from phire.cli.paths import CONTENT, METRIC, RECORDS, RUN, STATISTICS
from phire.cli.shared_options import schedule_option, training_options, validation_option


@click.command("phire-train", cls=Command, tensorflow=True)
@click.argument("records", type=RECORDS)
@click.option("--out", required=True, type=click.Path(), help="Directory of the run.")
@validation_option
@click.option(
    "--network",
    type=PartChoice("network"),
    default="srgan",
    help="Network with options, such as unet,filters=64: phire parts network.",
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
    help="Epochs of each phase, without those of an objective's pretraining. 0 with one learning "
    "rate: pretraining only.",
)
@click.option(
    "--learning-rates",
    type=CommaSeparated(float, name="RATE,..."),
    default="1e-4,1e-5",
    help="Learning rate of each phase.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=64,
    help="Samples in a batch, over all devices.",
)
@click.option(
    "--conserve",
    is_flag=True,
    help="Make the output's block means equal the coarse input, for channels that both have.",
)
@click.option(
    "--pretrained",
    type=RUN,
    help="Run whose generator and Adam state to start from.",
)
@click.option(
    "--initialize-from",
    type=RUN,
    help="Run whose generator's weights to copy, for all layers that match.",
)
@click.option(
    "--trainable",
    type=CommaSeparated(name="PATTERN,..."),
    default=(),
    help="Layers to train, such as conv2d_1*; the others are frozen.  [default: all]",
)
@click.option(
    "--select",
    type=click.Choice(["loss", "spectrum", "distance"]),
    default="loss",
    help="Validation score that chooses the best epoch.",
)
@click.option(
    "--normalization",
    type=click.Choice(["z", "none"]),
    help="Bare TFRecord files: z to normalise them, none if they are normalised.",
)
@click.option(
    "--statistics",
    type=STATISTICS,
    help="Bare TFRecord files: JSON file of their means and standard deviations.",
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
    help="Also train this many runs, each without one part of the times (cross-validation); for a "
    "later --objective …,residual=RUN.",
)
@training_options
def main(records, out, **options):
    """Train a network on the downscaling records RECORDS.

    The same command resumes an interrupted run.
    """
    from phire.downscaling.cross_validation import train_with_folds

    train_with_folds(records, out, **options)
