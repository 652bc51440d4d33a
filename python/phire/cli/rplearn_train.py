"""``rplearn-train``: training of an encoder on pairs of patches."""

from __future__ import annotations

import click

from phire.cli.command import Command
from phire.cli.part_choice import PartChoice
from phire.cli.paths import RECORDS
from phire.cli.shared_options import schedule_option, training_options, validation_option


@click.command("rplearn-train", cls=Command, tensorflow=True)
@click.argument("records", type=RECORDS)
@validation_option
@click.option("--out", "run", required=True, type=click.Path(), help="Directory of the run.")
@click.option(
    "--network",
    type=PartChoice("encoder"),
    default="resnet-small",
    help="Encoder with options: phire parts encoder; tiny trains on a laptop.",
)
@click.option(
    "--objective",
    type=PartChoice("objective", "phire.rplearn"),
    default="temporal-distance",
    help="Pretext task with options: phire parts objective.",
)
@schedule_option("plateau")
@click.option(
    "--classes", type=int, default=None, help="Number of lags.  [default: all in the records]"
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=None,
    help="Epochs on all data, after the warm-up.  [default: 60; tiny: 3]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=None,
    help="Pairs in a batch, over all devices.  [default: 128; tiny: 64]",
)
@click.option(
    "--optimizer",
    type=click.Choice(["sgd", "adam"]),
    default=None,
    help="Optimizer; sgd has momentum 0.9.  [default: sgd; tiny: adam]",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="Initial learning rate.  [default: 0.1 for sgd, 0.001 for adam]",
)
@click.option(
    "--clip-variable-norm",
    type=float,
    help="Largest norm of the gradient of each variable.  [default: 5, without other clipping]",
)
@click.option(
    "--warm-up-epochs",
    type=click.IntRange(min=0),
    default=None,
    help="Epochs on one fixed set of batches, at the beginning.  [default: 20; tiny: 0]",
)
@click.option(
    "--warm-up-batches",
    type=click.IntRange(min=1),
    default=None,
    help="Number of batches in this set.  [default: 2000]",
)
@click.option(
    "--cool-down-epochs",
    type=click.IntRange(min=0),
    default=None,
    help="Epochs at a tenth of the learning rate, at the end.  [default: 0; tiny: 2]",
)
@click.option(
    "--validate-every",
    type=click.IntRange(min=1),
    default=None,
    help="Epochs between validations.  [default: 3; tiny: 1]",
)
@training_options
def main(records, **options):
    """Train an encoder on the pair records RECORDS.

    The same command resumes an interrupted run.
    """
    from phire.rplearn import train_representation

    train_representation(records, **options)
