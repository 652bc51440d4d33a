"""Plateau detection: lowers learning rates or stops where a loss no longer falls.

Keras's callbacks of the same rules keep what they count to themselves, where no checkpoint finds
it: a resumed training would wait again, and end with other weights than an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class Patience:
    """Counts the epochs in which a score has not fallen.

    As in ``keras.callbacks.EarlyStopping``, with a state that a checkpoint can hold.

    Args:
        monitor: Name of the score, the lower the better.
        patience: Epochs without progress that end it.
        min_delta: The least progress that counts.
        best, waited: The state.
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
        """Returns True if patience is at its end; epochs without the score do not count."""
        if self.monitor not in scores:
            return False
        score = float(scores[self.monitor])
        if score < self.best - self.min_delta:
            self.best, self.waited = score, 0
            return False
        self.waited += 1
        return self.waited >= self.patience

    def state(self) -> dict[str, Any]:
        """Returns the state carried from epoch to epoch."""
        return {"best": None if math.isinf(self.best) else self.best, "waited": self.waited}


class ReduceOnPlateau(Patience):
    """Multiplies a learning rate by ``factor`` after ``patience`` epochs without progress.

    As ``keras.callbacks.ReduceLROnPlateau``, with a state that a checkpoint can hold.

    Args:
        factor: What the rate is multiplied by.
        floor: The least rate.
        monitor, patience, min_delta, best, waited: As for :class:`Patience`.
    """

    def __init__(
        self,
        *,
        monitor: str = "loss",
        factor: float = 0.1,
        patience: int = 8,
        min_delta: float = 0.04,
        floor: float = 1e-5,
        **state: Any,
    ) -> None:
        super().__init__(monitor=monitor, patience=patience, min_delta=min_delta, **state)
        self.factor = factor
        self.floor = floor

    def lowered(self, scores: Mapping[str, Any], rate: float) -> float | None:
        """Returns the new rate, or None to keep it."""
        if not self.after_epoch(scores):
            return None
        self.waited = 0
        rate_below = max(rate * self.factor, self.floor)
        return rate_below if rate_below < rate else None
