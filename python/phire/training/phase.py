"""Phases of a training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

    Batches = Callable[[int, int, tuple[int, int]], tf.data.Dataset]


ALL = "*"
"""Stands for every optimizer of the objective that is not named."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """One phase of training: a number of epochs under one schedule.

    Attributes:
        name: Shown, logged, and given to ``Objective.begin``.
        epochs: How many.
        batches: ``batches(epoch, skip, (workers, worker))`` gives the epoch's batches from
            ``skip`` on, for one worker; ``epoch`` counts from 0 within the phase.
        steps: Batches an epoch.
        learning_rates: Of the optimizers, by name or :data:`ALL`, at the phase's beginning.
        factor: Factor of these rates at a step, counted from 0 within the phase, as a function of
            float32 tensors; None leaves the rates as they are.
        reduce_on_plateau: Arguments of :class:`phire.training.plateau.ReduceOnPlateau`, by
            optimizer or :data:`ALL`.
        validate_every: Validate after every n-th epoch and after the last one.
        stop_early: Arguments of :class:`phire.training.plateau.Patience`; by default all epochs are
            trained.
    """

    name: str
    epochs: int
    batches: Batches
    steps: int
    learning_rates: Mapping[str, float] | None = None
    factor: Callable[[tf.Tensor], tf.Tensor] | None = None
    reduce_on_plateau: Mapping[str, Mapping[str, Any]] | None = None
    validate_every: int = 1
    stop_early: Mapping[str, Any] | None = None

    def rates(self, optimizers: Iterable[str]) -> dict[str, float]:
        """Returns the learning rates of those optimizers that the phase sets one for."""
        return _spread(self.learning_rates, optimizers)

    def plateaus(self, optimizers: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Returns the arguments of the plateau rule of those optimizers that it is for."""
        return _spread(self.reduce_on_plateau, optimizers)


def _spread(given: Mapping[str, Any] | None, names: Iterable[str]) -> dict[str, Any]:
    given = given or {}
    return {n: given.get(n, given.get(ALL)) for n in names if n in given or ALL in given}
