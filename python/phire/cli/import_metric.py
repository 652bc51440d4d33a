"""``phire import-metric``: conversion of a model of the original AtmoDist to a metric."""

from __future__ import annotations

import click

from phire.cli.comma_separated import CommaSeparated
from phire.cli.command import Command
from phire.cli.paths import MODEL_FOLDER, STATISTICS


@click.command("import-metric", cls=Command, tensorflow=True)
@click.argument("folder", type=MODEL_FOLDER)
@click.argument("output", metavar="METRIC", type=click.Path())
@click.option(
    "--layer",
    type=int,
    default=None,
    help="Layer to compare: N of layerN_scale.txt.  [default: the deepest layer with a scale]",
)
@click.option(
    "--statistics",
    type=STATISTICS,
    default=None,
    help="JSON file of the normalization used in training.  [default: the published one of ERA5 "
    "divergence and vorticity on model level 120]",
)
@click.option(
    "--units",
    type=CommaSeparated(name="UNIT,..."),
    default=None,
    help="Units of the channels.  [default: 1/s with the published normalization]",
)
def main(folder, output, layer, statistics, units, overwrite):
    """Convert the model in FOLDER, of the original AtmoDist, to the metric METRIC.

    FOLDER holds encoder.json, encoder_weights.hdf5 and, for each layer with a known scale,
    layerN_scale.txt, such as layer196_scale.txt.
    """
    from phire.rplearn import import_metric

    import_metric(
        folder, output, layer=layer, statistics=statistics, units=units, overwrite=overwrite
    )
