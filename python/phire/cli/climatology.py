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
    help="Statistics of all values together, of each point, or the means over the points of "
    "theirs.",
)
@click.option(
    "--seasonal",
    metavar="HARMONICS",
    type=int,
    default=0,
    help="Harmonics of the year that the statistics follow; 0 for one value over the year.",
)
@variables_option
@time_option
def main(source, output, **options):
    """Fit mean and standard deviation of the fields of SOURCE; write OUTPUT (.h5)."""
    from phire.fields import climatology

    climatology(source, output, **options)
