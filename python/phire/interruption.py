"""Handling of Ctrl-C and SIGTERM that works even if a library swallows their exception.

Python turns a signal into an exception at whatever line is running. Inside a callback of a C
library, a finalizer or a bare ``except`` that exception is lost and the work continues. Therefore
the handler also stores the signal, and :func:`check` raises the exception again at safe places.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
MESSAGE = "interrupted; the same command continues from here or starts again"


class Interrupted(KeyboardInterrupt):
    """Exception raised for SIGINT or SIGTERM."""


class _State:
    """Signal state of the process.

    Attributes:
        number: Signal received within :func:`signal_handling`; None if no signal arrived.
        depth: Number of :func:`deferred` blocks around the running line.
        exit_message: File descriptor and message of :func:`exit_on_signal`; None outside of it.
    """

    number: int | None = None
    depth: int = 0
    exit_message: tuple[int, bytes] | None = None


_state = _State()


def _receive(number: int, frame: Any) -> None:
    # Only simple operations: a handler runs between any two bytecodes of the main thread.
    _state.number = number
    if _state.exit_message is not None:
        os.write(*_state.exit_message)
        os._exit(128 + number)  # the shell's exit status of a process ended by a signal
    if not _state.depth:
        raise Interrupted


@contextlib.contextmanager
def signal_handling() -> Iterator[None]:
    """Makes SIGINT and SIGTERM raise :class:`Interrupted` within the block, and stores them.

    Python delivers signals to the main thread only. In another thread, and inside another
    ``signal_handling`` block, this context manager does nothing.
    """
    if threading.current_thread() is not threading.main_thread() or any(
        signal.getsignal(number) is _receive for number in SIGNALS
    ):
        yield
        return
    _state.number = None
    before = {number: signal.signal(number, _receive) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _state.number = None


@contextlib.contextmanager
def deferred(raises: bool = True) -> Iterator[None]:
    """Delays signals until the end of the block.

    For calls that leave a file or a library's threads in a bad state when interrupted.

    Args:
        raises: Raise :class:`Interrupted` at the end of the block. If False, the next
            :func:`check` raises it.
    """
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1
    if raises:
        check()


@contextlib.contextmanager
def shielded_context(opened: Callable[..., Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
    """Enters and exits a context manager with signals deferred; only the block is interrupted.

    Args:
        opened: Function that returns the context manager.
        *args, **kwargs: Arguments of ``opened``.

    Yields:
        The value that the context manager yields.
    """
    with deferred(raises=False):
        manager = opened(*args, **kwargs)
        value = manager.__enter__()
    try:
        check()
        yield value
    except BaseException:
        with deferred(raises=False):
            if not manager.__exit__(*sys.exc_info()):  # True would mean: exception handled
                raise
    else:
        with deferred():
            manager.__exit__(None, None, None)


@contextlib.contextmanager
def exit_on_signal(message: str, stream: int = 2) -> Iterator[None]:
    """Makes a signal within the block end the process at once, without any clean-up.

    For the import of large C++ libraries, which abort when an exception passes through them. The
    process must not have temporary files at that time.

    Args:
        message: Line that is printed to standard error before the process ends.
        stream: File descriptor to print to; another one than 2 if the block redirects standard
            error.
    """
    before = _state.exit_message
    _state.exit_message = (stream, message.encode())
    try:
        yield
    finally:
        _state.exit_message = before


def received() -> int | None:
    """Returns the number of the signal received within :func:`signal_handling`, or None."""
    return _state.number


def check() -> None:
    """Raises :class:`Interrupted` if a signal was received, unless signals are deferred."""
    if _state.number is not None and not _state.depth:
        raise Interrupted
