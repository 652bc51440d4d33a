"""Ctrl-C and SIGTERM: noticed even where a library swallows the exception that they raise.

Python turns a signal into an exception at whatever line is running. Inside a callback of a C
library, a finalizer or a bare ``except`` that exception is lost, and the work goes on as if nothing
had happened. So the signal is also noted, and :func:`check` raises it again at safe places.
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
MESSAGE = "interrupted; the same command goes on from here or starts again"


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM came."""


class _State:
    number: int | None = None
    depth: int = 0
    leaving: tuple[int, bytes] | None = None


_state = _State()


def _receive(number: int, frame: Any) -> None:
    _state.number = number
    if _state.leaving is not None:
        os.write(*_state.leaving)
        os._exit(128 + number)
    if not _state.depth:
        raise Interrupted


@contextlib.contextmanager
def noticed() -> Iterator[None]:
    """Within the block, SIGINT and SIGTERM raise :class:`Interrupted` and are noted.

    Python hands signals to the main thread only: in others, and inside another such block, this
    changes nothing.
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
    """Within the block, signals are only noted; the end of the block raises them.

    For calls that leave a file or a library's threads in a bad state when they are broken off.

    Args:
        raises: Raise at the end. Else the next :func:`check` does.
    """
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1
    if raises:
        check()


@contextlib.contextmanager
def undisturbed(opened: Callable[..., Any], *args: Any, **kwargs: Any) -> Iterator[Any]:
    """Opens and closes a context manager with signals deferred; only the block is interrupted.

    Args:
        opened: Makes the context manager, of ``args`` and ``kwargs``.

    Yields:
        What the context manager yields.
    """
    with deferred(raises=False):
        manager = opened(*args, **kwargs)
        value = manager.__enter__()
    try:
        check()
        yield value
    except BaseException:
        with deferred(raises=False):
            if not manager.__exit__(*sys.exc_info()):
                raise
    else:
        with deferred():
            manager.__exit__(None, None, None)


@contextlib.contextmanager
def leaving(message: str, stream: int = 2) -> Iterator[None]:
    """Within the block, a signal ends the process at once with ``message``, without cleaning up.

    For the import of large C++ libraries, which abort when an exception passes through them. The
    process must hold nothing that needs removing.

    Args:
        message: The line for standard error.
        stream: File descriptor of standard error, where it is redirected within the block.
    """
    before = _state.leaving
    _state.leaving = (stream, message.encode())
    try:
        yield
    finally:
        _state.leaving = before


def received() -> int | None:
    """The number of the signal that came within :func:`noticed`; None if none did."""
    return _state.number


def check() -> None:
    """Raises :class:`Interrupted` where a signal came that something has swallowed."""
    if _state.number is not None and not _state.depth:
        raise Interrupted
