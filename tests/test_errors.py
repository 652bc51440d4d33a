"""Messages of the library in Python's words."""

import pytest

from phire import progress
from phire.errors import InputError, naming_arguments, naming_options


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("pass --any-spacing, or leave --tile out", "pass any_spacing, or leave tile out"),
        ("`phire predict --coarsen` makes them", "`phire predict --coarsen` makes them"),
        ("a-b -- c", "a-b -- c"),
        ("run/a--b does not exist", "run/a--b does not exist"),
    ],
)
def test_options_become_arguments(message, said):
    with pytest.raises(InputError) as caught, naming_arguments():
        raise InputError(message)
    assert str(caught.value) == said


def test_other_errors_pass():
    with pytest.raises(KeyError), naming_arguments():
        raise KeyError("--x")


def test_a_command_keeps_its_options():
    with pytest.raises(InputError, match="pass --any-spacing"), naming_options():
        with naming_arguments():
            raise InputError("pass --any-spacing")
    with pytest.raises(InputError, match="pass any_spacing"), naming_arguments():
        raise InputError("pass --any-spacing")


def test_lines_for_the_user_name_arguments_too(capsys):
    progress.say("pass --any-spacing")
    with naming_options():
        progress.say("pass --any-spacing")
    assert capsys.readouterr().err == "pass any_spacing\npass --any-spacing\n"
