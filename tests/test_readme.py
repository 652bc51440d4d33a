"""The commands of the README parse as they stand, and name no file that a reader has not."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCK = re.search(r"## The same with your own files.*?```\n(.*?)```", TEXT, re.DOTALL)[1]
COMMANDS = [line for line in BLOCK.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("line", COMMANDS, ids=[line.split(" --")[0] for line in COMMANDS])
def test_a_command_of_the_readme_is_understood(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for made in ("pairs", "pairs-test", "representation", "metric", "patches", "generator"):
        (tmp_path / made).mkdir()
    name, *arguments = shlex.split(line)
    if name == "phire":
        name, *arguments = arguments
    command = importlib.import_module(f"phire.cli.{name.replace('-', '_')}").main
    command.make_context(name, arguments)


def test_every_file_is_made_before_it_is_read():
    made = set()
    for line in COMMANDS:
        words = shlex.split(line)
        outputs = [word for word in words if re.fullmatch(r"[a-z-]+(\.(h5|nc))?", word)]
        read = {word for word in outputs if word.endswith((".h5", ".nc"))} - made
        # Of the files that a command names, one at most is new: its output.
        assert len(read) <= 1, line
        made |= read
    assert {"weather.h5", "mine.nc", "fields.h5", "fine.nc"} <= made
