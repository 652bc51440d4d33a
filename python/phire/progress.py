"""Progress output of commands: lines and a progress bar, on standard error."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from phire import interruption
from phire.errors import in_callers_words

Item = TypeVar("Item")

_quiet: contextvars.ContextVar[bool] = contextvars.ContextVar("quiet", default=False)
_collected: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar(
    "collected", default=None
)


@contextlib.contextmanager
def quiet(silent: bool = True) -> Iterator[None]:
    """Suppresses lines and progress bars within the block.

    Args:
        silent: False shows them, also within another ``quiet`` block.
    """
    token = _quiet.set(silent)
    try:
        yield
    finally:
        _quiet.reset(token)


def is_quiet() -> bool:
    """Returns True within :func:`quiet`."""
    return _quiet.get()


@contextlib.contextmanager
def collected() -> Iterator[list[str]]:
    """Collects the lines that the block would print in the list that it yields."""
    lines: list[str] = []
    token = _collected.set(lines)
    try:
        yield lines
    finally:
        _collected.reset(token)


@functools.cache
def say_once(message: str) -> None:
    """Prints a line for the user; the same line is printed only once in a process."""
    say(message)


def say(message: str) -> None:
    """Prints a line on standard error, unless within :func:`quiet`.

    Outside of a command, ``--options`` in it are written as arguments
    (:func:`phire.errors.in_callers_words`).
    """
    message = in_callers_words(message)
    lines = _collected.get()
    if lines is not None:
        lines.append(message)
    elif not _quiet.get():
        Console(stderr=True, highlight=False, soft_wrap=True).print(message, markup=False)


class _Rate(ProgressColumn):
    """Column of a progress bar: units per second."""

    def render(self, task: Task) -> str:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "")
        return "" if speed is None else f"{speed:,.1f} {unit}/s"


@contextlib.contextmanager
def progress_bar(
    description: str, total: int | None, unit: str = "steps", start: int = 0
) -> Iterator[Callable[..., None]]:
    """Draws a progress bar with rate and remaining time on standard error.

    Without a terminal, and within :func:`quiet`, nothing is drawn.

    Args:
        description: Text before the bar.
        total: Number of units of the whole work, or None if unknown.
        unit: Noun of the units, for the rate.
        start: Number of units that an earlier run finished.

    Yields:
        ``advance(n=1, text=None)``, which advances the bar by ``n`` units and shows ``text``
        after it. It also raises :class:`phire.interruption.Interrupted` after a signal.
    """
    console = Console(stderr=True)
    # Without a terminal a bar would fill a log file with redrawn lines.
    disabled = _quiet.get() or not console.is_terminal
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
        console=console,
        disable=disabled,
    )
    with bar:
        task = bar.add_task(description, total=total, completed=start, unit=unit, text="")

        def advance(n: int = 1, text: str | None = None) -> None:
            # Every long loop has a bar, so this is where swallowed signals are noticed.
            interruption.check()
            bar.advance(task, n)
            if text is not None:
                bar.update(task, text=text)

        yield advance


def tracked(
    items: Iterable[Item], description: str, total: int | None = None, unit: str = "steps"
) -> Iterator[Item]:
    """Yields ``items`` and advances a progress bar after each.

    Args:
        items: The items.
        description: Text before the bar.
        total: Number of items; by default their length, if they have one.
        unit: Noun of the items, for the rate.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)
    with progress_bar(description, total, unit) as advance:
        for item in items:
            yield item
            advance()
