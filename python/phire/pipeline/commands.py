"""Command lines of stages, whose options are checked before the first stage runs."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from phire.errors import InputError
from phire.part_registry import specification_text

SUFFIXES = {
    "phire simulate": ".h5",
    "phire convert": ".h5",
    "phire regrid": ".h5",
    "phire climatology": ".h5",
    "phire standardize": ".h5",
    "phire join": ".h5",
    "phire predict": ".nc",
    "phire distance": ".nc",
    "rplearn-certainty": ".nc",
    "rplearn-compare": ".csv",
    "rplearn-features": ".h5",
    "rplearn-probe": ".nc",
}
"""Default suffix of an output file, by command; outputs of other commands are directories."""

ALTERNATIVES = {"phire predict": "sampler"}
"""Option whose values may be alternatives separated by slashes, each with an output of its own."""

OVERWRITE = "overwrite"


def find_command(name: str) -> click.Command:
    """Returns the click command of a console command of phire, such as ``phire convert``.

    Raises:
        InputError: phire has no command of this name, or it is a group and needs a subcommand.
    """
    # Found by entry point: phire.cli imports this package, which must not import phire.cli.
    console = {
        entry.name: entry
        for entry in importlib.metadata.entry_points(group="console_scripts")
        if entry.value.startswith("phire.cli.")
    }
    first, *rest = name.split()
    command = console[first].load() if first in console else None
    if rest and isinstance(command, click.Group):
        command = command.get_command(click.Context(command), " ".join(rest))
    if not isinstance(command, click.Command) or isinstance(command, click.Group):
        raise InputError(
            f"command {name!r} is not one of {', '.join(sorted(console))} (with a subcommand)."
        )
    return command


def executable(name: str) -> list[str]:
    """Returns the first words of a command line: path of the console script, and subcommand."""
    first, *rest = name.split()
    script = Path(sys.executable).with_name(first)
    return [str(script) if script.exists() else shutil.which(first) or first, *rest]


def output_parameter(command: click.Command, name: str) -> click.Parameter:
    """Returns the parameter that names a command's output: ``--out``, or the last argument.

    Args:
        command: The command.
        name: Its name, for the message.

    Raises:
        InputError: The command has no output.
    """
    for parameter in command.params:
        if "--out" in parameter.opts:
            return parameter
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    if not (arguments and can_overwrite(command)):
        raise InputError(f"{name} writes no output, so it cannot be a stage.")
    return arguments[-1]


def can_overwrite(command: click.Command) -> bool:
    """Returns True if a command has the option ``--overwrite``."""
    return any(parameter.name == OVERWRITE for parameter in command.params)


def command_line(
    name: str, options: Mapping[str, Any], output: str
) -> tuple[list[str], dict[str, list[str]]]:
    """Returns the command line of a stage.

    Args:
        name: The command, such as ``phire convert``.
        options: Its arguments and options by name, as in a ``--config`` file, without the output.
        output: Path of the output.

    Returns:
        The words after the command's name, and the texts given for each argument and option.

    Raises:
        InputError: An option is unknown or invalid, a required one is missing, or the command
            would write several outputs.
    """
    command = find_command(name)
    target = output_parameter(command, name)
    by_name = _parameters(command)
    # Resilient parsing does not check paths: an earlier stage may have to write an input first.
    context = click.Context(command, info_name=name, resilient_parsing=True)
    given: dict[str, Any] = {target.name: output}
    for key, value in options.items():
        parameter = by_name.get(str(key).replace("_", "-"))
        if parameter is None or parameter is target:
            known = sorted({_title(p) for p in by_name.values() if p is not target})
            raise InputError(f"{name} has no option {key!r}; it has {', '.join(known)}.")
        if value is not None:
            given[parameter.name] = value
    words: list[str] = []
    arguments: list[str] = []
    texts: dict[str, list[str]] = {}
    for parameter in command.params:
        if parameter.name not in given:
            if parameter.required:
                raise InputError(f"{name} needs {_title(parameter)}.")
            continue
        value = given[parameter.name]
        if isinstance(parameter, click.Option) and isinstance(value, bool):
            flag = _flag(parameter, value, name)
            words += flag
            texts[_title(parameter)] = flag
            continue
        parts = _texts(parameter, value)
        texts[_title(parameter)] = parts
        _check(parameter, parts, context, name)
        _refuse_alternatives(_title(parameter), parts, name)
        if isinstance(parameter, click.Argument):
            arguments += parts
        else:
            for part in parts:
                # A separate word that starts with a dash would be read as another option.
                words += [f"{_long(parameter)}={part}"] if part[:1] == "-" else [
                    _long(parameter), part
                ]  # fmt: skip
    if any(argument.startswith("-") for argument in arguments):
        arguments.insert(0, "--")
        return [*words, *arguments], texts
    return [*arguments, *words], texts


def _parameters(command: click.Command) -> dict[str, click.Parameter]:
    """Returns a command's parameters by each of their names, except those that the runner sets."""
    by_name: dict[str, click.Parameter] = {}
    for parameter in command.params:
        if parameter.name in (OVERWRITE, "quiet", "help"):
            continue
        by_name[parameter.name.replace("_", "-")] = parameter
        if isinstance(parameter, click.Option):
            for written in parameter.opts:
                if written.startswith("--"):
                    by_name[written[2:]] = parameter
    return by_name


def _long(option: click.Parameter) -> str:
    return next(written for written in option.opts if written.startswith("--"))


def _title(parameter: click.Parameter) -> str:
    """Returns the name of a parameter in a pipeline file."""
    if isinstance(parameter, click.Argument):
        return parameter.name
    return _long(parameter)[2:]


def _flag(option: click.Option, value: bool, name: str) -> list[str]:
    if not option.is_flag:
        raise InputError(f"{name}: {_title(option)} takes a value, not {str(value).lower()}.")
    if value:
        return [_long(option)]
    return [option.secondary_opts[0]] if option.secondary_opts else []


def _texts(parameter: click.Parameter, value: Any) -> list[str]:
    """Returns a value as texts of the command line; several for a repeatable parameter."""
    several = getattr(parameter, "multiple", False) or parameter.nargs == -1
    if isinstance(value, Mapping) and several:
        return [f"{key}={item}" for key, item in value.items()]
    if isinstance(value, Mapping):
        return [specification_text(value)]
    if isinstance(value, list) and several:
        return [specification_text(v) if isinstance(v, Mapping) else str(v) for v in value]
    if isinstance(value, list):
        return [",".join(map(str, value))]
    return [str(value)]


def _refuse_alternatives(option: str, texts: list[str], name: str) -> None:
    """Raises an InputError if an option gives alternatives, as a stage has a single output."""
    if ALTERNATIVES.get(name) == option and any("/" in text for text in texts):
        raise InputError(
            f"{name}: {option} {texts[0]} gives several outputs, but a stage has one: make the "
            "alternatives an axis of the sweep, such as `steps: [10, 18]`, and use it as "
            "`heun,steps=${steps}`."
        )


def _check(parameter: click.Parameter, texts: list[str], context: click.Context, name: str) -> None:
    """Checks texts by the parameter's click type; paths are not checked.

    Raises:
        InputError: The type refuses a text.
    """
    if isinstance(parameter.type, click.Path):
        return
    for text in texts:
        try:
            parameter.type.convert(text, parameter, context)
        except click.UsageError as error:
            raise InputError(f"{name}: {_title(parameter)}: {error.message}") from None
