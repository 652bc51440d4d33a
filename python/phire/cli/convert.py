"""``phire convert``: conversion of other formats to a field store."""

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
    help="Variables to read as channels; NAME= renames one.  [default: all; with --wind only the "
    "wind]",
)
@click.option(
    "--wind",
    type=CommaSeparated(str, 2, "U,V"),
    help="Variables of eastward and northward wind, to compute divergence and vorticity from.",
)
@click.option(
    "--turn-wind",
    type=CommaSeparated(str, 2, "U,V"),
    help="Channels of wind along the axes of a projected grid, to rotate to east and north.",
)
@level_option
@click.option("--member", type=int, help="Number of the ensemble member to read.")
@time_option
@click.option(
    "--region",
    type=CommaSeparated(float, 4, "N,W,S,E"),
    help="Region to read, degrees; it may cross the grid's first longitude.  [default: all]",
)
@regridding_options
@click.option(
    "--every",
    metavar="PERIOD:STATISTIC[,NAME=STATISTIC...]",
    help="Aggregate in time with mean, sum, max or min: 1D:mean, 6h:mean,tp=sum, month:max.",
)
@click.option(
    "--offset", metavar="DURATION", help="Start of the periods of --every after 00 UTC, such as 6h."
)
@click.option(
    "--interval-end",
    type=CommaSeparated(str, name="NAME,..."),
    help="Channels whose fields are stamped with the end of their interval, such as hourly rain.",
)
@click.option(
    "--deaccumulate",
    type=CommaSeparated(str, name="NAME[=DURATION],..."),
    help="Channels accumulated since the start of a forecast, to convert to rates per second; "
    "DURATION if the sums restart at fixed times (24h: at 00 UTC).",
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
    help="Static maps to regrid to the output's grid and store in it; may be repeated.",
)
@click.option(
    "--static-derived",
    type=CommaSeparated(str, name="NAME[=MAP],..."),
    default=(),
    help="Further static maps to compute: latitude, sine_longitude, cosine_longitude, slope=MAP "
    "(from heights), coast_distance=MAP (from a land mask).",
)
def main(sources, output, **options):
    """Convert NetCDF, Zarr or GRIB files to OUTPUT: a field store (.h5), NetCDF (.nc) or .zarr.

    SOURCE is one or more files or quoted patterns; FILE:NAMES reads only these variables. The files
    may divide the data by time, by variable, or both. Channels on different grids are regridded to
    --like or --grid, and only times that all channels have are written.
    """
    from phire.fields import convert

    convert(sources, output, **options)
