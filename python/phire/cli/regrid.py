"""``phire regrid``: fields on another grid."""

from __future__ import annotations

import click

from phire.cli.common import Command, CommaSeparated


@click.command("regrid", cls=Command)
@click.argument("source", type=click.Path())
@click.argument("output", type=click.Path())
@click.option("--like", type=click.Path(), help="File whose grid to take.")
@click.option(
    "--grid",
    metavar="SPEC",
    help="Grid to take: KIND:ROWS such as gaussian:320, degrees:STEP over the extent of the "
    "fields, or degrees:STEP:N,W,S,E.",
)
@click.option(
    "--method",
    type=click.Choice(["conservative", "bilinear", "nearest", "bicubic"]),
    default="conservative",
    help="Means by shared areas, or interpolation.",
)
@click.option(
    "--least-valid",
    type=float,
    default=0.5,
    help="Least share of the weights on values that are not missing; below it NaN is written.",
)
@click.option(
    "--variables",
    type=CommaSeparated(str, name="NAME,..."),
    help="Variables to take.  [default: all]",
)
@click.option("--level", type=float, help="Level to take, where variables have several.")
@click.option("--time", metavar="START,STOP", help="Times to take, half-open.")
@click.option(
    "--weights",
    type=click.Path(),
    help="File (.npz) to read the weights from, or to write them to where it does not exist.",
)
def main(source, output, **options):
    """Bring the fields of SOURCE to another grid; write OUTPUT (.h5, .nc or .zarr)."""
    from phire.fields import regrid

    regrid(source, output, **options)
