"""``rplearn-certainty``: maps of the certainty with which a network tells a lag."""

from __future__ import annotations

import click

from phire.cli.command import Command
from phire.cli.paths import FIELDS, NETCDF_OUTPUT, RUN


@click.command("rplearn-certainty", cls=Command, tensorflow=True)
@click.argument("run", type=RUN)
@click.argument("source", type=FIELDS)
@click.option("--out", "output", required=True, type=NETCDF_OUTPUT, help="NetCDF file of the maps.")
@click.option("--lag", type=int, required=True, help="Time steps between the fields of a pair.")
@click.option("--epoch", default="best", help="best (as rplearn-eval found it), or a number.")
@click.option("--stride", type=int, default=None, help="Points between windows. [half a patch]")
@click.option("--time", default=None, metavar="START,STOP", help="Half-open range of first fields.")
@click.option("--every", type=int, default=1, help="Use every so many-th field as a first one.")
@click.option("--batch-size", type=int, default=256, help="Windows at once.")
def main(run, source, output, overwrite, **options):
    """Map probability, accuracy, top-3 accuracy and entropy of RUN over SOURCE's fields.

    A window slides over whole fields; by location, season and hour of the day.
    """
    from phire.rplearn import certainty_maps

    certainty_maps(run, source, output, overwrite=overwrite, **options)
