"""Early stopping: ends a phase of training when a score has not fallen for some epochs.

Keras has a callback for the same rule, but its counters are not part of any checkpoint, so a
resumed training would end with other weights than an uninterrupted one.
``tests/training/test_going_on.py`` checks it against ``keras.callbacks.EarlyStopping``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class Patience:
    """Counter of the epochs since a score last fell.

    Follows the rule of ``keras.callbacks.EarlyStopping``, with a state that a checkpoint can hold.

    Args:
        monitor: Name of the score; lower is better.
        patience: Epochs without progress after which :meth:`after_epoch` returns True.
        min_delta: Smallest decrease of the score that counts as progress.
        best, waited: State from :meth:`state`: the best score, and the epochs since then.
    """

    def __init__(
        self,
        *,
        monitor: str = "val_loss",
        patience: int = 8,
        min_delta: float = 0.0,
        best: float | None = None,
        waited: int = 0,
    ) -> None:
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.best = math.inf if best is None else best
        self.waited = waited

    def after_epoch(self, scores: Mapping[str, Any]) -> bool:
        """Counts an epoch; returns True after ``patience`` epochs without progress.

        Args:
            scores: Scores of the epoch by name. An epoch without the monitored one is not counted.
        """
        if self.monitor not in scores:
            return False
        score = float(scores[self.monitor])
        if score < self.best - self.min_delta:
            self.best, self.waited = score, 0
            return False
        self.waited += 1
        return self.waited >= self.patience

    def state(self) -> dict[str, Any]:
        """Returns the state as keyword arguments of the class."""
        return {"best": None if math.isinf(self.best) else self.best, "waited": self.waited}
