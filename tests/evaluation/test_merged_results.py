"""One folder from several evaluations; figures by ``phire plot``."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from evaluation.made_fields import white_ensemble
from phire.cli.phire import main
from phire.cli.phire_eval import main as phire_eval
from phire.errors import InputError
from phire.evaluation import evaluate
from phire.evaluation.merged_results import merge_results
from phire.evaluation.results import read_provenance
from phire.fields import ArraySource, Grid

GRID = Grid.regional(np.linspace(50, 40, 12), np.linspace(0, 15, 14))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two evaluations of one truth, and one of another; the first two share a candidate's name."""
    place = tmp_path_factory.mktemp("evaluations")
    truth, members = white_ensemble(GRID, times=6, members=3)
    fields = [ArraySource(f.astype("f4"), grid=GRID) for f in (truth, *np.moveaxis(members, 1, 0))]
    options = {"metrics": ["scores", "distribution"], "report": False}
    evaluate(fields[0], {"a": fields[1], "b": fields[2]}, place / "one", **options)
    evaluate(fields[0], {"b": fields[3]}, place / "two", **options)
    evaluate(fields[1], {"c": fields[3]}, place / "other", **options)
    return place


def test_candidates_of_several_evaluations_share_a_table_and_figures(folders, tmp_path):
    output = tmp_path / "both"
    merge_results([folders / "one", folders / "two"], output)
    table = pd.read_csv(output / "summary.csv").set_index("candidate")
    assert [*table.index] == ["a", "b one", "b two"]
    single = pd.read_csv(folders / "two" / "summary.csv").set_index("candidate")
    assert table.loc["b two", "rmse:channel_0"] == single.loc["b", "rmse:channel_0"]
    assert "b two" in (output / "report.html").read_text(encoding="utf-8")
    runner = CliRunner()
    listed = runner.invoke(main, ["plot", "figures", str(output), "--list"])
    assert "scores-time-channel-0" in listed.output
    words = ["plot", "figures", str(output), "errors-*", "--format", "svg"]
    drawn = runner.invoke(main, [*words, "--out", str(tmp_path / "fig")])
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "fig" / "errors-channel-0.svg").is_file()


def test_what_cannot_be_compared_is_refused(folders, tmp_path):
    with pytest.raises(InputError, match="differ in their truth"):
        merge_results([folders / "one", folders / "other"], tmp_path / "x")
    with pytest.raises(InputError, match="no results folder"):
        merge_results([folders / "one", tmp_path], tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_folder_that_is_missing_or_unfinished_is_named(folders, tmp_path):
    def told(*arguments):
        words = [*map(str, arguments), "--out", str(tmp_path / "x"), "--no-report"]
        result = CliRunner().invoke(phire_eval, words)
        assert result.exit_code == 2, result.output
        assert not (tmp_path / "x").exists()
        return " ".join(result.output.split())

    nosuch, one, half = tmp_path / "nosuch", folders / "one", tmp_path / "half"
    missing = f"{nosuch} does not exist: --compare combines results folders of phire-eval."
    assert missing in told("--compare", one, nosuch)
    assert missing in told(nosuch, "--compare", one)
    assert missing in told(one, "--compare", nosuch)
    other = f"{tmp_path} is no results folder: --compare combines results folders of phire-eval."
    assert other in told(tmp_path, "--compare", one)
    shutil.copytree(folders / "two", half)
    (half / "summary.csv").unlink()
    assert f"{half} is unfinished (it has no summary.csv): run phire-eval on it again." in told(
        half, "--compare", one
    )


def test_a_results_folder_in_options_of_a_file_is_compared(folders, tmp_path):
    (tmp_path / "options.yaml").write_text(f"compare: [{folders / 'one'}]\nreport: false\n")
    words = [folders / "two", "--config", tmp_path / "options.yaml", "--out", tmp_path / "x"]
    result = CliRunner().invoke(phire_eval, list(map(str, words)))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x" / "summary.csv").is_file()


def test_evaluations_that_count_other_points_are_told_apart(folders, tmp_path):
    """A candidate with missing values takes its points from all candidates of its evaluation."""
    truth, members = white_ensemble(GRID, times=6, members=3)
    lacking = members[:, 0].astype("f4")
    lacking[:, :3] = np.nan
    fields = [ArraySource(f, grid=GRID) for f in (truth.astype("f4"), lacking)]
    options = {"metrics": ["scores", "distribution"], "report": False}
    evaluate(fields[0], {"d": fields[1]}, tmp_path / "lacking", **options)
    output = merge_results([folders / "one", tmp_path / "lacking"], tmp_path / "all", report=False)
    notes = read_provenance(output)["notes"]
    assert notes[0].startswith("one and lacking were evaluated on different points")
    assert any(note.startswith("in lacking: ") for note in notes)  # its own
    both = merge_results([folders / "one", folders / "two"], tmp_path / "both", report=False)
    assert not any("different points" in note for note in read_provenance(both)["notes"])
