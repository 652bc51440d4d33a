"""A user's mistake gets one sentence, status 2, no traceback, and no output."""

from __future__ import annotations

import importlib

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

RANDOM = np.random.default_rng(0)


def refused(command, *arguments):
    """Runs a command that must refuse its input; returns its sentence."""
    module, *subcommand = command.replace("-", "_").split(" ")
    main = importlib.import_module(f"phire.cli.{module}").main
    result = CliRunner().invoke(main, [*subcommand, *map(str, arguments)])
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    said = result.output.splitlines()
    assert len(said) == 1, result.output
    return said[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("inputs")


def bare_store(path, shape=(2, 12, 32, 64), change=None):
    data = RANDOM.normal(size=shape).astype("f4") * 1e-5
    if change:
        change(data)
    with h5py.File(path, "w") as file:
        file["data"] = data
    return path


@pytest.fixture(scope="module")
def store(folder):
    return bare_store(folder / "store.h5")


@pytest.fixture(scope="module")
def pairs(folder, store):
    from phire.records import write_pair_records

    options = dict(patch=(16, 16), patches_per_field=8, classes=4, shards=2)
    write_pair_records(store, folder / "pairs", **options)
    return folder / "pairs"


@pytest.fixture(scope="module")
def patches(folder, store):
    from phire.records import write_downscaling_records

    options = dict(patch=(16, 16), scale=4, patches_per_field=4, shards=2)
    write_downscaling_records(store, folder / "patches", **options)
    return folder / "patches"


DATA_COMMANDS = ["rplearn-data", "phire-data"]


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_a_missing_store(command, tmp_path):
    said = refused(command, tmp_path / "none.h5", tmp_path / "out")
    assert "none.h5" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_a_file_without_data(command, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["fields"] = np.zeros(3)
    said = refused(command, tmp_path / "other.h5", tmp_path / "out")
    assert "other.h5" in said
    assert "/data" in said


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_a_wrong_number_of_dimensions(command, tmp_path):
    store = bare_store(tmp_path / "three.h5", shape=(12, 32, 64))
    said = refused(command, store, tmp_path / "out")
    assert "three.h5" in said
    assert "3" in said


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_nothing_but_missing_values(command, tmp_path):
    store = bare_store(tmp_path / "nan.h5", change=lambda data: data.fill(np.nan))
    said = refused(command, store, tmp_path / "out", "--patch", "16,16")
    assert "missing" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_some_missing_values_where_none_are_wanted(command, tmp_path):
    def change(data):
        data[0, 3, 5, 5] = np.nan

    store = bare_store(tmp_path / "nan.h5", change=change)
    said = refused(command, store, tmp_path / "out", "--patch", "16,16", "--missing", "error")
    assert "missing" in said
    assert "nan.h5" in said


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_infinite_values(command, tmp_path):
    def change(data):
        data[1, 3, 5, 5] = np.inf

    store = bare_store(tmp_path / "inf.h5", change=change)
    assert "infinite" in refused(command, store, tmp_path / "out", "--patch", "16,16")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_a_patch_larger_than_the_field(command, store, tmp_path):
    said = refused(command, store, tmp_path / "out", "--patch", "64,64")
    assert "64" in said
    assert "32" in said


def test_more_lags_than_time_steps(store, tmp_path):
    said = refused("rplearn-data", store, tmp_path / "out", "--patch", "16,16", "--classes", 12)
    assert "12" in said


def test_a_time_range_outside_the_data(store, tmp_path):
    said = refused("phire-data", store, tmp_path / "out", "--patch", "16,16", "--time", "40,50")
    assert "--time" in said


def test_records_of_another_patch_than_they_were_made_with(pairs, store):
    said = refused("rplearn-data", store, pairs, "--patch", "8,8", "--classes", 4)
    assert "patch" in said
    assert "--overwrite" in said


def test_an_output_that_something_else_made(store, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    said = refused("rplearn-data", store, tmp_path / "out", "--patch", "16,16", "--classes", 4)
    assert "out" in said
    assert (tmp_path / "out" / "thesis.tex").read_text() == "precious"


def test_training_on_records_of_the_wrong_kind(pairs, patches, tmp_path):
    assert "pairs" in refused("phire-train", pairs, "--out", tmp_path / "a")
    assert "downscaling" in refused("rplearn-train", patches, "--out", tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_more_classes_than_the_records_hold(pairs, tmp_path):
    said = refused(
        "rplearn-train", pairs, "--out", tmp_path / "run", "--classes", 9, "--network", "tiny"
    )
    assert "4" in said
    assert "9" in said
    assert not list(tmp_path.iterdir())


def test_validation_records_of_another_channel_count(pairs, folder, tmp_path):
    from phire.records import write_pair_records

    one = bare_store(folder / "one.h5", shape=(1, 12, 32, 64))
    write_pair_records(
        one, folder / "one", patch=(16, 16), patches_per_field=8, classes=4, shards=1
    )
    said = refused("rplearn-train", pairs, "--validation", folder / "one",
                   "--out", tmp_path / "run", "--classes", 4, "--network", "tiny")  # fmt: skip
    assert "channel" in said
    assert not list(tmp_path.iterdir())


def test_learning_rates_that_do_not_match_the_epochs(patches, tmp_path):
    said = refused("phire-train", patches, "--out", tmp_path / "run",
                   "--epochs", "1,1", "--learning-rates", "1e-4")  # fmt: skip
    assert "--learning-rates" in said
    assert not list(tmp_path.iterdir())


def test_a_metric_that_is_none(patches, tmp_path):
    (tmp_path / "folder").mkdir()
    for metric in ("none", "folder"):
        said = refused("phire-train", patches, "--out", tmp_path / "run",
                       "--objective", f"content,content={tmp_path / metric}",
                       "--batch-size", 16)  # fmt: skip
        assert metric in said
    assert not (tmp_path / "run").exists()


def test_evaluating_or_predicting_with_what_is_no_run(store, pairs, tmp_path):
    for run in (tmp_path / "none", pairs):
        assert run.name in refused("phire predict", run, store, tmp_path / "fine.nc")
        assert run.name in refused("rplearn-eval", run, "--records", pairs, "--out", tmp_path / "m")
        assert run.name in refused("phire-eval", store, "--scale", 4, "--out", tmp_path / "results",
                                   "--candidate", f"a={run}")  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_a_candidate_without_a_name(store, tmp_path):
    said = refused("phire-eval", store, "--out", tmp_path / "results", "--candidate", "bicubic")
    assert "NAME=SPEC" in said


def test_info_of_what_phire_does_not_know(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    assert "a.txt" in refused("phire info", tmp_path / "a.txt")
    assert "none" in refused("phire info", tmp_path / "none")
    (tmp_path / "a.tfrecord").write_text("no record")
    assert "damaged" in refused("phire info", tmp_path / "a.tfrecord")


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("phire", ["nosuch"], "No such command 'nosuch'"),
        ("phire", ["--nosuch"], "No such option"),
        ("phire info", [], "Missing argument 'PATH'"),
    ],
)
def test_wrong_usage_is_one_sentence(command, arguments, said):
    assert said in refused(command, *arguments)


COMMANDS = {
    "rplearn-data": ("a.h5", "out"),
    "phire-data": ("a.h5", "out"),
    "rplearn-train": ("records", "--out", "run"),
    "rplearn-eval": ("run", "--records", "records", "--out", "metric"),
    "phire-train": ("records", "--out", "run"),
    "phire-eval": ("a.h5", "--out", "results"),
    "phire simulate": ("a.h5",),
    "phire convert": ("a.nc", "a.h5"),
    "phire join": ("a.h5", "b.h5"),
    "phire predict": ("run", "a.h5", "b.h5"),
    "phire distance": ("metric", "a.h5", "b.h5"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_in_the_file_of_options(command, tmp_path):
    config = tmp_path / "options.yaml"
    config.write_text("patchez: 3\n")
    said = refused(command, *COMMANDS[command], "--config", config)
    assert "patchez" in said
    assert "options.yaml" in said
