"""SIGTERM, by which a cluster announces that it will end the job."""

from __future__ import annotations

import signal
import threading
from typing import Any

from phire.errors import WorkError

STATUS = 128 + signal.SIGTERM


class Terminated(WorkError):
    """Training stopped by SIGTERM after a checkpoint was saved.

    Console commands end with exit status 143.
    """

    status = STATUS


class TerminationNotice:
    """Context in which SIGTERM sets :attr:`received` instead of ending the process."""

    def __init__(self) -> None:
        self.received = False
        self._before: Any = None

    def _receive(self, number: int, frame: Any) -> None:
        self.received = True

    def __enter__(self) -> TerminationNotice:
        # Python allows signal handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
