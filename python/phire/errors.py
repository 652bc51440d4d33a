"""Exceptions that console commands print as one sentence."""

from __future__ import annotations

import contextlib
import contextvars
import re
from collections.abc import Iterator

_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")
_COMMAND_LINE = re.compile(r"(`[^`]*`)")
_in_command = contextvars.ContextVar("_in_command", default=False)


class InputError(ValueError):
    """A mistake that the user can mend: a file, an option or data that do not fit.

    The message is one sentence that names the file or option, what was found and what to do.
    Console commands print it and end with status 2.
    """


class OptionError(InputError):
    """An impossible value of an option of a part; :class:`phire.parts.Registry` adds the name."""


class WorkError(RuntimeError):
    """Work that began in good order and could not be ended: a worker lost, a loss not finite.

    Console commands print the message and end with status 1.
    """


@contextlib.contextmanager
def naming_arguments() -> Iterator[None]:
    """Rewrites the message of an :class:`InputError` within the block by :func:`in_callers_words`.

    Decorates public functions, so that their callers read of arguments, and console commands of
    options.
    """
    try:
        yield
    except InputError as error:
        if _in_command.get():
            raise
        raise InputError(in_callers_words(str(error))) from error


def in_callers_words(message: str) -> str:
    """Returns a message that names arguments of Python for ``--options`` outside of a command.

    ``--any-spacing`` becomes ``any_spacing``; command lines between backticks stay.
    """
    if _in_command.get():
        return message
    pieces = _COMMAND_LINE.split(message)
    pieces[::2] = [
        _OPTION.sub(lambda match: match[1].replace("-", "_"), piece) for piece in pieces[::2]
    ]
    return "".join(pieces)


@contextlib.contextmanager
def naming_options() -> Iterator[None]:
    """Keeps the options in messages: the block is a console command."""
    token = _in_command.set(True)
    try:
        yield
    finally:
        _in_command.reset(token)
