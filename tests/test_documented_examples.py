"""Every block of shell commands in README and docs runs, on small files of the same names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from documented import (
    PAGES,
    ROOT,
    command_of,
    is_phire,
    python_blocks,
    replaced,
    shell_blocks,
    small_words,
    unused_options,
)
from documented_files import FILES

pytestmark = pytest.mark.slow

NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
RUN = [name for name in NAMES if any(not block.not_run for block in shell_blocks(ROOT / name))]
TOGETHER = (
    "README.md",
    "docs/index.md",
    "docs/guide/learned-distance.md",
    "docs/guide/training.md",
)
"""Pages that begin with the same simulation: what two of them make alike is made once."""
ADDRESS = "tcp://host:8786"
"""Address of the dask cluster in the docs."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Gives the folder of a page, with the files that the page's commands read."""
    known = {}

    def folder_of(name):
        key = TOGETHER if name in TOGETHER else name
        if key not in known:
            known[key] = tmp_path_factory.mktemp("page")
            (known[key] / "data").mkdir(exist_ok=True)
            shutil.copy(ROOT / "data" / "example.h5", known[key] / "data")
        return known[key]

    return folder_of


@pytest.fixture(scope="module")
def scheduler():
    """The address of a dask cluster in this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("name", RUN)
def test_the_shell_blocks_of_a_page_run(name, folders, monkeypatch, tmp_path, request):
    folder = folders(name)
    monkeypatch.chdir(folder)
    if name in FILES:
        if name == "docs/data.md":
            pytest.importorskip("eccodes")
        FILES[name](folder)
    for block in shell_blocks(ROOT / name):
        if block.not_run:
            continue
        invocations = block.invocations(tmp_path)
        assert unused_options(block, invocations) == []
        cluster = {ADDRESS: request.getfixturevalue("scheduler")} if ADDRESS in block.text else {}
        for invocation in filter(lambda one: is_phire(one.words), invocations):
            words = replaced(invocation.words, cluster)
            command, name_, words = command_of(words)
            words = small_words(words, command, block.run_with)
            if any("--quiet" in param.opts for param in command.params):
                words.append("--quiet")
            command.main(words, prog_name=name_, standalone_mode=False)
            given = command.make_context(name_, words).params
            paths = [given[key] for key in ("output", "out", "records") if given.get(key)]
            assert all(Path(path).exists() for path in paths), words


def test_the_readme_s_python_runs(folders, monkeypatch):
    monkeypatch.chdir(folders("README.md"))
    (code,) = python_blocks(ROOT / "README.md")
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["refined"].sizes == {"time": 1, "latitude": 64, "longitude": 128}
    assert set(names["table"].channel.values) == {"divergence", "vorticity"}
    assert (names["energy"] > 0).any()


def test_the_python_of_evaluation_runs(folders, monkeypatch):
    monkeypatch.chdir(folders("README.md"))
    (code,) = python_blocks(ROOT / "docs" / "evaluation.md")
    names: dict = {}
    exec(compile(code, "evaluation.md", "exec"), names)
    assert (names["energy"] >= 0).all()
    assert names["table"]["rmse"].max() == 0
