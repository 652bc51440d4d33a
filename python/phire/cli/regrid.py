"""``phire regrid``: regridding of fields."""

from __future__ import annotations

import click

from phire.cli.command import Command
from phire.cli.shared_options import (
    cluster_options,
    level_option,
    regridding_options,
    time_option,
    variables_option,
)


@click.command("regrid", cls=Command)
@click.argument("source", type=click.Path())
@click.argument("output", type=click.Path())
@regridding_options
@variables_option
@level_option
@time_option
@cluster_options
def main(source, output, **options):
    """Regrid the fields of SOURCE; write OUTPUT (.h5, .nc or .zarr)."""
    from phire.fields import regrid

    regrid(source, output, **options)
