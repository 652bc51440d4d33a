"""``phire climatology``: mean and standard deviation by season, of the domain or of each point."""

from __future__ import annotations

import click

from phire.cli.command import Command
from phire.cli.shared_options import time_option, variables_option


@click.command("climatology", cls=Command)
@click.argument("source", type=click.Path())
@click.argument("output", type=click.Path())
@click.option(
    "--statistics-of",
    type=click.Choice(["domain", "point", "mean-of-points"]),
    default="domain",
    help="Statistics of all values together, of each point, or of each point and then averaged.",
)
@click.option(
    "--seasonal",
    metavar="HARMONICS",
    type=int,
    default=0,
    help="Number of harmonics of the day of the year in the statistics; 0 for constants.",
)
@variables_option
@time_option
def main(source, output, **options):
    """Fit the mean and standard deviation of the fields of SOURCE; write them to OUTPUT (.h5)."""
    from phire.fields import climatology

    climatology(source, output, **options)
