"""SIGTERM: a cluster's notice that the job will be ended."""

from __future__ import annotations

import signal
import threading
from typing import Any

from phire.errors import WorkError

STATUS = 128 + signal.SIGTERM


class Terminated(WorkError):
    """SIGTERM came; what was done is saved. Console commands end with status 143."""

    status = STATUS


class TerminationNotice:
    """Within the block, SIGTERM sets :attr:`received` instead of ending the process."""

    def __init__(self) -> None:
        self.received = False
        self._before: Any = None

    def _receive(self, number: int, frame: Any) -> None:
        self.received = True

    def __enter__(self) -> TerminationNotice:
        # Python hands signals to the main thread alone; in another one there is nothing to set.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
