"""``rplearn-data``: pair records for AtmoDist."""

import click

from phire.cli.command import Command
from phire.cli.shared_options import patch_options, sampling_options


@click.command("rplearn-data", cls=Command)
@click.argument("store", type=click.Path())
@click.argument("records", type=click.Path())
@patch_options("160,160", patches_per_field=42, latitudes="-60,60")
@click.option("--classes", type=int, default=31, help="Largest lag, time steps.")
@sampling_options()
def main(store, records, **options):
    """Write pairs of patches of STORE at two times to the directory RECORDS.

    STORE holds fields in any format that phire reads.
    """
    from phire.records import write_pair_records

    write_pair_records(store, records, **options)
