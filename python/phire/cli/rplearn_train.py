"""``rplearn-train``: train a representation on pairs of patches."""

from __future__ import annotations

import click

from phire.cli.command import Command
from phire.cli.part_choice import PartChoice
from phire.cli.paths import RECORDS
from phire.cli.shared_options import schedule_option, training_options, validation_option

BY_NETWORK = "[default: by the network]"


@click.command("rplearn-train", cls=Command, tensorflow=True)
@click.argument("records", type=RECORDS)
@validation_option
@click.option("--out", "run", required=True, type=click.Path(), help="The run's directory.")
@click.option(
    "--network",
    type=PartChoice("encoder"),
    default="resnet-small",
    help="The encoder and its options: phire parts encoder; tiny for a laptop.",
)
@click.option(
    "--objective",
    type=PartChoice("objective", "phire.rplearn"),
    default="temporal-distance",
    help="The pretext task and its options: phire parts objective.",
)
@schedule_option("plateau")
@click.option(
    "--classes", type=int, default=None, help="Lags to tell apart; by default all in the records."
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=None,
    help=f"Epochs after the warm-up. {BY_NETWORK}: 60, tiny 3.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=None,
    help=f"Pairs a step. {BY_NETWORK}: 128, tiny 64.",
)
@click.option(
    "--optimizer",
    type=click.Choice(["sgd", "adam"]),
    default=None,
    help=f"sgd has momentum 0.9. {BY_NETWORK}: sgd, tiny adam.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="At the beginning. [default: by the optimizer]: sgd 0.1, adam 0.001.",
)
@click.option(
    "--clip-variable-norm",
    type=float,
    help="Largest norm of a variable's gradient.  [default: 5, unless clipped otherwise]",
)
@click.option(
    "--warm-up-epochs",
    type=click.IntRange(min=0),
    default=None,
    help=f"Epochs on one fixed set of batches before. {BY_NETWORK}: 20, tiny 0.",
)
@click.option(
    "--warm-up-batches",
    type=click.IntRange(min=1),
    default=None,
    help=f"Batches in that set. {BY_NETWORK}: 2000.",
)
@click.option(
    "--cool-down-epochs",
    type=click.IntRange(min=0),
    default=None,
    help=f"Epochs at a tenth of the learning rate at the end. {BY_NETWORK}: 0, tiny 2.",
)
@click.option(
    "--validate-every",
    type=click.IntRange(min=1),
    default=None,
    help=f"Epochs between validations. {BY_NETWORK}: 3, tiny 1.",
)
@training_options
def main(records, **options):
    """Train an encoder on RECORDS of pairs; the same command continues an interrupted run."""
    from phire.rplearn import train_representation

    train_representation(records, **options)
