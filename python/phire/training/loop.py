"""The training call: one for every objective; its phases run in ``phase_runner``."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from phire import provenance
from phire.errors import InputError, WorkError, naming_arguments
from phire.training import devices as placement
from phire.training.averaging import WeightAverage
from phire.training.clipping import set_clipping
from phire.training.objective import Objective
from phire.training.optimizers import set_weight_decay
from phire.training.phase import Phase
from phire.training.phase_runner import PhaseRunner
from phire.training.run_directory import Run, look_at_run, open_run, prepare_run
from phire.training.signals import TerminationNotice
from phire.training.step_graphs import Stepper


@naming_arguments()
def train(
    build: Callable[[], Objective],
    phases: Sequence[Phase],
    *,
    run: str | os.PathLike,
    options: Mapping[str, Any],
    validation: Callable[[tuple[int, int]], tf.data.Dataset] | None = None,
    monitor: str = "val_loss",
    patience: int | None = None,
    min_delta: float = 0.0,
    restore_best: bool = False,
    ema: float | None = None,
    clip_norm: float | None = None,
    clip_variable_norm: float | None = None,
    clip_value: float | None = None,
    weight_decay: float | None = None,
    seed: int = 0,
    devices: str = "auto",
    precision: str = "float32",
    jit: bool = False,
    deterministic: bool = False,
    checkpoint_minutes: float = 10.0,
    checkpoint_steps: int | None = None,
    keep: int = 3,
    keep_epochs: bool = True,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    overwrite: bool = False,
) -> Run:
    """Trains an objective through its phases, or resumes an interrupted training.

    On several machines each runs the same command, with TF_CONFIG in its environment and the run
    directory on a file system that all share; only the chief writes.

    Args:
        build: Function that builds the objective. It is called once, inside the strategy's scope
            and before the run directory is made, so that an error in it leaves nothing behind.
        phases: The phases, in order.
        run: The run directory.
        options: Every option that shapes the result, kept as ``config.yaml``; a directory made by
            others is refused.
        validation: ``validation((workers, worker))`` gives the batches to validate on.
        monitor: The column of ``training.csv`` whose least value is the best epoch.
        patience: Epochs without a fall of the monitored score after which a phase ends; None to
            train all epochs.
        min_delta: Least fall that counts.
        restore_best: Go on from the best epoch's weights at the end of each phase, so that the
            finished networks are those of the best epoch of the last one.
        ema: Decay of a moving average of the exported networks' weights, which validation and the
            finished networks are of; None for none.
        clip_norm, clip_variable_norm, clip_value: See
            :func:`phire.training.clipping.set_clipping`.
        weight_decay: See :func:`phire.training.optimizers.set_weight_decay`.
        seed: Seed of initial weights and of what the steps draw.
        devices: ``auto``, ``cpu``, ``gpu`` or ``multiworker``.
        precision: ``float32``, ``bfloat16`` or ``float16``.
        jit: Compile the step with XLA; on one device.
        deterministic: Use deterministic kernels: on the CPU an interrupted run then ends with the
            same bits as an uninterrupted one.
        checkpoint_minutes: Time between checkpoints; one is written after every epoch as well.
        checkpoint_steps: Steps between checkpoints, instead of a time.
        keep: Newest checkpoints to keep, beside that of the best epoch.
        keep_epochs: Keep the exported networks' weights of every epoch.
        callbacks: Further Keras callbacks, called at the beginning and end of training and of each
            epoch, with the epoch's numbers in ``training.csv`` as ``logs``. Their model is the
            first exported network; its ``stop_training`` ends the phase. It has no optimizer, as
            an objective may have several. Checkpoints do not save callbacks: they start again after
            an interruption (plateaus and early stopping, which belong to the phases, do not).
        overwrite: Replace a run that is there.

    Returns:
        The run.

    Raises:
        InputError: The options do not fit the machine or the directory.
        WorkError: A loss was not finite, the disk is full, or a worker was lost.
        Terminated: SIGTERM came; a checkpoint is saved.
    """
    clipping = {"norm": clip_norm, "variable_norm": clip_variable_norm, "value": clip_value}
    options = {
        **options, **_recorded_where_used(weight_decay, patience, min_delta, restore_best),
        "ema": ema, "clip": clipping, "monitor": monitor, "seed": seed, "precision": precision,
    }  # fmt: skip
    phases = _stopping_early(phases, monitor, patience, min_delta)
    _check(phases, keep, checkpoint_minutes, checkpoint_steps, seed)
    opened = look_at_run(run, options, overwrite)
    if opened is not None and opened.completed:
        provenance.announce_finished(run)
        return opened
    chief, strategy = placement.is_chief(devices), placement.choose_strategy(devices)
    placement.prepare_process(precision, seed, deterministic)
    with _naming_a_lost_worker():
        agreement = placement.Agreement(strategy, chief)
        objective, average = _build_objective(build, strategy, ema, clipping, weight_decay)
        if chief:
            opened = prepare_run(run, options, overwrite)
        agreement.wait()  # for the chief to have made the directory
        opened = opened or open_run(run)
        runner = PhaseRunner(
            objective, phases, opened, Stepper(objective, strategy, jit, seed, average),
            agreement, validation, keep=keep, keep_epochs=keep_epochs, callbacks=callbacks,
            restore_best=restore_best, checkpoint_seconds=60 * checkpoint_minutes,
            checkpoint_steps=checkpoint_steps,
        )  # fmt: skip
        runner.resume()
        with TerminationNotice() as notice:
            runner.go(notice)
        runner.finish()
        agreement.wait()
    return opened


def _recorded_where_used(
    weight_decay: float | None, patience: int | None, min_delta: float, restore_best: bool
) -> dict[str, Any]:
    """Returns the options that ``config.yaml`` holds only where they are given.

    Runs that were trained before these options existed are continued without them.
    """
    found: dict[str, Any] = {}
    if weight_decay is not None:
        found["weight_decay"] = weight_decay
    if patience is not None or restore_best:
        found |= {"patience": patience, "min_delta": min_delta, "restore_best": restore_best}
    return found


def _build_objective(
    build: Callable[[], Objective], strategy: tf.distribute.Strategy, ema: float | None,
    clipping: Mapping[str, float | None], weight_decay: float | None,
) -> tuple[Objective, WeightAverage | None]:  # fmt: skip
    """Builds the objective and the moving average of its exported networks; sets its optimizers."""
    with strategy.scope():
        objective = build()
        exported = [objective.networks[name] for name in objective.exported]
        average = None if ema is None else WeightAverage(exported, ema)
    set_clipping(objective.optimizers.values(), **clipping)
    set_weight_decay(objective.optimizers.values(), weight_decay)
    return objective, average


def _check(
    phases: Sequence[Phase],
    keep: int,
    checkpoint_minutes: float,
    checkpoint_steps: int | None,
    seed: int,
) -> None:
    """Raises an InputError for numbers that are out of range."""
    if keep < 1:
        raise InputError(f"{keep} checkpoints to keep: keep one at least.")
    if checkpoint_steps is not None and checkpoint_steps < 1:
        raise InputError(f"--checkpoint-steps {checkpoint_steps} must be one at least.")
    if not checkpoint_minutes >= 0:
        raise InputError(f"--checkpoint-minutes {checkpoint_minutes} must not be negative.")
    if not 0 <= seed < 2**31:
        raise InputError(f"--seed {seed} must be a whole number from 0 to {2**31 - 1}.")
    for phase in phases:
        if phase.epochs < 1 or phase.steps < 1:
            raise InputError(
                f"{phase.name}: {phase.epochs} epochs of {phase.steps} batches; both must be one "
                "at least."
            )


@contextlib.contextmanager
def _naming_a_lost_worker() -> Iterator[None]:
    """Turns TensorFlow's error for a lost worker into one sentence.

    Raises:
        WorkError: A collective operation failed within the block.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        reason = str(error).strip().split("\n\n")[-1].partition("\n")[0]  # below the graph's trace
        raise WorkError(
            f"another worker was lost ({reason.rstrip(':')}): start all workers with "
            "the same command; training goes on from the last checkpoint."
        ) from None


def _stopping_early(
    phases: Sequence[Phase], monitor: str, patience: int | None, min_delta: float
) -> list[Phase]:
    """Returns phases that end where the monitored score has not fallen for some epochs."""
    if patience is None:
        if min_delta:
            raise InputError("--min-delta needs --patience: it is the least fall that counts.")
        return list(phases)
    if patience < 1 or not min_delta >= 0:
        raise InputError(
            f"--patience {patience} must be one epoch at least, and --min-delta {min_delta:g} not "
            "negative."
        )
    rule = {"monitor": monitor, "patience": patience, "min_delta": min_delta}
    return [dataclasses.replace(phase, stop_early=rule) for phase in phases]
