"""``phire parts``: networks, objectives, statistics and other parts with their options."""

from __future__ import annotations

import click

from phire.cli.command import Command
from phire.cli.part_choice import REGISTRIES, registry_of


@click.command("parts", cls=Command, overwrites=False)
@click.argument("kind", required=False)
@click.argument("name", required=False)
def main(kind, name):
    """List the parts of a KIND (network, objective, schedule …), or describe the part NAME."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from phire.errors import InputError

    console = Console(highlight=False)
    if kind is None:
        table = Table("kind", "parts", box=None)
        for one in REGISTRIES:
            table.add_row(one, Text(", ".join(registry_of(one).parts())))
        console.print(table)
        return
    if kind not in REGISTRIES:
        raise InputError(f"parts {kind!r} are unknown: choose one of {', '.join(REGISTRIES)}.")
    registry = registry_of(kind)
    if name is None:
        table = Table(kind, "options", "", box=None)
        for part in registry.parts().values():
            first = part.docstring.partition("\n")[0]
            table.add_row(part.name, Text(described(part.options)), Text(first))
        console.print(table)
        return
    part = registry.part(name)
    click.echo(f"{part.name}  {described(part.options)}".rstrip())
    click.echo()
    click.echo(part.docstring)


def described(options) -> str:
    """Returns options and defaults in the form in which they follow a name."""
    return ", ".join(f"{key}={written(value)}" for key, value in options.items())


def written(value) -> str:
    """Returns a value as one-line YAML."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(written, value))}]"
    return str(value)
