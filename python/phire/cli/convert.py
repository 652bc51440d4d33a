"""``phire convert``: other formats to a field store."""

from __future__ import annotations

import click

from phire.cli.common import Command, CommaSeparated


@click.command("convert", cls=Command)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path())
@click.argument("output", type=click.Path())
@click.option(
    "--variables",
    type=CommaSeparated(str, name="NAME[=VARIABLE],..."),
    help="Variables to take, a channel each, renamed where NAME= is given.  [default: all; with "
    "--wind none but the wind]",
)
@click.option(
    "--wind",
    type=CommaSeparated(str, 2, "U,V"),
    help="Names of eastward and northward wind, to make divergence and vorticity of.",
)
@click.option("--level", type=float, help="Level to take, where variables have several.")
@click.option("--member", type=int, help="Member to take, where the source is an ensemble.")
@click.option("--time", metavar="START,STOP", help="Times to take, half-open.")
@click.option(
    "--region",
    type=CommaSeparated(float, 4, "N,W,S,E"),
    help="Region to take, in degrees; it may run across the grid's seam.",
)
@click.option(
    "--grid",
    metavar="KIND:ROWS",
    help="Grid for spherical-harmonic coefficients, such as gaussian:320.",
)
def main(sources, output, **options):
    """Convert NetCDF, Zarr or GRIB to the field store OUTPUT (.h5; .nc and .zarr are written too).

    SOURCE may be many files or a quoted pattern: one per year, per variable, per day, or all at
    once.
    """
    from phire.fields import convert

    convert(sources, output, **options)
