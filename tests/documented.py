"""Command lines and Python blocks of the README and the docs, as the tests use them.

The tests run a block of shell commands as it stands, unless a comment on the line before it in the
page's source, which readers do not see, says otherwise:

``<!-- not run: REASON -->``
    The block is parsed only.
``<!-- run with: --epochs 1 --no-report -->``
    Smaller numbers: the value of an option replaces that of the lines which give it. Flags and
    ``--set`` are added to the commands which have them; ``--network unet-small+widths=[8]`` gives
    this network further options.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import shlex
import stat
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = {
    entry.name: entry.value.partition(":")[0]
    for entry in entry_points(group="console_scripts")
    if entry.value.startswith("phire.")
}
"""Modules of phire's console commands by their names."""
_BLOCK = re.compile(r"(?:^ *<!-- (.*?) -->\n)?^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
# One write for each command: those in the background write to the same file.
_RECORDING = """#!/bin/bash
printf -v fields '%s\\x1f' "${TF_CONFIG-}" "${0##*/}" "$@"
printf '%s\\x1e' "$fields" >> "$RECORDED"
"""
_STUBS = {
    **dict.fromkeys([*COMMANDS, "python", "pip", "make", "dask"], _RECORDING),
    "scontrol": "#!/bin/bash\nprintf '%s\\n' node1 node2\n",
    "srun": '#!/bin/bash\nexec "$@"\n',
}


@dataclasses.dataclass(frozen=True)
class Invocation:
    """One command of a shell block after the shell's expansions.

    Attributes:
        words: The command's name and its arguments.
        tf_config: The environment variable ``TF_CONFIG``.
    """

    words: tuple[str, ...]
    tf_config: str


@dataclasses.dataclass(frozen=True)
class ShellBlock:
    """One fenced block of shell commands.

    Attributes:
        page: The page that has it.
        text: The commands.
        not_run: Reason not to run it, if any.
        run_with: Words of the options that make it small.
    """

    page: Path
    text: str
    not_run: str | None
    run_with: tuple[str, ...]

    def invocations(self, folder: Path) -> list[Invocation]:
        """Runs the block in bash with commands that only note their arguments.

        So loops, variables, quotes and continued lines are expanded as in a reader's shell.
        """
        stubs, recorded = folder / "stubs", folder / "recorded"
        stubs.mkdir(parents=True, exist_ok=True)
        for name, text in _STUBS.items():
            (stubs / name).write_text(text)
            (stubs / name).chmod(stat.S_IRWXU)
        recorded.write_text("")
        environment = {
            "PATH": f"{stubs}:/usr/bin:/bin",
            "RECORDED": str(recorded),
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_PROCID": "1",
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }
        script = f"set -eu\n{self.text}\nwait\n"
        subprocess.run(["bash", "-c", script], cwd=folder, env=environment, check=True)
        commands = recorded.read_text(encoding="utf-8").split("\x1e")[:-1]
        fields = [command.split("\x1f")[:-1] for command in commands]
        return [Invocation(tuple(words), tf_config) for tf_config, *words in fields]


def shell_blocks(page: Path) -> list[ShellBlock]:
    """Returns the blocks of shell commands of a page."""
    blocks = []
    for comment, language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if language in ("", "sh", "bash"):
            kind, _, rest = comment.partition(": ")
            assert kind in ("", "not run", "run with"), f"{page}: <!-- {comment} -->"
            run_with = tuple(shlex.split(rest)) if kind == "run with" else ()
            blocks.append(ShellBlock(page, text, rest if kind == "not run" else None, run_with))
    return blocks


def python_blocks(page: Path) -> list[str]:
    """Returns the blocks of Python code of a page."""
    return [code for _, name, code in _BLOCK.findall(page.read_text("utf-8")) if name == "python"]


def yaml_blocks(page: Path) -> list[str]:
    """Returns the blocks of YAML of a page."""
    return [code for _, name, code in _BLOCK.findall(page.read_text("utf-8")) if name == "yaml"]


def is_phire(words: Sequence[str]) -> bool:
    """Returns if a command is one of phire's."""
    return words[0] in COMMANDS


def command_of(words: Sequence[str]) -> tuple[click.Command, str, list[str]]:
    """Returns the click command of the words of a command line, its name, and its arguments."""
    name, *words = words
    module = COMMANDS[name]
    if name == "phire" and not words[0].startswith("-"):
        name, *words = words
        module = f"phire.cli.{name.replace('-', '_')}"
    return importlib.import_module(module).main, name, words


def small_words(words: Sequence[str], command: click.Command, run_with: Sequence[str]) -> list[str]:
    """Applies a block's ``run with`` options to the arguments of a command."""
    words, options = list(words), _options(run_with)
    known = option_names(command)
    for name, value in options:
        if name not in known:
            continue
        if value is None or name == "--set":
            words += [name] if value is None else [name, value]
        elif name in words:
            place = words.index(name) + 1
            part, plus, more = value.partition("+")
            if not plus:
                words[place] = value
            elif words[place].partition(",")[0] == part:
                words[place] += f",{more}"
    return words


def option_names(command: click.Command) -> set[str]:
    """Returns the names of the options of a command and its subcommands."""
    names = [(*param.opts, *param.secondary_opts) for param in command.params]
    if isinstance(command, click.Group):
        names += [option_names(command.commands[name]) for name in command.commands]
    return {"--help", "--version"}.union(*names)


def unused_options(block: ShellBlock, invocations: Sequence[Invocation]) -> list[str]:
    """Returns the ``run with`` options of a block that change none of its commands."""
    unused = []
    for name, value in _options(block.run_with):
        option = (name,) if value is None else (name, value)
        for invocation in filter(lambda one: is_phire(one.words), invocations):
            command, _, words = command_of(invocation.words)
            if small_words(words, command, option) != words:
                break
        else:
            unused.append(name)
    return unused


def _options(run_with: Sequence[str]) -> list[tuple[str, str | None]]:
    """Pairs of options and values; the value of a flag is None."""
    pairs: list[tuple[str, str | None]] = []
    for word in run_with:
        if word.startswith("--"):
            pairs.append((word, None))
        else:
            pairs[-1] = (pairs[-1][0], word)
    return pairs


def replaced(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Replaces parts of words, such as the address of a cluster."""
    for old, new in values.items():
        words = [word.replace(old, new) for word in words]
    return list(words)
