"""Learning rates reduced on a plateau, where a score has not fallen for some epochs.

Keras has a callback for the same rule, but its counters are not part of any checkpoint, so a
resumed training would end with other weights than an uninterrupted one.
``tests/training/test_going_on.py`` checks it against ``keras.callbacks.ReduceLROnPlateau``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phire.training.early_stopping import Patience


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
