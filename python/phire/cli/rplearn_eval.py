"""``rplearn-eval``: evaluate a run against time lag and make its metric."""

from __future__ import annotations

import click

from phire.cli.command import Command
from phire.cli.paths import RECORDS, RUN


@click.command("rplearn-eval", cls=Command, tensorflow=True)
@click.argument("run", type=RUN)
@click.option(
    "--records",
    required=True,
    type=RECORDS,
    help="Held-out pairs, to choose by.",
)
@click.option(
    "--test",
    type=RECORDS,
    default=None,
    help="Pair records of another period, to judge the chosen epoch by.",
)
@click.option(
    "--out", "output", type=click.Path(), default=None, help="The metric's directory to write."
)
@click.option("--layer", default="stage4", help="Encoder layer that the metric compares.")
@click.option(
    "--epoch", default="best", help="best (lowest cross-entropy of all epochs), or a number."
)
@click.option("--batch-size", type=int, default=128, help="Pairs at once.")
@click.option("--batches", type=int, default=None, help="Only the first so many batches.")
def main(run, records, output, overwrite, **options):
    """Evaluate each epoch of RUN and export the best as a metric.

    Scores, confusion matrices and distances against lag go to RUN/evaluation. An epoch chosen by
    its scores on some pairs looks better on these than it is: for scores to report, name pairs of
    another period with --test.
    """
    from phire.rplearn import evaluate_representation

    evaluate_representation(run, records=records, output=output, overwrite=overwrite, **options)
