"""``rplearn-features``: learned features of whole fields."""

from __future__ import annotations

import click

from phire.cli.command import Command
from phire.cli.paths import FIELDS, FIELDS_OUTPUT, METRIC
from phire.cli.shared_options import layer_option, time_option


@click.command("rplearn-features", cls=Command, tensorflow=True)
@click.argument("metric", type=METRIC)
@click.argument("source", type=FIELDS)
@click.argument("output", type=FIELDS_OUTPUT)
@layer_option
@time_option
def main(metric, source, output, layer, time, overwrite):
    """Compute the features of METRIC for the fields of SOURCE; write OUTPUT (.h5, .nc or .zarr).

    Each feature is a channel. Fields with missing values have missing features.
    """
    from phire.rplearn import export_features

    export_features(metric, source, output, layer=layer, time=time, overwrite=overwrite)
