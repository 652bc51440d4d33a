"""Exceptions that console commands print as one sentence.

Messages of the library are written with ``--options``. Outside of a command they are rewritten to
name the Python arguments instead (:func:`naming_arguments`).
"""

from __future__ import annotations

import contextlib
import contextvars
import re
from collections.abc import Iterator

_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")
_COMMAND_LINE = re.compile(r"(`[^`]*`)")
_in_command = contextvars.ContextVar("_in_command", default=False)


class InputError(ValueError):
    """Mistake that the user can correct: an unsuitable file, option or data set.

    The message is one sentence: the file or option, the value found, and the remedy.
    Console commands print it and exit with status 2.
    """


class OptionError(InputError):
    """Wrong value of an option; :class:`phire.part_registry.Registry` adds the part's name."""


class WorkError(RuntimeError):
    """Failure of work after it started: a lost worker, a loss that is not finite, a full disk.

    Console commands print the message and exit with status 1.
    """


@contextlib.contextmanager
def naming_arguments() -> Iterator[None]:
    """Rewrites ``--options`` in the message of an :class:`InputError` as Python arguments.

    Decorates public functions. Within a console command the message is left as it is, so that
    each caller reads the names that they used.
    """
    try:
        yield
    except InputError as error:
        if _in_command.get():
            raise
        raise InputError(in_callers_words(str(error))) from error


def in_callers_words(message: str) -> str:
    """Returns a message with ``--options`` written as Python arguments, unless in a command.

    ``--any-spacing`` becomes ``any_spacing``. Command lines between backticks are not changed.
    """
    if _in_command.get():
        return message
    # The pattern is a group, so split() keeps the command lines, at the odd indices.
    pieces = _COMMAND_LINE.split(message)
    pieces[::2] = [
        _OPTION.sub(lambda match: match[1].replace("-", "_"), piece) for piece in pieces[::2]
    ]
    return "".join(pieces)


@contextlib.contextmanager
def naming_options() -> Iterator[None]:
    """Marks the block as a console command: messages name ``--options``, not arguments."""
    token = _in_command.set(True)
    try:
        yield
    finally:
        _in_command.reset(token)
