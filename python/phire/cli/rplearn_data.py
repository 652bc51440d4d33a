"""``rplearn-data``: pair records for AtmoDist."""

import click

from phire.cli.common import Command, CommaSeparated, sampling_options


@click.command("rplearn-data", cls=Command)
@click.argument("store", type=click.Path())
@click.argument("records", type=click.Path())
@click.option("--patch", type=CommaSeparated(int, 2, "H,W"), default="160,160", help="Patch size.")
@click.option("--patches-per-field", type=int, default=42, help="Pairs that begin at each field.")
@click.option("--classes", type=int, default=31, help="Largest lag, in time steps.")
@click.option(
    "--latitudes",
    type=CommaSeparated(float, 2, "SOUTH,NORTH"),
    default="-60,60",
    help="Where the patches' centres lie, degrees.",
)
@sampling_options()
def main(store, records, **options):
    """Sample pairs of patches from STORE into the directory RECORDS."""
    from phire.records import write_pair_records

    write_pair_records(store, records, **options)
