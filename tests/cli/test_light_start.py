"""Help and the light imports load nothing heavy: they must answer at once."""

import importlib
import subprocess
import sys

import click
import pytest

from phire.cli.phire import SUBCOMMANDS

HEAVY = ("tensorflow", "keras", "xarray", "dask", "matplotlib", "scipy", "h5py", "numpy")
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


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        (
            "phire_train",
            ["none", "--out", "run"],
            "none does not exist: name records of phire-data",
        ),
        ("phire_train", [".", "--out", "r", "--epochz", "1"], "No such option"),
        ("rplearn_train", ["none", "--out", "r", "--classes", "3"], "none does not exist"),
        ("rplearn_eval", ["none", "--records", ".", "--out", "r"], "none does not exist"),
    ],
)
def test_mistakes_of_usage_are_told_before_tensorflow_is_loaded(module, arguments, said):
    code = f"from phire.cli.{module} import main\nimport sys\n" + (
        f"try:\n    main({arguments!r}, prog_name='x')\nexcept SystemExit as end:\n"
        "    print(end.code, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "2 False"
    assert said in done.stderr
