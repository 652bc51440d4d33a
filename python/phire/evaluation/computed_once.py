"""Cache of values that several statistics share, safe to use from several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

Value = TypeVar("Value")


class ComputedOnce:
    """Cache of values by key; each is computed once, by the first thread that asks for it.

    Each key has a lock of its own, so that other threads wait for this value only. The locks are
    reentrant: computing one value may ask for another.
    """

    def __init__(self) -> None:
        self._values: dict[Any, Any] = {}
        self._locks: dict[Any, threading.RLock] = {}
        self._guard = threading.Lock()

    def once(self, key: Any, compute: Callable[[], Value]) -> Value:
        """Returns the value cached under ``key``; the first call computes and caches it."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.RLock())
        with lock:
            if key not in self._values:
                self._values[key] = compute()
            return self._values[key]
