"""Drawing of figures in parallel, in this process and in further processes.

Matplotlib holds Python's global lock while it draws, so threads are no faster. The processes are
started as commands, not by ``multiprocessing``, which would import the caller's script again and
fail if the script has no ``if __name__ == "__main__"``.
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
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from phire import interruption, progress
from phire.errors import WorkError
from phire.evaluation.figures.figure_drawing import Draw, figure_writer

FIGURES_OF_A_PROCESS = 8
"""Number of figures that take longer to draw than a process takes to start (two seconds)."""

_SILENT_IMPORT = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)"
"""Code that lets Ctrl-C end a process without a traceback while it imports modules."""


def sensible_processes(figures: int) -> int:
    """Returns the number of processes to draw ``figures`` figures with, at most one per core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, figures // FIGURES_OF_A_PROCESS))


def outcomes(
    names: Sequence[str], draw: Draw, request: Mapping[str, Any], processes: int
) -> Iterator[tuple[str, str | None]]:
    """Draws figures in this process and in further processes.

    Args:
        names: Names of the figures.
        draw: Function that draws a figure in this process.
        request: Arguments of :func:`phire.evaluation.figures.figure_drawing.figure_writer`, with
            which a further process makes the same function; they must be JSON values.
        processes: Number of processes, including this one.

    Yields:
        Each name with None, or with the error as a text, in the order of ``names``.

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

        # Threads start without the caller's context variables, such as that of quiet commands.
        yield from pool.map(outcome, names, [contextvars.copy_context() for _ in names])


@contextlib.contextmanager
def _drawing_process(request: Mapping[str, Any]) -> Iterator[Draw]:
    """Starts a process that draws figures; yields a function that requests a figure by its name."""
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
        except (OSError, ValueError):  # the pipe was closed or the answer is incomplete
            raise WorkError(f"a process ended while drawing the figure {name}.") from None
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
            # The signal of Ctrl-C, on which the process removes a half-written file.
            process.send_signal(signal.SIGINT)
            process.wait()


def _answer() -> None:
    """Draws figures requested on standard input: a line of arguments as JSON, then names."""
    draw = figure_writer(**json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        try:
            with progress.collected() as said:
                answer = {"failed": draw(json.loads(line)), "said": said}
        except OSError as error:
            answer = {"refused": [error.errno, error.strerror, error.filename]}
        print(json.dumps(answer), flush=True)


def main() -> None:
    """Runs a further process until the end of its standard input, or Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt), interruption.signal_handling():
        _answer()
