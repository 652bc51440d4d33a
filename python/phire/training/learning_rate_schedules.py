"""Learning-rate schedules: factors of the rate by step, or reductions after an epoch.

Keras's schedules count the steps of one optimizer; these span all phases and optimizers of a
training, also one that is resumed. ``tests/training/test_learning_rate_schedules.py`` checks them
against their formulas.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from phire.errors import InputError
from phire.part_registry import Specification
from phire.training.registry import schedule

if TYPE_CHECKING:
    from phire.training.phase import Phase

Factor = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Learning-rate schedule over all phases of a training.

    Attributes:
        factor: Function of the step (float32 scalar tensor, from 0) that returns the factor of the
            learning rates; None for a constant factor of 1.
        reduce_on_plateau: Arguments of
            :class:`phire.training.reduce_on_plateau.ReduceOnPlateau`; None if the rates do not
            depend on the losses.
    """

    factor: Factor | None = None
    reduce_on_plateau: Mapping[str, Any] | None = None


@schedule("constant")
def constant(steps: int, *, warmup: int = 0) -> Schedule:
    """Keeps each phase's learning rate constant, after an optional warm-up.

    Args:
        steps: Total steps of all phases.
        warmup: Steps at the beginning in which the rate rises linearly from 0.

    Raises:
        InputError: The warm-up is negative or longer than the training.
    """
    _check_warmup(warmup, steps)
    return Schedule(_warming(warmup) if warmup else None)


@schedule("cosine")
def cosine(steps: int, *, warmup: int = 0, final: float = 0.0) -> Schedule:
    """Lowers the learning rates along half a cosine that spans all phases.

    The factor at step n is final + (1 − final)·(1 + cos(π (n − warmup) / (steps − warmup))) / 2
    (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts).

    Args:
        steps: Total steps of all phases.
        warmup: Steps at the beginning in which the rate rises linearly from 0.
        final: Factor of the rates at the end of the training.

    Raises:
        InputError: The warm-up is negative or longer than the training, or ``final`` is not in
            [0, 1].
    """
    _check_warmup(warmup, steps)
    if not 0 <= final <= 1:
        raise InputError(f"schedule cosine: final={final} must lie between 0 and 1.")

    def factor(step: Any) -> Any:
        import tensorflow as tf

        share = tf.clip_by_value((step - warmup) / max(steps - warmup, 1), 0.0, 1.0)
        fallen = final + (1 - final) * 0.5 * (1 + tf.cos(math.pi * share))
        return fallen * _warming(warmup)(step) if warmup else fallen

    return Schedule(factor)


@schedule("step")
def step(
    steps: int, *, after: int | Sequence[int], factor: float = 0.1, warmup: int = 0
) -> Schedule:
    """Multiplies the learning rates by a factor at given steps.

    Args:
        steps: Total steps of all phases.
        after: Number of steps after which the rates are multiplied by ``factor``; several numbers
            multiply again at each. Numbers beyond the last step have no effect, so one schedule
            serves trainings of any length.
        factor: Factor of the rates at each of these steps, between 0 and 1.
        warmup: Steps at the beginning in which the rate rises linearly from 0.

    Raises:
        InputError: A number of steps is not positive, the factor is not in (0, 1), or the warm-up
            does not fit.
    """
    _check_warmup(warmup, steps)
    boundaries = [after] if isinstance(after, int) else list(after)
    if not boundaries or not all(n > 0 for n in boundaries) or not 0 < factor < 1:
        raise InputError(
            f"schedule step: after={after} must be positive numbers of steps, and "
            f"factor={factor} must lie between 0 and 1."
        )

    def lowered(step: Any) -> Any:
        import tensorflow as tf

        passed = tf.reduce_sum(tf.cast(step >= tf.constant(boundaries, tf.float32), tf.float32))
        fallen = factor**passed
        return fallen * _warming(warmup)(step) if warmup else fallen

    return Schedule(lowered)


@schedule("plateau")
def plateau(
    steps: int,
    *,
    monitor: str = "loss",
    factor: float = 0.1,
    patience: int = 8,
    threshold: float = 0.04,
    floor: float = 1e-5,
) -> Schedule:
    """Lowers the learning rates when a score has not fallen for ``patience`` epochs.

    Args:
        steps: Total steps of all phases; unused, as every schedule takes it.
        monitor: Name of the score, a column of ``training.csv``.
        factor: Factor of the rates at each reduction, between 0 and 1.
        patience: Epochs without progress before a reduction.
        threshold: Smallest decrease of the score that counts as progress.
        floor: Lower bound of the learning rates.

    Raises:
        InputError: The factor is not in (0, 1), or the patience is below 1.
    """
    if not 0 < factor < 1 or patience < 1:
        raise InputError(
            f"schedule plateau: factor={factor} must lie between 0 and 1, and "
            f"patience={patience} must be at least 1."
        )
    return Schedule(
        reduce_on_plateau={
            "monitor": monitor, "factor": factor, "patience": patience, "min_delta": threshold,
            "floor": floor,
        }
    )  # fmt: skip


def _check_warmup(warmup: int, steps: int) -> None:
    """Raises an InputError if the warm-up is negative or not shorter than the training."""
    if not 0 <= warmup < max(steps, 1):
        raise InputError(
            f"--schedule: a warm-up of {warmup} steps does not fit a training of {steps} steps."
        )


def _warming(warmup: int) -> Factor:
    """Returns the factor of a linear warm-up over n steps: 1/n, 2/n, …, 1, then 1."""

    def factor(step: Any) -> Any:
        import tensorflow as tf

        return tf.minimum((step + 1) / warmup, 1.0)

    return factor


def scheduled(specification: Specification, phases: Sequence[Phase]) -> list[Phase]:
    """Returns copies of phases whose learning rates follow one schedule across all of them.

    Args:
        specification: Schedule, as ``NAME,key=value,…`` or a mapping with the key ``name``.
        phases: Phases that state their learning rates.

    Raises:
        InputError: The schedule or an option is unknown, or an option's value is out of range.
    """
    lengths = [phase.epochs * phase.steps for phase in phases]
    spanning: Schedule = schedule.build(specification, sum(lengths))
    result = []
    for number, phase in enumerate(phases):
        begin = sum(lengths[:number])
        changes: dict[str, Any] = {}
        if spanning.factor is not None:
            # A phase counts its steps from 0, the schedule from the beginning of the training.
            changes["factor"] = lambda step, begin=begin: spanning.factor(step + begin)
        if spanning.reduce_on_plateau is not None:
            names = phase.learning_rates or {}
            changes["reduce_on_plateau"] = {name: spanning.reduce_on_plateau for name in names}
        result.append(dataclasses.replace(phase, **changes))
    return result
