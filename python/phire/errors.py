"""Exceptions that console commands print as one sentence."""

from __future__ import annotations

import contextlib
import contextvars
import re
from collections.abc import Iterator

_OPTION = re.compile(r"--([a-z][a-z-]*)")
_COMMAND_LINE = re.compile(r"(`[^`]*`)")
_in_command = contextvars.ContextVar("_in_command", default=False)


class InputError(ValueError):
    """A mistake that the user can mend: a file, an option or data that do not fit.

    The message is one sentence that names the file or option, what was found and what to do.
    Console commands print it and end with status 2.
    """


class WorkError(RuntimeError):
    """Work that began in good order and could not be ended: a worker lost, a loss not finite.

    Console commands print the message and end with status 1.
    """


@contextlib.contextmanager
def naming_arguments() -> Iterator[None]:
    """Rewrites the messages of mistakes within the block: arguments of Python, not options.

    ``--any-spacing`` becomes ``any_spacing``; command lines between backticks stay. Within
    :func:`naming_options` it changes nothing.
    """
    try:
        yield
    except InputError as error:
        if _in_command.get():
            raise
        pieces = _COMMAND_LINE.split(str(error))
        pieces[::2] = [
            _OPTION.sub(lambda match: match[1].replace("-", "_"), piece) for piece in pieces[::2]
        ]
        raise InputError("".join(pieces)) from error


@contextlib.contextmanager
def naming_options() -> Iterator[None]:
    """Keeps the options in messages: the block is a console command."""
    token = _in_command.set(True)
    try:
        yield
    finally:
        _in_command.reset(token)
