"""``phire import-metric``: a metric of a model folder of the original AtmoDist."""

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
    help="N of layerN_scale.txt; by default the deepest layer with a scale.",
)
@click.option(
    "--statistics",
    type=STATISTICS,
    default=None,
    help="JSON file of the normalization trained with; by default the published one of ERA5 "
    "divergence and vorticity on model level 120.",
)
@click.option("--units", type=CommaSeparated(), default=None, help="Units of the channels.")
def main(folder, output, layer, statistics, units, overwrite):
    """Make a metric of a model folder of the original AtmoDist.

    FOLDER holds encoder.json, encoder_weights.hdf5 and a layerN_scale.txt for each layer with a
    known scale, such as layer196_scale.txt.
    """
    from phire.rplearn import import_metric

    import_metric(
        folder, output, layer=layer, statistics=statistics, units=units, overwrite=overwrite
    )
