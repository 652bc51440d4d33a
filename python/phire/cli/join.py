"""``phire join``: a virtual store of several stores along time."""

from __future__ import annotations

import click

from phire.cli.command import Command


@click.command("join", cls=Command)
@click.argument("stores", metavar="STORE...", nargs=-1, required=True, type=click.Path())
@click.argument("output", type=click.Path())
def main(stores, output, overwrite):
    """Join STOREs along time into the virtual store OUTPUT, without copying their fields."""
    from phire.fields import join

    join(stores, output, overwrite=overwrite)
