"""``rplearn-train``: train a representation on pairs of patches."""

from __future__ import annotations

import click

from phire.cli.common import Command, training_options

BY_NETWORK = "[default: by the network]"


@click.command("rplearn-train", cls=Command, tensorflow=True)
@click.argument("records", type=click.Path())
@click.option("--validation", type=click.Path(), default=None, help="Held-out pair records.")
@click.option("--out", "run", required=True, type=click.Path(), help="The run's directory.")
@click.option(
    "--task",
    default="temporal-distance",
    type=click.Choice(["temporal-distance", "autoencoder", "inpainting"]),
    help="The pretext task.",
)
@click.option(
    "--network",
    default="resnet-small",
    help="The encoder: resnet-small, resnet-18, resnet-101, or tiny for a laptop.",
)
@click.option(
    "--network-option",
    "network_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument of the encoder, such as filters=16,32,64,128 or stem_filters=16.",
)
@click.option(
    "--head-filters", type=click.IntRange(min=1), default=128, help="Filters of the lag's head."
)
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
    "--clip-norm",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    help="Largest norm of a variable's gradient.",
)
@click.option(
    "--label-smoothing",
    type=click.FloatRange(0, 1),
    default=None,
    help=f"Share of probability given to all lags alike. {BY_NETWORK}: 0.",
)
@click.option("--flips", is_flag=True, help="Mirror pairs at random, where data are few.")
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
    help=f"Size of that set. {BY_NETWORK}: 2000.",
)
@click.option(
    "--cool-down-epochs",
    type=click.IntRange(min=0),
    default=None,
    help=f"Epochs at a tenth of the learning rate at the end. {BY_NETWORK}: 0, tiny 2.",
)
@click.option("--plateau-factor", type=float, default=0.1, help="Factor of the learning rate.")
@click.option(
    "--plateau-patience", type=click.IntRange(min=1), default=8, help="Epochs to wait for progress."
)
@click.option("--plateau-threshold", type=float, default=0.04, help="Least fall of the loss.")
@click.option("--lowest-learning-rate", type=float, default=1e-5, help="Floor of the rate.")
@click.option(
    "--validate-every",
    type=click.IntRange(min=1),
    default=None,
    help=f"Epochs between validations. {BY_NETWORK}: 3, tiny 1.",
)
@click.option(
    "--metric",
    type=click.Path(),
    default=None,
    help="For inpainting: a metric whose distance makes 0.9 of the loss.",
)
@training_options
def main(records, network_options, overwrite, **options):
    """Train an encoder on RECORDS of pairs; the same command continues an interrupted run."""
    from phire.errors import InputError
    from phire.rplearn import train_representation

    given = {}
    for option in network_options:
        name, separator, value = option.partition("=")
        if not separator:
            raise InputError(f"--network-option {option}: write NAME=VALUE.")
        given[name.replace("-", "_")] = value
    train_representation(records, network_options=given, overwrite=overwrite, **options)
