"""Help and the light imports load nothing heavy: they must answer at once."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from phire.cli.phire import SUBCOMMANDS

FILE = __file__
"""A file that is there, whatever it holds."""
STORE = str(Path(__file__).parents[2] / "data" / "example.h5")
HEAVY = ("tensorflow", "keras", "xarray", "dask", "matplotlib", "scipy", "h5py", "numpy")
HEAVY += ("scipy.sparse", "scipy.spatial")
COMMANDS = ("phire", "phire_data", "phire_eval", "phire_train", "rplearn_data", "rplearn_eval")
COMMANDS += ("rplearn_train", "rplearn_probe", "rplearn_compare", "rplearn_certainty")
COMMANDS += ("rplearn_features",)


def loaded_after(code):
    """The heavy packages that a fresh interpreter holds after running ``code``."""
    code += f"\nimport sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def help_of(module, *arguments):
    return (
        f"from phire.cli.{module} import main\n"
        f"main({[*arguments, '--help']!r}, standalone_mode=False, prog_name='x')"
    )


def test_importing_phire_is_light():
    assert loaded_after("import phire") == ["[]"]


@pytest.mark.parametrize("module", COMMANDS)
def test_help_of_a_command_is_light(module):
    lines = loaded_after(help_of(module))
    assert lines[0].startswith("Usage: ")
    assert lines[-1] == "[]"


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_of_a_subcommand_is_light(name):
    lines = loaded_after(help_of("phire", name))
    assert lines[0].startswith("Usage: ")
    assert lines[-1] == "[]"


@pytest.mark.parametrize("module", [*COMMANDS, *(n.replace("-", "_") for n in SUBCOMMANDS)])
def test_every_option_is_explained(module):
    command = importlib.import_module(f"phire.cli.{module}").main
    options = [p for p in command.params if isinstance(p, click.Option)]
    unexplained = [option.name for option in options if not option.help]
    assert command.help
    assert not unexplained


def test_fields_and_evaluation_need_no_tensorflow():
    lines = loaded_after("import phire.fields, phire.evaluation")
    assert "tensorflow" not in lines[-1]
    assert "keras" not in lines[-1]


MISSING = "none does not exist: name"
NO_RUN = ". is not a run"
TRAIN = (FILE, "--out", "r", "--objective")
MISTAKES = {
    "records": ("phire_train", ["none", "--out", "run"], f"{MISSING} records"),
    "no-records": ("phire_train", [".", "--out", "run"], ". holds neither records.json nor"),
    "option": ("phire_train", [".", "--out", "r", "--epochz", "1"], "No such option"),
    "content": ("phire_train", [*TRAIN, "srgan,content=none"], "content none is ne"),
    "content-option": (
        "phire_train",
        [*TRAIN, "content,content=mse+huber(dalta=1)"],
        "has no option 'dalta'",
    ),
    "no-content": ("phire_train", [*TRAIN, "wgan,content=."], ". is not a metric"),
    "kernel": ("phire_train", [*TRAIN, "energy,metric=none"], "none does not exist"),
    "residual": ("phire_train", [*TRAIN, "edm,residual=none"], MISSING),
    "pairs": ("rplearn_train", ["none", "--out", "r", "--classes", "3"], MISSING),
    "evaluated": ("rplearn_eval", ["none", "--records", FILE, "--out", "r"], MISSING),
    "no-run": ("rplearn_eval", [".", "--records", FILE, "--out", "r"], NO_RUN),
    "predicting-run": ("predict", ["none", "b.nc", "c.nc"], MISSING),
    "predicted": ("predict", ["bicubic", "none", "c.nc"], f"{MISSING} a NetCDF"),
    "prediction": ("predict", ["bicubic", FILE, "c.txt"], "c.txt has the suffix '.txt'"),
    "static": ("predict", ["bicubic", FILE, "c.nc", "--static", "none:orog"], MISSING),
    "sampler": ("predict", ["run", FILE, "c.nc", "--sampler", "nosuch"], "nosuch"),
    "sampler-option": (
        "predict",
        ["run", FILE, "c.nc", "--sampler", "heun,stepz=3"],
        "has no option 'stepz'",
    ),
    "metric": ("distance", ["none", FILE, FILE], "none does not exist: name a metric"),
    "no-metric": ("distance", [".", FILE, FILE], ". is not a metric"),
    "features": ("rplearn_features", [".", FILE, "c.h5"], ". is not a metric"),
    "certainty": ("rplearn_certainty", [".", FILE, "--out", "c.nc", "--lag", "1"], NO_RUN),
    "probe": ("rplearn_probe", [".", FILE, "--out", "c.nc"], ". is not a metric"),
    "imported": ("import_metric", ["none", "m"], "none is not a directory"),
    "compared": ("rplearn_compare", ["a=none"], MISSING),
    "truth": ("phire_eval", ["none", "--out", "r"], MISSING),
    "candidate": ("phire_eval", [FILE, "--out", "r", "--candidate", "a=none"], MISSING),
    "candidate-run": ("phire_eval", [FILE, "--out", "r", "--candidate", "a=."], NO_RUN),
    "climatology": ("phire_eval", [FILE, "--out", "r", "--climatology", "none"], MISSING),
    "learned": ("phire_eval", [FILE, "--out", "r", "--learned", "none"], "none does not exist"),
    "statistic": ("phire_eval", [FILE, "--out", "r", "--metrics", "nosuch"], "nosuch is unknown"),
}


RUN_ALL = """
import importlib, json, sys
from click.testing import CliRunner
for name, (module, arguments, said) in json.loads(sys.argv[1]).items():
    main = importlib.import_module(f"phire.cli.{module}").main
    result = CliRunner().invoke(main, arguments)
    print(json.dumps([name, result.exit_code, result.output, "tensorflow" in sys.modules]))
"""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """By name what one interpreter answers to all mistakes: status, words, TensorFlow loaded."""
    folder = tmp_path_factory.mktemp("mistakes")
    run = {"config.yaml": "objective: {name: edm, sigma_min: 0.1, sigma_max: 9}"}
    (folder / "run").mkdir()
    for name, text in {**run, "provenance.json": "{}"}.items():
        (folder / "run" / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, json.dumps(MISTAKES)],
        capture_output=True, text=True, check=True, cwd=folder,
    )  # fmt: skip
    assert [path.name for path in folder.iterdir()] == ["run"]
    return {name: answer for name, *answer in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_of_usage_are_told_before_tensorflow_is_loaded(refusals, name):
    status, words, loaded = refusals[name]
    assert MISTAKES[name][2] in words
    assert (status, len(words.splitlines()), loaded) == (2, 1, False)


def test_interpolation_needs_no_tensorflow(tmp_path):
    arguments = ["nearest", STORE, str(tmp_path / "fine.nc"), "--scale", "2", "-q"]
    code = "from phire.cli.predict import main\n" + (
        f"main({arguments!r}, prog_name='x', standalone_mode=False)"
    )
    assert "tensorflow" not in loaded_after(code)[-1]
    assert (tmp_path / "fine.nc").exists()


def test_writing_records_of_block_means_loads_little_of_scipy(tmp_path):
    """Sparse maps and trees of points, a fifth of the start, are for inputs on other grids."""
    code = (
        "from phire.cli.phire_data import main\n"
        f"main([{STORE!r}, {str(tmp_path / 'records')!r}, '--patch', '16,16', '-q',"
        " '--patches-per-field', '1'], standalone_mode=False, prog_name='x')"
    )
    assert "scipy." not in loaded_after(code)[-1]
    assert (tmp_path / "records" / "records.json").exists()
