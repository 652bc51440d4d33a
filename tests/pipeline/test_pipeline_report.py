"""The page of a pipeline compares evaluations of one truth as ``phire-eval --compare`` does."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from evaluation.made_fields import white_ensemble
from phire.evaluation import evaluate
from phire.fields import ArraySource, Grid
from phire.pipeline import stage_records
from phire.pipeline.pipeline_report import write_pipeline_report

GRID = Grid.regional(np.linspace(50, 40, 12), np.linspace(0, 15, 14))


@pytest.fixture
def stages(tmp_path, monkeypatch):
    """Finished evaluations: two of one truth, one of another; and one that has no results."""
    truth, members = white_ensemble(GRID, times=4, members=3)
    fields = [ArraySource(f.astype("f4"), grid=GRID) for f in (truth, *np.moveaxis(members, 1, 0))]
    options = {"metrics": ["scores"], "report": False}
    evaluate(fields[0], {"a": fields[1], "b": fields[2]}, tmp_path / "one", **options)
    evaluate(fields[0], {"b": fields[3]}, tmp_path / "two", **options)
    evaluate(fields[1], {"c": fields[3]}, tmp_path / "other", **options)
    found = {}
    for name in ("one", "two", "other", "failed"):
        found[name] = SimpleNamespace(
            name=name, command="phire-eval", output=tmp_path / name, command_line=["phire-eval"]
        )
    planned = {n: SimpleNamespace(stage=s, state="done") for n, s in found.items()}
    monkeypatch.setattr(stage_records, "plan", lambda *_: planned)
    return found


def test_evaluations_of_one_truth_are_compared_once(stages, tmp_path):
    path = tmp_path / "two" / "provenance.json"
    made = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**made, "notes": ["left out: all but scores"]}), "utf-8")
    page = write_pipeline_report(tmp_path, stages).read_text(encoding="utf-8")
    assert page.count('<table class="scores">') == 2  # of each truth
    merged = pd.read_csv(tmp_path / "comparison" / "summary.csv")
    assert [*merged["candidate"]] == ["a", "b one", "b two"]
    for name in ("one, two", "other", "b one", "b two", 'href="comparison/report.html"'):
        assert name in page
    assert page.count('class="best"') > 0
    assert "<li>In two: left out: all but scores.</li>" in page
    before = (tmp_path / "comparison" / "report.html").stat().st_mtime_ns
    write_pipeline_report(tmp_path, stages)
    assert (tmp_path / "comparison" / "report.html").stat().st_mtime_ns == before


def test_without_results_the_page_says_so(stages, tmp_path):
    page = write_pipeline_report(tmp_path, {"failed": stages["failed"]}).read_text(encoding="utf-8")
    assert "No stage of phire-eval has results yet" in page
