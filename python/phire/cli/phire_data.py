"""``phire-data``: downscaling records."""

import click

from phire.cli.common import Command, CommaSeparated, sampling_options


@click.command("phire-data", cls=Command)
@click.argument("store", type=click.Path())
@click.argument("records", type=click.Path())
@click.option("--patch", type=CommaSeparated(int, 2, "H,W"), default="96,96", help="Patch size.")
@click.option("--scale", type=int, default=4, help="High over low resolution.")
@click.option("--patches-per-field", type=int, default=20, help="Patches of each field.")
@click.option("--whole-fields", is_flag=True, help="One record a field, of all of it.")
@click.option(
    "--low", type=click.Path(), help="Store of the low resolution, if it is not the mean."
)
@click.option(
    "--alignment",
    type=click.Choice(["cell", "corner"]),
    help="Where a low-resolution point lies in its block.  [default: cell]",
)
@click.option(
    "--latitudes",
    type=CommaSeparated(float, 2, "SOUTH,NORTH"),
    help="Where the patches' centres lie, degrees.  [default: everywhere]",
)
@sampling_options
def main(store, records, **options):
    """Sample patches at two resolutions from STORE into the directory RECORDS."""
    from phire.records import write_downscaling_records

    write_downscaling_records(store, records, **options)
