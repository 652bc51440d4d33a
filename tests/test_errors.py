"""Messages of the library in Python's words."""

import pytest

from phire.errors import InputError, naming_arguments, naming_options


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("pass --any-spacing, or leave --tile out", "pass any_spacing, or leave tile out"),
        ("`phire predict --coarsen` makes them", "`phire predict --coarsen` makes them"),
        ("a-b -- c", "a-b -- c"),
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
