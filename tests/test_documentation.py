"""README and docs: every command line parses, whole examples run, and no link is broken."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click
import pytest
import yaml

from documented import PAGES, ROOT, command_of, python_blocks, shell_blocks, yaml_blocks
from phire.cli.paths import CheckedPath
from phire.pipeline import plan_pipeline

LINES = [
    pytest.param(line, id=f"{page.stem}-{' '.join(line.split()[:2])}-{i}")
    for page in PAGES
    for i, line in enumerate(line for block in shell_blocks(page) for line in block)
]
WHOLE = [
    pytest.param(block, id=page.stem)
    for page in PAGES
    for block in shell_blocks(page)
    # They make all that they read.
    if block[0].startswith("phire simulate weather.h5") and len(block) > 3
]


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_is_understood(line, monkeypatch):
    if "$" in line or "…" in line:
        pytest.skip("it has variables of the shell, or is abridged")
    monkeypatch.setattr(CheckedPath, "convert", click.Path.convert)  # the files are the reader's
    command, name, words = command_of(line)
    assert isinstance(command, click.Command)
    if "--help" not in words:
        assert command.make_context(name, words).info_name == name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all whole examples: what two of them make alike is made once."""
    folder = tmp_path_factory.mktemp("documented")
    (folder / "data").mkdir()
    shutil.copy(ROOT / "data" / "example.h5", folder / "data")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("block", WHOLE)
def test_a_whole_example_runs(block, folder, monkeypatch):
    monkeypatch.chdir(folder)
    for line in block:
        command, name, words = command_of(line)
        command.main([*words, "--quiet"], prog_name=name, standalone_mode=False)
        given = command.make_context(name, words).params
        paths = [given[key] for key in ("output", "out", "run", "records") if given.get(key)]
        assert all(Path(path).exists() for path in paths), line


@pytest.mark.slow
def test_the_readme_s_python_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (code,) = python_blocks(ROOT / "README.md")
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["refined"].sizes == {"time": 1, "latitude": 64, "longitude": 128}
    assert set(names["table"].channel.values) == {"divergence", "vorticity"}
    assert (names["energy"] > 0).any()


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
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
