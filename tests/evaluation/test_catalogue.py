"""A new statistic is one class: table, figure, report and Python function come of it."""

from __future__ import annotations

import pathlib

import numpy as np
import pandas as pd
import pytest

import phire.evaluation
from documented import ROOT, python_blocks
from phire.evaluation import catalogue, evaluate, registry
from phire.fields import ArraySource, Grid

RANDOM = np.random.default_rng(0)


@pytest.fixture
def largest_error():
    """The statistic of docs/architecture.md, registered for one test."""
    assert "largest_error" not in catalogue.statistics()  # one registered later is known at once
    code = python_blocks(ROOT / "docs" / "architecture.md")[-1]
    exec(compile(code, "docs/architecture.md", "exec"), {"__name__": "documented"})
    yield
    del registry.registry.registered["largest_error"]


def test_a_new_statistic_is_one_class(tmp_path, largest_error):
    fields = RANDOM.normal(size=(4, 6, 12, 1)).astype("f4")
    other = fields + RANDOM.normal(size=fields.shape).astype("f4")
    sources = [ArraySource(one, grid=Grid.gaussian(6), units=["K"]) for one in (fields, other)]
    expected = np.abs(other - fields).max((1, 2)).mean()

    evaluate(sources[0], {"other": sources[1]}, tmp_path, metrics=["largest_error"])
    table = pd.read_csv(tmp_path / "summary.csv")
    assert table["largest_error:channel_0"].item() == pytest.approx(expected, rel=1e-5)
    assert (tmp_path / "figures" / "largest-error-time-channel-0.png").is_file()
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Max |x − y|" in report and "made up" in report

    mask = np.zeros((6, 12), bool)
    mask[1:3, [0, 4]] = True
    for region, inside in (((90, 0, 0, 90), np.s_[:, :3, :4]), (mask, np.s_[:, mask])):
        found = phire.evaluation.largest_error(*sources, region=region)
        errors = np.abs(other - fields)[..., 0][inside].reshape(4, -1)
        np.testing.assert_allclose(found["largest_error"].squeeze(), errors.max(1), rtol=1e-5)

    found = phire.evaluation.largest_error(*sources)
    assert found["largest_error_mean"].item() == pytest.approx(expected, rel=1e-5)
    assert "max |x − y|" in phire.evaluation.largest_error.__doc__


def test_every_number_of_the_table_is_defined():
    for one in catalogue.statistics().values():
        for _, name in one.summary:
            assert catalogue.definition(name.split(":")[0]).formula, name


def test_no_function_has_the_name_of_a_module():
    """Importing the module would put it in the function's place."""
    modules = {path.stem for path in pathlib.Path(phire.evaluation.__file__).parent.glob("*.py")}
    assert not modules & set(registry.function_names())


def test_a_module_named_as_its_function_is_refused():
    hiding = type("Hiding", (), {"__module__": "phire.evaluation.hiding"})
    with pytest.raises(ValueError, match=r"rename phire\.evaluation\.hiding"):
        registry.statistic("hiding")(hiding)


def test_names_are_listed_without_importing_the_statistics():
    assert {"scores", "spectrum", "ensemble_scores", "kinetic_energy_spectrum"} <= set(
        phire.evaluation.__all__
    )
