"""README and docs: every command line parses, every option named exists, no link is broken."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import runpy
import sys
from importlib.metadata import metadata

import click
import pytest
import yaml

from documented import (
    COMMANDS,
    PAGES,
    ROOT,
    command_of,
    is_phire,
    option_names,
    shell_blocks,
    yaml_blocks,
)
from phire.cli.paths import CheckedPath
from phire.cli.phire import SUBCOMMANDS
from phire.pipeline import plan_pipeline

IDS = [str(page.relative_to(ROOT)) for page in PAGES]
WITH_SHELL = [page for page in PAGES if shell_blocks(page)]
COMMON = {"--help", "--version", "--config", "--overwrite", "--quiet"}
EXTRAS = set(metadata("phire").get_all("Provides-Extra"))


class Parsed(Exception):
    """Raised in the place of a script's work, once its arguments are parsed."""


def check_script(path, words, monkeypatch):
    """Parses the arguments of a script of the checkout, without running it."""
    if "torch" in (ROOT / path).read_text() and importlib.util.find_spec("torch") is None:
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_only(parser, *arguments):
        parse(parser, *arguments)
        raise Parsed

    def make_context_only(command, *arguments, **options):
        command.make_context(path, list(words))
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    monkeypatch.setattr(click.Command, "main", make_context_only)
    monkeypatch.setattr(click.Path, "convert", lambda path, value, *context: value)
    monkeypatch.setattr(sys, "argv", [path, *words])
    monkeypatch.setattr(sys, "path", [str((ROOT / path).parent), *sys.path])
    with pytest.raises(Parsed):
        runpy.run_path(str(ROOT / path), run_name="__main__")


def check_command(words, monkeypatch):
    """Parses a command line; what is neither phire's nor a script is looked up."""
    name, *rest = words
    if is_phire(words):
        command, program, arguments = command_of(words)
        if not {"--help", "--version"} & set(arguments):
            assert command.make_context(program, arguments).info_name == program
    elif name == "python" and rest[0].startswith("scripts/"):
        check_script(rest[0], rest[1:], monkeypatch)
    elif name == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(rest) <= set(targets)
    elif name == "pip":
        extras = re.findall(r"\[(.*)\]", rest[-1])
        assert {extra for names in extras for extra in names.split(",")} <= EXTRAS
    else:
        assert name in ("python", "dask")


@pytest.mark.parametrize("page", WITH_SHELL, ids=[str(p.relative_to(ROOT)) for p in WITH_SHELL])
def test_command_lines_are_understood(page, monkeypatch, tmp_path):
    monkeypatch.setattr(CheckedPath, "convert", click.Path.convert)  # the files are the reader's
    for block in shell_blocks(page):
        invocations = block.invocations(tmp_path)
        assert invocations, f"no command in\n{block.text}"
        for invocation in invocations:
            with monkeypatch.context() as patch:
                check_command(invocation.words, patch)


def test_tf_config_of_the_guide_is_that_of_tensorflow(tmp_path):
    blocks = shell_blocks(ROOT / "docs" / "guide" / "training.md")
    found = [i.tf_config for b in blocks for i in b.invocations(tmp_path) if i.tf_config]
    clusters = [json.loads(text) for text in found]
    workers = {"worker": ["node1:12345", "node2:12345"]}
    assert clusters == [
        {"cluster": workers, "task": {"type": "worker", "index": 0}},
        {"cluster": workers, "task": {"type": "worker", "index": 1}},
    ]


@pytest.fixture(scope="module")
def options():
    """Names of the options of each command, and of all of them."""
    names = [*COMMANDS, *(f"phire {name}" for name in SUBCOMMANDS)]
    known = {name: option_names(command_of([*name.split(), "--help"])[0]) for name in names}
    return {**known, "any": set().union(*known.values())}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_options_named_in_the_text_exist(page, options):
    """Inline code such as ``phire predict --members N`` or ``--members N``."""
    missing = []
    for code in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")):
        words = code.split()
        name = " ".join(words[:2]) if words[0] == "phire" else words[0]
        if name in options or words[0].startswith("--"):
            named = re.findall(r"(?<!\S)--[a-z][a-z-]*", code)
            missing += [f"{code}: {n}" for n in named if n not in options.get(name, options["any"])]
    assert missing == []


def subcommands(name, command):
    """Yields all commands below a command, by their full names; the command itself if none."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for word in command.list_commands(context):
        yield from subcommands(f"{name} {word}", command.get_command(context, word))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_is_named_on_a_page_about_its_command(name):
    """The generated reference does not count; README names the options of all commands."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    missing = []
    for full, command in subcommands(name, command_of([name, "--help"])[0]):
        about = [text for text in texts if full in text]
        for option in (param for param in command.params if isinstance(param, click.Option)):
            long = [one for one in (*option.opts, *option.secondary_opts) if one[:2] == "--"]
            named = (re.search(rf"{one}(?![a-z-])", text) for one in long for text in about)
            if not any(named) and not {*long} & COMMON:
                missing.append(f"{full} {long[0]}")
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_pipelines_of_the_docs_are_pipelines(page, tmp_path):
    for i, text in enumerate(yaml_blocks(page)):
        if "stages" in yaml.safe_load(text):
            path = tmp_path / f"{i}.yaml"
            path.write_text(text)
            assert len(plan_pipeline(path)) >= 2


def test_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120
