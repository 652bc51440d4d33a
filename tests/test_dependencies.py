"""What setup.py requires is what the package imports."""

import ast
import importlib.metadata
import re
import runpy
import sys
from pathlib import Path

import pytest
import setuptools

ROOT = Path(__file__).parents[1]
LOADED_BY_OTHERS = {
    "cartopy": "holds the coastlines' files",
    "netcdf4": "engine of xarray",
    "pint": "registry of cf-xarray's units",
    "tensorboard": "shows the logs of a run",
}
"""Requirements that no module imports by name, with their use."""


@pytest.fixture
def requirements(monkeypatch):
    """Names of the packages that setup.py requires: always, and for extras of users."""
    given = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    runpy.run_path(str(ROOT / "setup.py"))
    extras = given["extras_require"]
    ours = {"test", "docs", "versions", "notebooks", "cuda"}
    optional = [text for name, texts in extras.items() if name not in ours for text in texts]
    return [
        {re.match(r"[\w-]+", text)[0].lower() for text in texts}
        for texts in (given["install_requires"], optional)
    ]


@pytest.fixture(scope="module")
def imported():
    """Names of the packages that modules of phire import."""
    modules = set()
    for path in (ROOT / "python" / "phire").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_loader.load":
                modules.add(node.args[0].value)
    modules -= {"phire", *sys.stdlib_module_names}
    known = importlib.metadata.packages_distributions()
    # A module of several packages, such as tensorflow, is that of the one with its name.
    return {
        module: {name.lower().replace("_", "-") for name in (*known.get(module, ()), module)}
        for module in modules
    }


def test_every_import_is_required(requirements, imported):
    always, optional = requirements
    always = always | {"distributed"}  # dask[distributed]
    for module, packages in imported.items():
        assert packages & (always | optional), module


def test_every_requirement_is_imported(requirements, imported):
    packages = set().union(*imported.values())
    always, optional = requirements
    assert (always | optional) - packages == set(LOADED_BY_OTHERS)


def test_no_two_modules_share_a_name():
    """A file name leads to one place; commands and registries are named alike on purpose."""
    names = {}
    for path in (ROOT / "python" / "phire").rglob("*.py"):
        if path.parent.name != "cli" and path.name not in ("__init__.py", "registry.py"):
            names.setdefault(path.name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in names.items() if len(paths) > 1} == {}
