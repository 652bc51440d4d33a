"""``phire standardize``: fields as deviations from a climatology, and back."""

from __future__ import annotations

import click

from phire.cli.command import Command


@click.command("standardize", cls=Command)
@click.argument("source", type=click.Path())
@click.argument("output", type=click.Path())
@click.option(
    "--climatology", type=click.Path(), required=True, help="File that phire climatology made."
)
@click.option("--inverse", is_flag=True, help="Make standardised fields physical again.")
def main(source, output, **options):
    """Write the fields of SOURCE less their climatology, in its standard deviations, to OUTPUT."""
    from phire.fields import standardize

    standardize(source, output, **options)
