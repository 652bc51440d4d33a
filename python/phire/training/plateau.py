"""Lowering a learning rate where a loss no longer falls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class ReduceOnPlateau:
    """Multiplies a learning rate by ``factor`` after ``patience`` epochs without progress.

    As ``keras.callbacks.ReduceLROnPlateau``, with a state that a checkpoint can hold.

    Args:
        monitor: Name of the score, the lower the better.
        factor: What the rate is multiplied by.
        patience: Epochs without progress.
        min_delta: The least progress that counts.
        floor: The least rate.
        best, waited: The state.
    """

    def __init__(
        self,
        *,
        monitor: str = "loss",
        factor: float = 0.1,
        patience: int = 8,
        min_delta: float = 0.04,
        floor: float = 1e-5,
        best: float | None = None,
        waited: int = 0,
    ) -> None:
        self.monitor = monitor
        self.factor = factor
        self.patience = patience
        self.min_delta = min_delta
        self.floor = floor
        self.best = math.inf if best is None else best
        self.waited = waited

    def after_epoch(self, scores: Mapping[str, Any], rate: float) -> float | None:
        """The new rate, or None to keep it."""
        if self.monitor not in scores:
            return None
        score = float(scores[self.monitor])
        if score < self.best - self.min_delta:
            self.best, self.waited = score, 0
            return None
        self.waited += 1
        if self.waited < self.patience:
            return None
        self.waited = 0
        lowered = max(rate * self.factor, self.floor)
        return lowered if lowered < rate else None

    def state(self) -> dict[str, Any]:
        """What goes on from epoch to epoch."""
        return {"best": None if math.isinf(self.best) else self.best, "waited": self.waited}
