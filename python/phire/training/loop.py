"""Public training call, the same for every objective; ``phase_runner`` runs its phases."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from phire import existing_outputs
from phire.errors import InputError, naming_arguments
from phire.training import devices as placement
from phire.training.clipping import set_clipping
from phire.training.determinism import prepare_process
from phire.training.lost_machine import naming_lost_machine
from phire.training.objective import Objective
from phire.training.optimizers import set_weight_decay
from phire.training.phase import Phase
from phire.training.phase_runner import PhaseRunner
from phire.training.run_directory import Run, look_at_run, open_run, prepare_run
from phire.training.signals import TerminationNotice
from phire.training.step_graphs import Stepper
from phire.training.weight_averaging import WeightAverage


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

    To train on several machines, call it with the same arguments on each, with TF_CONFIG in the
    environment and the run directory on a shared file system; only the chief writes.

    Args:
        build: Function that builds the objective. It is called once, inside the strategy's scope
            and before the run directory is created, so that an error in it leaves nothing behind.
        phases: Phases in order.
        run: Path of the run directory.
        options: Every option that shapes the result, written to ``config.yaml``; an existing run
            with other options is refused.
        validation: ``validation((workers, worker))`` returns the dataset of validation batches;
            None to skip validation.
        monitor: Column of ``training.csv`` that ranks the epochs; the smallest value is the best.
        patience: Epochs without progress of the monitored score after which a phase ends; None to
            train all epochs.
        min_delta: Smallest decrease of the monitored score that counts as progress.
        restore_best: Return to the weights of the best epoch at the end of each phase, so that the
            finished networks are those of the last phase's best epoch.
        ema: Decay of the EMA of the exported networks' weights; validation and the finished
            networks then use the averages. None for no EMA.
        clip_norm, clip_variable_norm, clip_value: See
            :func:`phire.training.clipping.set_clipping`.
        weight_decay: See :func:`phire.training.optimizers.set_weight_decay`.
        seed: Seed of the initial weights and of all random numbers drawn in the steps.
        devices: ``auto``, ``cpu``, ``gpu`` or ``multiworker``; see
            :func:`phire.training.devices.choose_strategy`.
        precision: ``float32``, ``bfloat16`` or ``float16``.
        jit: Compile the step with XLA; on one device only.
        deterministic: Use deterministic operations; a resumed training on the CPU then gives the
            same bits as an uninterrupted one.
        checkpoint_minutes: Minutes between checkpoints; one is saved after every epoch as well.
        checkpoint_steps: Steps between checkpoints, in place of ``checkpoint_minutes``.
        keep: Number of newest checkpoints to keep, in addition to the best epoch's.
        keep_epochs: Keep the exported networks' weights of every epoch.
        callbacks: Further Keras callbacks, called at the beginning and end of training and of each
            epoch; ``logs`` are the epoch's numbers in ``training.csv``. Their model is the first
            exported network, without an optimizer, as an objective may have several; setting its
            ``stop_training`` ends the phase. Checkpoints do not save the state of callbacks.
        overwrite: Replace an existing run.

    Returns:
        The completed run.

    Raises:
        InputError: An argument is out of range, or does not fit the machine or the directory.
        WorkError: A loss is not finite, the disk is full, or a worker is lost.
        Terminated: SIGTERM was received; a checkpoint is saved.
    """
    clipping = {"norm": clip_norm, "variable_norm": clip_variable_norm, "value": clip_value}
    options = {
        **options, **_recorded_where_used(weight_decay, patience, min_delta, restore_best),
        "ema": ema, "clip": clipping, "monitor": monitor, "seed": seed, "precision": precision,
    }  # fmt: skip
    phases = _stopping_early(phases, monitor, patience, min_delta)
    _check_numbers(phases, keep, checkpoint_minutes, checkpoint_steps, seed)
    opened = look_at_run(run, options, overwrite)
    if opened is not None and opened.completed:
        existing_outputs.announce_finished(run)
        return opened
    chief, strategy = placement.is_chief(devices), placement.choose_strategy(devices)
    prepare_process(precision, seed, deterministic)
    with naming_lost_machine():
        agreement = placement.Agreement(strategy, chief)
        objective, average = _build_objective(build, strategy, ema, clipping, weight_decay)
        if chief:
            opened = prepare_run(run, options, overwrite)
        agreement.wait()  # until the chief has created the directory
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
    """Returns the options that ``config.yaml`` records only if they are set.

    Runs from before these options existed lack them, and must still compare equal to be resumed.
    """
    recorded: dict[str, Any] = {}
    if weight_decay is not None:
        recorded["weight_decay"] = weight_decay
    if patience is not None or restore_best:
        recorded |= {"patience": patience, "min_delta": min_delta, "restore_best": restore_best}
    return recorded


def _build_objective(
    build: Callable[[], Objective], strategy: tf.distribute.Strategy, ema: float | None,
    clipping: Mapping[str, float | None], weight_decay: float | None,
) -> tuple[Objective, WeightAverage | None]:  # fmt: skip
    """Builds the objective and the EMA of its exported networks, and sets up its optimizers."""
    with strategy.scope():
        objective = build()
        exported = [objective.networks[name] for name in objective.exported]
        average = None if ema is None else WeightAverage(exported, ema)
    set_clipping(objective.optimizers.values(), **clipping)
    set_weight_decay(objective.optimizers.values(), weight_decay)
    return objective, average


def _check_numbers(
    phases: Sequence[Phase],
    keep: int,
    checkpoint_minutes: float,
    checkpoint_steps: int | None,
    seed: int,
) -> None:
    """Raises an InputError if a number is out of range."""
    if keep < 1:
        raise InputError(f"--keep {keep} must be at least 1.")
    if checkpoint_steps is not None and checkpoint_steps < 1:
        raise InputError(f"--checkpoint-steps {checkpoint_steps} must be at least 1.")
    if not checkpoint_minutes >= 0:
        raise InputError(f"--checkpoint-minutes {checkpoint_minutes} must not be negative.")
    if not 0 <= seed < 2**31:
        raise InputError(f"--seed {seed} must be a whole number from 0 to {2**31 - 1}.")
    for phase in phases:
        if phase.epochs < 1 or phase.steps < 1:
            raise InputError(
                f"{phase.name}: {phase.epochs} epochs of {phase.steps} batches; both numbers must "
                "be at least 1."
            )


def _stopping_early(
    phases: Sequence[Phase], monitor: str, patience: int | None, min_delta: float
) -> list[Phase]:
    """Returns copies of phases that stop early if ``patience`` is given.

    Raises:
        InputError: A number is out of range, or ``min_delta`` is given without ``patience``.
    """
    if patience is None:
        if min_delta:
            raise InputError("--min-delta has no effect without --patience: give both or neither.")
        return list(phases)
    if patience < 1 or not min_delta >= 0:
        raise InputError(
            f"--patience {patience} must be at least 1, and --min-delta {min_delta:g} must not be "
            "negative."
        )
    rule = {"monitor": monitor, "patience": patience, "min_delta": min_delta}
    return [dataclasses.replace(phase, stop_early=rule) for phase in phases]
