"""Schedules of the learning rate: what it is multiplied by at each step, or after each epoch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from phire.errors import InputError
from phire.parts import Specification
from phire.training.registry import schedule

if TYPE_CHECKING:
    from phire.training.phase import Phase

Factor = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Schedule of the learning rates over the phases that it spans.

    Attributes:
        factor: Factor of the rates at a step, a float32 scalar tensor counted from 0; None for 1.
        reduce_on_plateau: Arguments of :class:`phire.training.plateau.ReduceOnPlateau`; None where
            the rates do not depend on the losses.
    """

    factor: Factor | None = None
    reduce_on_plateau: Mapping[str, Any] | None = None


@schedule("constant")
def constant(steps: int, *, warmup: int = 0) -> Schedule:
    """Keeps each phase's learning rate.

    Args:
        steps: Steps of all phases.
        warmup: Steps at the beginning in which the rate rises linearly from 0.

    Raises:
        InputError: The warm-up is negative or longer than the training.
    """
    _check_warmup(warmup, steps)
    return Schedule(_warming(warmup) if warmup else None)


@schedule("cosine")
def cosine(steps: int, *, warmup: int = 0, final: float = 0.0) -> Schedule:
    """Lowers the learning rates along half a cosine, over all phases together.

    The factor at step n is final + (1 − final)·(1 + cos(π (n − warmup) / (steps − warmup))) / 2
    (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts).

    Args:
        steps: Steps of all phases.
        warmup: Steps at the beginning in which the rate rises linearly from 0.
        final: Factor at the end.

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
    """Lowers the learning rates at given steps.

    Args:
        steps: Steps of all phases.
        after: Number of steps after which the rates are multiplied by ``factor``, or several
            numbers, at each of which they are multiplied again. A number beyond the last step
            of the training has no effect, so that one schedule serves trainings of any length.
        factor: What the rates are multiplied by.
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
            f"factor={factor} lie between 0 and 1."
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
    """Lowers the learning rates when a score has not fallen for some epochs.

    Args:
        steps: Steps of all phases.
        monitor: Name of the score in ``training.csv``.
        factor: What the rates are multiplied by.
        patience: Epochs to wait for progress.
        threshold: Least fall of the score that counts.
        floor: Least learning rate.

    Raises:
        InputError: The factor is not in (0, 1), or the patience is below 1.
    """
    if not 0 < factor < 1 or patience < 1:
        raise InputError(
            f"schedule plateau: factor={factor} must lie between 0 and 1, and "
            f"patience={patience} be one at least."
        )
    return Schedule(
        reduce_on_plateau={
            "monitor": monitor, "factor": factor, "patience": patience, "min_delta": threshold,
            "floor": floor,
        }
    )  # fmt: skip


def _check_warmup(warmup: int, steps: int) -> None:
    if not 0 <= warmup < max(steps, 1):
        raise InputError(
            f"--schedule: a warm-up of {warmup} steps does not fit a training of {steps} steps."
        )


def _warming(warmup: int) -> Factor:
    """Returns the factor of a linear warm-up: 1/n at the first of n steps, then 1."""

    def factor(step: Any) -> Any:
        import tensorflow as tf

        return tf.minimum((step + 1) / warmup, 1.0)

    return factor


def scheduled(specification: Specification, phases: Sequence[Phase]) -> list[Phase]:
    """Returns phases with their learning rates under a schedule that spans all of them.

    Args:
        specification: ``NAME,key=value,…`` or a mapping with the key ``name``.
        phases: Phases that state their learning rates.

    Raises:
        InputError: The schedule or an option is unknown or impossible.
    """
    lengths = [phase.epochs * phase.steps for phase in phases]
    made: Schedule = schedule.build(specification, sum(lengths))
    found = []
    for number, phase in enumerate(phases):
        begun = sum(lengths[:number])
        changes: dict[str, Any] = {}
        if made.factor is not None:
            changes["factor"] = lambda step, begun=begun: made.factor(step + begun)
        if made.reduce_on_plateau is not None:
            names = phase.learning_rates or {}
            changes["reduce_on_plateau"] = {name: made.reduce_on_plateau for name in names}
        found.append(dataclasses.replace(phase, **changes))
    return found
