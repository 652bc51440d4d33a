"""``rplearn-eval``: evaluation of a run against the time lag, and export of a metric."""

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
    help="Held-out pair records, by which the best epoch is chosen.",
)
@click.option(
    "--test",
    type=RECORDS,
    default=None,
    help="Pair records of another period, for unbiased scores of the chosen epoch.",
)
@click.option(
    "--out", "output", type=click.Path(), default=None, help="Directory of the metric to write."
)
@click.option("--layer", default="stage4", help="Encoder layer that the metric compares.")
@click.option(
    "--epoch", default="best", help="Epoch to export: a number, or best (lowest cross-entropy)."
)
@click.option("--batch-size", type=int, default=128, help="Pairs in a batch.")
@click.option(
    "--batches",
    type=int,
    default=None,
    help="Batches to evaluate on, from the first.  [default: all]",
)
def main(run, records, output, overwrite, **options):
    """Evaluate each epoch of RUN and export the best as a metric.

    Scores, confusion matrices and distances by lag are written to RUN/evaluation. The scores of the
    best epoch on the pairs that it was chosen by are biased: for scores to publish, name pairs of
    another period with --test.
    """
    from phire.rplearn import evaluate_representation

    evaluate_representation(run, records=records, output=output, overwrite=overwrite, **options)
