"""``phire convert``: other formats to a field store."""

from __future__ import annotations

import click

from phire.cli.comma_separated import CommaSeparated
from phire.cli.command import Command
from phire.cli.shared_options import level_option, regridding_options, time_option


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
@click.option(
    "--turn-wind",
    type=CommaSeparated(str, 2, "U,V"),
    help="Channels of wind along the axes of a projected grid, to turn to the east and north.",
)
@level_option
@click.option("--member", type=int, help="Member to take, where the source is an ensemble.")
@time_option
@click.option(
    "--region",
    type=CommaSeparated(float, 4, "N,W,S,E"),
    help="Region to take, in degrees; it may run across the grid's seam.",
)
@regridding_options
@click.option(
    "--every",
    metavar="PERIOD:STATISTIC[,NAME=STATISTIC...]",
    help="Aggregate in time, such as 1D:mean, 6h:mean,tp=sum or month:max; of mean, sum, max, min.",
)
@click.option("--offset", metavar="DURATION", help="Start of the periods after 00 UTC, such as 6h.")
@click.option(
    "--interval-end",
    type=CommaSeparated(str, name="NAME,..."),
    help="Channels whose times end the interval that a field stands for, such as hourly rain.",
)
@click.option(
    "--deaccumulate",
    type=CommaSeparated(str, name="NAME[=DURATION],..."),
    help="Channels that accumulate since the start of a forecast, to become rates per second; "
    "DURATION where they begin anew at fixed times (24h: at 00 UTC).",
)
@click.option(
    "--units",
    type=CommaSeparated(str, name="NAME=UNITS,..."),
    help="Units to convert channels to.",
)
@click.option(
    "--static",
    multiple=True,
    metavar="FILE[:NAMES]",
    help="Static maps to bring to the output's grid and keep with it; may be repeated.",
)
@click.option(
    "--static-derived",
    type=CommaSeparated(str, name="NAME[=MAP],..."),
    default=(),
    help="Further static maps: latitude, sine_longitude, cosine_longitude, slope=MAP (of heights), "
    "coast_distance=MAP (of a land mask).",
)
def main(sources, output, **options):
    """Convert NetCDF, Zarr or GRIB to the field store OUTPUT (.h5; .nc and .zarr are written too).

    SOURCE may be many files or a quoted pattern: one per year, per variable, per day, or all at
    once; FILE:NAMES takes some of its variables. Channels on different grids are brought to that
    of --like or --grid, those at different times to the times that all have.
    """
    from phire.fields import convert

    convert(sources, output, **options)
