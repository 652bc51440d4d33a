"""``phire standardize``: fields as standardised anomalies, and back."""

from __future__ import annotations

import click

from phire.cli.command import Command


@click.command("standardize", cls=Command)
@click.argument("source", type=click.Path())
@click.argument("output", type=click.Path())
@click.option(
    "--climatology", type=click.Path(), required=True, help="File made by phire climatology."
)
@click.option("--inverse", is_flag=True, help="Turn standardised fields back into physical ones.")
def main(source, output, **options):
    """Write (SOURCE − mean) / standard deviation of a climatology to OUTPUT."""
    from phire.fields import standardize

    standardize(source, output, **options)
