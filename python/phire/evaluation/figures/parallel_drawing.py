"""Drawing of figures side by side, in this process and in further ones.

Matplotlib holds Python's lock while it draws, so that threads alone gain nothing. The further
processes are commands: those of ``multiprocessing`` import the caller's script again, which need
not be guarded against it.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from phire import interruption, progress
from phire.errors import WorkError

FIGURES_OF_A_PROCESS = 8
"""Figures from which a further process saves more than its start takes (two seconds)."""

_SILENT_IMPORT = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)"
"""Ctrl-C ends a process that is still importing, without a traceback; then ``main`` handles it."""

Draw: TypeAlias = Callable[[str], "str | None"]
"""Draws the figure of a name; returns what went wrong, else None."""


def sensible_processes(figures: int) -> int:
    """Returns the number of processes for so many figures: at most one a core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, figures // FIGURES_OF_A_PROCESS))


def outcomes(
    names: Sequence[str], draw: Draw, request: Mapping[str, Any], processes: int
) -> Iterator[tuple[str, str | None]]:
    """Draws figures here and in further processes.

    Args:
        names: Names of the figures.
        draw: Draws one of them in this process.
        request: Arguments of :func:`phire.evaluation.figures.figure_files.drawing`, by which a
            further process has the same ``draw``; plain values.
        processes: Number of processes, this one included.

    Yields:
        Each name with what went wrong, or None, in the order of ``names``.

    Raises:
        OSError: A figure could not be written.
        WorkError: A further process ended.
    """
    with contextlib.ExitStack() as stack:
        free: queue.SimpleQueue[Draw] = queue.SimpleQueue()
        free.put(draw)
        for _ in range(processes - 1):
            free.put(stack.enter_context(_drawing_process(request)))
        pool = ThreadPoolExecutor(processes)
        stack.callback(pool.shutdown, cancel_futures=True)

        def outcome(name: str, context: contextvars.Context) -> tuple[str, str | None]:
            chosen = free.get()
            try:
                return name, context.run(chosen, name)
            finally:
                free.put(chosen)

        # A thread begins without the caller's context, in which a command is quiet.
        yield from pool.map(outcome, names, [contextvars.copy_context() for _ in names])


@contextlib.contextmanager
def _drawing_process(request: Mapping[str, Any]) -> Iterator[Draw]:
    """Starts a process that draws figures by name; yields the function that asks it."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{_SILENT_IMPORT}; from {__name__} import main; main()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def ask(line: Any) -> None:
        process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()

    def draw(name: str) -> str | None:
        try:
            ask(name)
            answer = json.loads(process.stdout.readline())
        except (OSError, ValueError):  # a closed pipe, an answer cut off
            raise WorkError(f"a process that draws figures ended, at {name}.") from None
        if "refused" in answer:
            raise OSError(*answer["refused"])
        for line in answer["said"]:
            progress.say_once(line)
        return answer["failed"]

    try:
        ask(dict(request))
        yield draw
        process.stdin.close()
        process.wait()
    finally:
        if process.poll() is None:
            # As Ctrl-C, on which it takes its half-written file away.
            process.send_signal(signal.SIGINT)
            process.wait()


def _answer() -> None:
    """Draws figures as asked on standard input: first the request, then a name a line."""
    from phire.evaluation.figures.figure_files import drawing

    draw = drawing(**json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        try:
            with progress.collected() as said:
                answer = {"failed": draw(json.loads(line)), "said": said}
        except OSError as error:
            answer = {"refused": [error.errno, error.strerror, error.filename]}
        print(json.dumps(answer), flush=True)


def main() -> None:
    """Runs a further process until its standard input ends or Ctrl-C comes."""
    with contextlib.suppress(KeyboardInterrupt), interruption.noticed():
        _answer()
