"""Plateau detection, which lowers learning rates or stops where a score no longer falls.

Keras has callbacks for both rules, but their counters are not part of any checkpoint, so a resumed
training would end with other weights than an uninterrupted one. The tests check the reductions
against ``keras.callbacks.ReduceLROnPlateau``.
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


class ReduceOnPlateau(Patience):
    """Rule that multiplies a learning rate by ``factor`` after epochs without progress.

    Follows ``keras.callbacks.ReduceLROnPlateau``, with a state that a checkpoint can hold.

    Args:
        factor: Factor of the rate at each reduction.
        floor: Lower bound of the rate.
        monitor, patience, min_delta, best, waited: See :class:`Patience`.
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
        """Counts an epoch; returns the reduced rate, or None to keep ``rate``."""
        if not self.after_epoch(scores):
            return None
        self.waited = 0
        rate_below = max(rate * self.factor, self.floor)
        return rate_below if rate_below < rate else None
