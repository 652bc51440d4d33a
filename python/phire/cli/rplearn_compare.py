"""``rplearn-compare``: several evaluated runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from phire.cli.common import Command


@click.command("rplearn-compare", cls=Command, overwrites=False)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--out", "output", type=click.Path(), default=None, help="CSV file of the table.")
def main(runs, output):
    """Compare the best epochs of RUNs that rplearn-eval has evaluated; NAME=RUN names one."""
    from phire.errors import InputError
    from phire.rplearn import compare_runs

    named = {}
    for run in runs:
        name, separator, path = run.partition("=")
        name, path = (name, path) if separator else (Path(run).name, run)
        if name in named:
            raise InputError(f"Two runs are named {name!r}: name them, NAME=RUN.")
        named[name] = path
    table = compare_runs(named, output)
    click.echo(table.T.to_string(header=False, float_format="{:.4g}".format))
