"""Training phases: a number of epochs with their batches and learning rates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

    Batches = Callable[[int, int, tuple[int, int]], tf.data.Dataset]


ALL = "*"
"""Key for every optimizer of the objective that is not named itself."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """One phase of training: a number of epochs under one learning-rate schedule.

    Attributes:
        name: Name of the phase, shown, logged and passed to ``Objective.begin``.
        epochs: Number of epochs.
        batches: ``batches(epoch, skip, (workers, worker))`` returns one worker's dataset of an
            epoch, without its first ``skip`` batches; ``epoch`` counts from 0 within the phase.
        steps: Number of batches in an epoch.
        learning_rates: Initial learning rates by the optimizer's name or :data:`ALL`; None leaves
            the rates as they are.
        factor: Function of the step (float32 tensor, from 0 within the phase) that returns the
            factor of these rates; None for a constant factor of 1.
        reduce_on_plateau: Arguments of
            :class:`phire.training.reduce_on_plateau.ReduceOnPlateau`, by the optimizer's name or
            :data:`ALL`; None to keep the rates.
        validate_every: Number of epochs between validations; the last epoch is always validated.
        stop_early: Arguments of :class:`phire.training.early_stopping.Patience`; None to train all
            epochs.
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
        """Returns the initial learning rates by optimizer, for those that have one."""
        return _by_optimizer(self.learning_rates, optimizers)

    def plateaus(self, optimizers: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Returns the arguments of ReduceOnPlateau by optimizer, for those that have them."""
        return _by_optimizer(self.reduce_on_plateau, optimizers)


def _by_optimizer(given: Mapping[str, Any] | None, names: Iterable[str]) -> dict[str, Any]:
    """Returns the values by optimizer; :data:`ALL` stands for optimizers that are not named."""
    given = given or {}
    return {n: given.get(n, given.get(ALL)) for n in names if n in given or ALL in given}
