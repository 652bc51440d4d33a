"""``rplearn-certainty``: maps of a network's certainty about a lag."""

from __future__ import annotations

import click

from phire.cli.command import Command
from phire.cli.paths import FIELDS, NETCDF_OUTPUT, RUN


@click.command("rplearn-certainty", cls=Command, tensorflow=True)
@click.argument("run", type=RUN)
@click.argument("source", type=FIELDS)
@click.option(
    "--out", "output", required=True, type=NETCDF_OUTPUT, help="NetCDF file for the maps."
)
@click.option("--lag", type=int, required=True, help="Time steps between the fields of a pair.")
@click.option("--epoch", default="best", help="Epoch: a number, or best (by rplearn-eval).")
@click.option(
    "--stride", type=int, default=None, help="Points between windows.  [default: half a patch]"
)
@click.option(
    "--time",
    default=None,
    metavar="START,STOP",
    help="Half-open range of the first fields of pairs.  [default: all]",
)
@click.option(
    "--every", type=int, default=1, help="Use only every N-th field as the first one of a pair."
)
@click.option("--batch-size", type=int, default=256, help="Windows in a batch.")
def main(run, source, output, overwrite, **options):
    """Map how certain RUN is of the time lag between fields of SOURCE.

    The maps are the probability of the true lag, accuracy, top-3 accuracy and entropy.

    A window slides over whole fields; the maps are also computed by season and hour of the day.
    """
    from phire.rplearn import certainty_maps

    certainty_maps(run, source, output, overwrite=overwrite, **options)
