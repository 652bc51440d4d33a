"""Values that several statistics share, computed when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

Value = TypeVar("Value")


class ComputedOnce:
    """Store of values by key, each computed by the first who asks for it, in whichever thread."""

    def __init__(self) -> None:
        self._values: dict[Any, Any] = {}
        self._locks: dict[Any, threading.RLock] = {}
        self._guard = threading.Lock()

    def once(self, key: Any, compute: Callable[[], Value]) -> Value:
        """Returns the value stored under ``key``; computes and stores it where there is none."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.RLock())
        with lock:
            if key not in self._values:
                self._values[key] = compute()
            return self._values[key]
