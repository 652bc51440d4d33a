"""The shell that every console command wears."""

import errno
import warnings

import click
import pytest
from click.testing import CliRunner

from phire import progress
from phire.cli.comma_separated import CommaSeparated
from phire.cli.command import Command
from phire.errors import InputError, WorkError

pytestmark = pytest.mark.versions


@pytest.fixture
def command():
    @click.command("toy", cls=Command)
    @click.option("--patch", type=CommaSeparated(int, 2), default="160,160")
    @click.option("--name", "names", multiple=True)
    @click.option("--fail", default=None)
    def toy(patch, names, fail, overwrite):
        """A toy."""
        failures = {
            "input": InputError("a.h5 is not there:\n  name another."),
            "work": WorkError("a worker was lost."),
            "reader": BrokenPipeError(errno.EPIPE, "Broken pipe"),
            "disk": OSError(28, "No space left on device", "out.h5"),
        }
        if fail:
            raise failures[fail]
        if "odd" in names:
            warnings.warn("a value\nis odd.", stacklevel=1)
        click.echo(f"{patch} {names} {overwrite}")
        progress.say("said")

    return toy


def run(command, *arguments):
    return CliRunner().invoke(command, arguments)


def test_options_come_from_the_command_line(command):
    result = run(command, "--patch", "8, 9", "--name", "a", "--name", "b", "--overwrite")
    assert result.exit_code == 0
    assert result.output.startswith("(8, 9) ('a', 'b') True\n")
    assert "said" in result.output


def test_quiet_says_nothing(command):
    assert run(command, "--quiet").output == "(160, 160) () False\n"


def test_a_reader_that_has_enough_is_no_error_to_tell(command):
    result = run(command, "--fail", "reader")
    assert result.exit_code == 1
    assert result.output == ""


def test_a_warning_is_one_line_without_the_code_it_comes_from(command):
    shown = warnings.showwarning
    result = run(command, "--name", "odd")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[0] == "toy: warning: a value is odd."
    assert "test_common.py" not in result.output
    assert warnings.showwarning is shown


def test_options_come_from_a_file_and_the_command_line_wins(command, tmp_path):
    config = tmp_path / "options.yaml"
    config.write_text("patch: [4, 5]\nname: [a, b]\noverwrite: true\nquiet: true\n")
    assert run(command, "--config", config).output == "(4, 5) ('a', 'b') True\n"
    result = run(command, "--config", config, "--patch", "6,7")
    assert result.output == "(6, 7) ('a', 'b') True\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patches: 3\n", "unknown option 'patches'; the options are"),
        ("patch: [1, 2, 3]\n", "'1,2,3' is not of the form int,int"),
        ("- 3\n", "must hold"),
        ("a: [\n", "line 2 is not YAML"),
    ],
)
def test_a_wrong_file_is_named(command, tmp_path, text, said):
    config = tmp_path / "options.yaml"
    config.write_text(text)
    result = run(command, "--config", config)
    assert result.exit_code == 2
    assert said in result.output
    assert str(config) in result.output
    assert len(result.output.splitlines()) == 1


def test_what_the_command_line_gets_wrong_is_not_put_on_the_file(command, tmp_path):
    config = tmp_path / "options.yaml"
    config.write_text("patch: [1, 2, 3]\n")
    result = run(command, "--config", config, "--patch", "x")
    assert result.exit_code == 2
    assert "--config" not in result.output


def test_a_missing_file_is_named(command, tmp_path):
    result = run(command, "--config", tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "none.yaml: No such file" in result.output


@pytest.mark.parametrize(
    ("fail", "status", "said"),
    [
        ("input", 2, "toy: a.h5 is not there: name another.\n"),
        ("work", 1, "toy: a worker was lost.\n"),
        ("disk", 1, "toy: [Errno 28] No space left on device: 'out.h5'\n"),
    ],
)
def test_an_error_is_one_line_with_its_status(command, fail, status, said):
    result = run(command, "--fail", fail)
    assert result.exit_code == status
    assert result.output == said
