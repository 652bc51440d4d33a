"""Command lines and Python blocks of the README and the docs, as the tests use them."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"(phire|phire-[a-z]+|rplearn-[a-z]+) ")


def shell_blocks(page: Path) -> list[list[str]]:
    """The command lines of phire in each block of shell commands, joined and without comments."""
    blocks = []
    for language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if language not in ("", "sh", "bash"):
            continue
        lines = text.replace("\\\n", " ").splitlines()
        commands = [line.strip() for line in lines]
        blocks.append([line for line in commands if _COMMAND.match(line)])
    return [block for block in blocks if block]


def python_blocks(page: Path) -> list[str]:
    """The blocks of Python code of a page."""
    return [code for name, code in _BLOCK.findall(page.read_text("utf-8")) if name == "python"]


def yaml_blocks(page: Path) -> list[str]:
    """The blocks of YAML of a page."""
    return [code for name, code in _BLOCK.findall(page.read_text("utf-8")) if name == "yaml"]


def command_of(line: str) -> tuple[click.Command, str, list[str]]:
    """The click command of a command line, its name, and its words."""
    name, *words = shlex.split(line, comments=True)
    if name == "phire":
        name, *words = words
    module = importlib.import_module(f"phire.cli.{name.replace('-', '_')}")
    return module.main, name, words
