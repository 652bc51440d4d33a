"""``phire parts``: networks, objectives, statistics and other parts with their options."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from phire.cli.command import Command
from phire.cli.part_choice import REGISTRIES, registry_of

if TYPE_CHECKING:
    from phire.part_registry import Part


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
        raise InputError(f"KIND {kind!r} is unknown: choose one of {', '.join(REGISTRIES)}.")
    registry = registry_of(kind)
    if name is None:
        parts = registry.parts().values()
        with_options = any(options_of(part) for part in parts)
        table = Table(kind, *["options"] * with_options, "", box=None)
        for part in parts:
            options = [Text(described(options_of(part)))] * with_options
            table.add_row(part.name, *options, Text(description_of(part).partition("\n")[0]))
        console.print(table)
        return
    part = registry.part(name)
    click.echo(f"{part.name}  {described(options_of(part))}".rstrip())
    click.echo()
    click.echo(description_of(part))
    if kind == "statistic":
        click.echo(f"\nIn Python: phire.evaluation.{part.presets.get('function', name)}(…)")


def options_of(part: Part) -> dict[str, Any]:
    """Returns the options of a part that a user may set, with their defaults."""
    # The name of a statistic's Python function is set by its decorator only.
    return {key: value for key, value in part.options.items() if key != "function"}


def description_of(part: Part) -> str:
    """Returns the docstring of a part in plain text, with the options as its only arguments."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", part.docstring.replace("``", "`"))
    # A section of a docstring extends to the next line that is not indented.
    sections = re.split(r"^(?=(?:Args|Raises|Returns):\n)", text, flags=re.MULTILINE)
    parts = [sections[0]]
    for section in sections[1:]:
        head, _, rest = section.partition(":\n")
        body, *after = re.split(r"^(?=\S)", rest, maxsplit=1, flags=re.MULTILINE)
        if head == "Args":
            arguments = re.split(r"^(?=    \S)", body, flags=re.MULTILINE)
            named = [one for one in arguments if set(re.findall(r"\w+", one.partition(":")[0]))
                     & set(options_of(part))]  # fmt: skip
            parts += [f"Options:\n{''.join(named)}\n"] if named else []
        parts += after
    return "".join(parts).strip()


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
