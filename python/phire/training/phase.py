"""Phases of a training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

    Batches = Callable[[int, int, tuple[int, int]], tf.data.Dataset]


@dataclasses.dataclass(frozen=True)
class Phase:
    """One phase of training: a number of epochs under one schedule.

    Attributes:
        name: Shown, logged, and given to ``Objective.begin``.
        epochs: How many.
        batches: ``batches(epoch, skip, (workers, worker))`` gives the epoch's batches from
            ``skip`` on, for one worker; ``epoch`` counts from 0 within the phase.
        steps: Batches an epoch.
        learning_rates: Of the optimizers, by name, at the phase's beginning.
        factor: Factor of these rates at a step, counted from 0 within the phase, as a function of
            float32 tensors; None leaves the rates as they are.
        reduce_on_plateau: Arguments of :class:`phire.training.plateau.ReduceOnPlateau`, by
            optimizer.
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
