"""The training loop: one for every objective, resumable at any step."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from phire import files, progress
from phire.errors import WorkError
from phire.training import devices as placement
from phire.training.checkpoints import Checkpoints
from phire.training.objective import Objective
from phire.training.plateau import ReduceOnPlateau
from phire.training.run import HISTORY, PROVENANCE, Run, prepare_run
from phire.training.signals import Terminated, TerminationNotice
from phire.training.stepping import Stepper

Batches = Callable[[int, int, tuple[int, int]], tf.data.Dataset]

CHUNK_SECONDS = 1.0
"""Steps run inside one call of a graph for about this long: long enough that Python costs nothing,
short enough that a notice is answered at once."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of a training: some epochs in one way.

    Attributes:
        name: Shown, logged, and given to ``Objective.begin``.
        epochs: How many.
        batches: ``batches(epoch, skip, (workers, worker))`` gives the epoch's batches from
            ``skip`` on, for one worker; ``epoch`` counts from 0 within the phase.
        steps: Batches an epoch.
        learning_rates: Of the optimizers, by name, at the phase's beginning.
        reduce_on_plateau: Arguments of :class:`phire.training.plateau.ReduceOnPlateau`, by
            optimizer.
        validate_every: Validate after every n-th epoch and after the last one.
    """

    name: str
    epochs: int
    batches: Batches
    steps: int
    learning_rates: Mapping[str, float] | None = None
    reduce_on_plateau: Mapping[str, Mapping[str, Any]] | None = None
    validate_every: int = 1


def train(
    build: Callable[[], Objective],
    phases: Sequence[Phase],
    *,
    run: str | os.PathLike,
    options: Mapping[str, Any],
    validation: Callable[[tuple[int, int]], tf.data.Dataset] | None = None,
    monitor: str = "val_loss",
    seed: int = 0,
    devices: str = "auto",
    precision: str = "float32",
    jit: bool = False,
    deterministic: bool = False,
    checkpoint_minutes: float = 10.0,
    keep: int = 3,
    keep_epochs: bool = True,
    overwrite: bool = False,
) -> Run:
    """Trains an objective through its phases, or goes on where an earlier call was interrupted.

    Args:
        build: Makes the objective; called once, inside the strategy's scope.
        phases: The phases, in order.
        run: The run directory.
        options: Every option that shapes the result, kept as ``config.yaml``; a directory made by
            others is refused.
        validation: ``validation((workers, worker))`` gives the batches to validate on.
        monitor: The column of ``training.csv`` whose least value is the best epoch.
        seed: Seed of initial weights and of stochastic layers.
        devices: ``auto``, ``cpu``, ``gpu`` or ``multiworker``.
        precision: ``float32``, ``bfloat16`` or ``float16``.
        jit: Compile the step with XLA.
        deterministic: Use deterministic kernels: on the CPU an interrupted run then ends with the
            same bits as an uninterrupted one.
        checkpoint_minutes: Time between checkpoints; one is written after every epoch as well.
        keep: Checkpoints to keep.
        keep_epochs: Keep the exported networks' weights of every epoch.
        overwrite: Start anew whatever is there.

    Returns:
        The run.

    Raises:
        InputError: The options do not fit the machine or the directory.
        WorkError: A loss was not finite, the disk is full, or a worker was lost.
        Terminated: SIGTERM came; a checkpoint is saved.
    """
    options = {**options, "monitor": monitor, "seed": seed, "precision": precision}
    opened, existed = prepare_run(run, options, overwrite)
    if opened.completed:
        progress.say(f"{run} is already trained by this command.")
        return opened
    placement.prepare_process(precision, seed, deterministic)
    strategy = placement.choose_strategy(devices)
    with strategy.scope():
        objective = build()
    training = _Training(
        objective, list(phases), opened, strategy, validation, jit=jit, keep=keep,
        keep_epochs=keep_epochs, checkpoint_seconds=60 * checkpoint_minutes,
    )  # fmt: skip
    if existed:
        training.resume()
    with TerminationNotice() as notice:
        try:
            training.go(notice)
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            raise WorkError(
                f"another worker was lost ({str(error).splitlines()[0]}): start all workers with "
                "the same command; training goes on from the last checkpoint."
            ) from None
    training.finish()
    return opened


@dataclasses.dataclass
class _State:
    """Where a training stands; kept in every checkpoint."""

    phase: int = 0
    epoch: int = 0
    """Within the phase, from 0."""
    step: int = 0
    """Within the epoch."""
    total_steps: int = 0
    total_epochs: int = 0
    seconds: float = 0.0
    """Of this epoch, over all sessions."""
    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    plateaus: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


class _Training:
    """A training under way."""

    def __init__(
        self,
        objective: Objective,
        phases: list[Phase],
        run: Run,
        strategy: tf.distribute.Strategy,
        validation: Callable[[tuple[int, int]], tf.data.Dataset] | None,
        *,
        jit: bool,
        keep: int,
        keep_epochs: bool,
        checkpoint_seconds: float,
    ) -> None:
        self.objective = objective
        self.phases = phases
        self.run = run
        self.chief = placement.is_chief(strategy)
        self.stepper = Stepper(objective, strategy, jit)
        self.validation = validation
        self.keep_epochs = keep_epochs
        self.checkpoint_seconds = checkpoint_seconds
        self.checkpoints = Checkpoints(run.path / "checkpoints", objective, keep, self.chief)
        self.state = _State()
        self.networks = run.path / "networks"
        self._saved_at = time.monotonic()
        self._writer = None
        if self.chief:
            for name in objective.exported:
                path = self.networks / f"{name}.json"
                if not path.exists():
                    files.write_text(path, objective.networks[name].to_json())

    def resume(self) -> None:
        """Takes up the newest checkpoint, if there is one."""
        state = self.checkpoints.restore()
        if state is not None:
            self.state = _State(**state)
            progress.say(
                f"{self.run.path}: going on from step {self.state.total_steps} "
                f"(epoch {self.state.total_epochs + 1})."
            )

    def go(self, notice: TerminationNotice) -> None:
        """Runs all that is left of the phases."""
        state = self.state
        while state.phase < len(self.phases):
            phase = self.phases[state.phase]
            self.objective.begin(phase.name)
            self.stepper.retrace()
            if state.epoch == 0 and state.step == 0:
                self._begin(phase)
            while state.epoch < phase.epochs:
                self._epoch(phase, notice)
            state.phase, state.epoch = state.phase + 1, 0
            self.save()

    def _begin(self, phase: Phase) -> None:
        self.state.plateaus = {}
        for name, rate in (phase.learning_rates or {}).items():
            self.objective.optimizers[name].learning_rate = rate

    def _epoch(self, phase: Phase, notice: TerminationNotice) -> None:
        state = self.state
        batches = self.stepper.iterator(lambda shard: phase.batches(state.epoch, state.step, shard))
        title = f"{phase.name} {state.epoch + 1}/{phase.epochs}"
        chunk = 1
        with progress.progress_bar(title, phase.steps, "steps", state.step) as advance:
            while state.step < phase.steps:
                count = min(chunk, phase.steps - state.step)
                begun = time.monotonic()
                sums, bad = self.stepper.train(batches, count)
                taken = time.monotonic() - begun
                if bad is not None:
                    self._stop_not_finite(phase, state.step + bad)
                for name, value in sums.items():
                    state.sums[name] = state.sums.get(name, 0.0) + value
                state.step += count
                state.total_steps += count
                state.seconds += taken
                advance(count, self._text())
                chunk = int(np.clip(CHUNK_SECONDS * count / taken, 1, 4 * chunk))
                if notice.received:
                    self.save()
                    raise Terminated(
                        f"terminated; saved step {state.total_steps}. The same command goes on "
                        "from there."
                    )
                if time.monotonic() - self._saved_at > self.checkpoint_seconds:
                    self.save()
        self._end_epoch(phase)

    def _text(self) -> str:
        step = max(self.state.step, 1)
        return "  ".join(f"{name} {value / step:.4g}" for name, value in self.state.sums.items())

    def _end_epoch(self, phase: Phase) -> None:
        state = self.state
        row: dict[str, Any] = {
            "epoch": state.total_epochs + 1,
            "phase": phase.name,
            "step": state.total_steps,
            "seconds": round(state.seconds, 3),
        }
        row |= {name: value / phase.steps for name, value in state.sums.items()}
        last = state.epoch + 1 == phase.epochs
        if self.validation is not None and (last or (state.epoch + 1) % phase.validate_every == 0):
            scores = self.stepper.validate(self.validation)
            row |= {f"val_{name}": value for name, value in scores.items()}
        for name, optimizer in self.objective.optimizers.items():
            row[f"learning_rate_{name}"] = float(optimizer.learning_rate)
        self._reduce_on_plateau(phase, row)
        state.history.append(row)
        state.epoch += 1
        state.total_epochs += 1
        state.step, state.seconds, state.sums = 0, 0.0, {}
        if self.chief:
            self._log(row)
            if self.keep_epochs:
                self._keep_epoch()
        self.save()

    def _reduce_on_plateau(self, phase: Phase, row: Mapping[str, Any]) -> None:
        for name, arguments in (phase.reduce_on_plateau or {}).items():
            plateau = ReduceOnPlateau(**arguments, **self.state.plateaus.get(name, {}))
            optimizer = self.objective.optimizers[name]
            rate = plateau.after_epoch(row, float(optimizer.learning_rate))
            if rate is not None:
                optimizer.learning_rate = rate
                progress.say(f"{plateau.monitor} is on a plateau: learning rate now {rate:.3g}.")
            self.state.plateaus[name] = plateau.state()

    def _log(self, row: Mapping[str, Any]) -> None:
        shown = [f"{k} {v:.4g}" for k, v in row.items() if isinstance(v, float) and k != "seconds"]
        rate = f"{self.phases[self.state.phase].steps / max(row['seconds'], 1e-9):.2f} steps/s"
        progress.say(f"epoch {row['epoch']} ({row['phase']}): {', '.join(shown)}, {rate}")
        table = pd.DataFrame(self.state.history)
        with files.replacing(self.run.path / HISTORY) as partial:
            table.to_csv(partial, index=False)
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.run.path / "tensorboard"))
        with self._writer.as_default(step=row["epoch"]):
            for name, value in row.items():
                if isinstance(value, float):
                    tf.summary.scalar(name, value)
            if self.validation is not None:
                batch = next(iter(self.validation((1, 0))))
                for name, image in self.objective.panels(batch).items():
                    tf.summary.image(name, image, max_outputs=4)
        self._writer.flush()

    def _keep_epoch(self) -> None:
        with files.replacing(self.networks / f"epoch-{self.state.total_epochs:04d}") as partial:
            partial.mkdir()
            for name in self.objective.exported:
                self.objective.networks[name].save_weights(partial / f"{name}.weights.h5")

    def _stop_not_finite(self, phase: Phase, step: int) -> None:
        state = self.state
        batch = next(iter(phase.batches(state.epoch, step, (1, 0))))
        path = self.run.path / "failure"
        with files.replacing(path) as partial:
            partial.mkdir()
            np.savez(partial / "batch.npz", **{k: v.numpy() for k, v in batch.items()})
            for name, network in self.objective.networks.items():
                network.save_weights(partial / f"{name}.weights.h5")
        raise WorkError(
            f"a loss is not finite at step {step + 1} of epoch {state.total_epochs + 1} "
            f"({phase.name}), batch {step} of {phase.steps}: the batch and the networks after it "
            f"are in {path}; try a smaller learning rate or --precision float32."
        )

    def save(self) -> None:
        """Saves a checkpoint of now."""
        self.checkpoints.save(self.state.total_steps, dataclasses.asdict(self.state))
        self._saved_at = time.monotonic()

    def finish(self) -> None:
        """Writes the trained networks and marks the run as completed."""
        if not self.chief:
            return
        for name in self.objective.exported:
            path = self.networks / f"{name}.keras"
            with files.replacing(path) as partial:
                # Keras demands the ending.
                whole = partial.with_name(f"{partial.name}.keras")
                _in_float32(self.objective.networks[name]).save(whole)
                os.replace(whole, partial)
        provenance = self.run.provenance
        provenance["completed"] = files.provenance()["created"]
        files.write_json(Path(self.run.path) / PROVENANCE, provenance)
        progress.say(f"{self.run.path}: trained for {self.state.total_epochs} epochs.")


def _in_float32(network: keras.Model) -> keras.Model:
    """The network to save: computing in float32, whatever it was trained in."""
    if keras.config.dtype_policy().name == "float32":
        return network

    def plain(config: Any) -> Any:
        if isinstance(config, dict):
            if config.get("class_name") == "DTypePolicy":
                return {**config, "config": {"name": "float32"}}
            return {key: plain(value) for key, value in config.items()}
        return [plain(item) for item in config] if isinstance(config, list) else config

    from phire.networks.layers import CUSTOM_LAYERS

    text = json.dumps(plain(json.loads(network.to_json())))
    copy = keras.models.model_from_json(text, CUSTOM_LAYERS)
    copy.set_weights(network.get_weights())
    return copy
