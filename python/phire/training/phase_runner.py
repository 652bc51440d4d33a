"""Training loop over phases, epochs and steps; resumes at any step."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from phire import progress
from phire.errors import WorkError
from phire.training import devices as placement
from phire.training.checkpoints import Checkpoints
from phire.training.early_stopping import Patience
from phire.training.objective import Objective, learning_rate_of
from phire.training.phase import Phase
from phire.training.reduce_on_plateau import ReduceOnPlateau
from phire.training.run_directory import Run
from phire.training.run_outputs import Outputs
from phire.training.signals import Terminated, TerminationNotice
from phire.training.step_graphs import Stepper, Taken

CHUNK_SECONDS = 1.0
"""Target duration of one call of the graph, which takes several steps: long enough to hide Python's
overhead, short enough to answer SIGTERM soon."""


@dataclasses.dataclass
class _State:
    """Position of a training, saved in every checkpoint.

    Attributes:
        phase: Index of the current phase.
        epoch: Epochs completed within the phase.
        step: Steps completed within the epoch.
        total_steps: Steps completed since the beginning of the training.
        total_epochs: Epochs completed since the beginning of the training.
        seconds: Duration of this epoch so far, summed over interruptions.
        sums: Sums of the epoch's training scalars so far, by name.
        history: Rows of ``training.csv``.
        plateaus: State of ReduceOnPlateau, by optimizer.
        patience: State of early stopping.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    total_epochs: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    plateaus: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    patience: dict[str, Any] = dataclasses.field(default_factory=dict)


class PhaseRunner:
    """Loop that runs the phases of one training, with validation, logs and checkpoints.

    Args:
        objective: Objective to train.
        phases: Phases in order.
        run: Run whose directory exists.
        stepper: Graphs of the objective's steps under the strategy.
        agreement: Reductions over the processes of the strategy.
        validation: See :func:`phire.training.train`; likewise the arguments after it.
    """

    def __init__(
        self,
        objective: Objective,
        phases: list[Phase],
        run: Run,
        stepper: Stepper,
        agreement: placement.Agreement,
        validation: Callable[[tuple[int, int]], tf.data.Dataset] | None,
        *,
        keep: int,
        keep_epochs: bool,
        callbacks: Sequence[keras.callbacks.Callback],
        restore_best: bool,
        checkpoint_seconds: float,
        checkpoint_steps: int | None,
    ) -> None:
        self.objective = objective
        self.phases = phases
        self.stepper = stepper
        self.agreement = agreement
        self.validation = validation
        self.keep_epochs = keep_epochs
        self.restore_best = restore_best
        self.checkpoint_seconds = checkpoint_seconds
        self.checkpoint_steps = checkpoint_steps
        self.average = stepper.average
        more = {} if self.average is None else {"average": self.average.variables}
        self.checkpoints = Checkpoints(run.checkpoints, objective, keep, agreement.chief, more)
        self.outputs = Outputs(run, objective)
        self.state = _State()
        self.model = objective.networks[objective.exported[0]]
        self.model.stop_training = False
        self.callbacks = keras.callbacks.CallbackList(list(callbacks), model=self.model)
        self._saved_at = time.monotonic()
        self._saved_step = 0
        if agreement.chief:
            with self._writing():
                self.outputs.write_architectures()

    def resume(self) -> None:
        """Restores the newest checkpoint, if there is one."""
        state = self.checkpoints.restore()
        if state is not None:
            self.state = _State(**state)
            self._saved_step = self.state.total_steps
            progress.say(
                f"{self.outputs.run.path}: going on from step {self.state.total_steps} "
                f"(epoch {self.state.total_epochs + 1})."
            )

    def go(self, notice: TerminationNotice) -> None:
        """Runs the remaining epochs of all phases.

        Args:
            notice: Notice of SIGTERM, checked after every call of the graph.

        Raises:
            Terminated: SIGTERM was received; a checkpoint is saved.
            WorkError: A scalar is not finite, or the records cannot be read.
        """
        state = self.state
        self.callbacks.on_train_begin()
        while state.phase < len(self.phases):
            phase = self.phases[state.phase]
            self.objective.begin(phase.name)
            self.stepper.retrace(phase.factor, phase.rates(self.objective.optimizers))
            if state.epoch == 0 and state.step == 0:
                self.begin_phase(phase)
            number = state.phase
            while state.phase == number:
                self._epoch(phase, notice)
        self.callbacks.on_train_end()

    def begin_phase(self, phase: Phase) -> None:
        """Sets the phase's learning rates and resets plateau detection and early stopping."""
        self.state.plateaus, self.state.patience = {}, {}
        self.model.stop_training = False
        for name, rate in phase.rates(self.objective.optimizers).items():
            self.objective.optimizers[name].learning_rate = rate

    def _epoch(self, phase: Phase, notice: TerminationNotice) -> None:
        """Runs an epoch, or the rest of a resumed one, in chunks of several steps."""
        state = self.state
        # Also called for a resumed epoch, because checkpoints do not hold the state of callbacks.
        self.callbacks.on_epoch_begin(state.total_epochs)
        batches = self.stepper.iterator(lambda shard: phase.batches(state.epoch, state.step, shard))
        title = f"{phase.name} {state.epoch + 1}/{phase.epochs}"
        chunk = 1
        with progress.progress_bar(title, phase.steps, "steps", state.step) as advance:
            while state.step < phase.steps:
                count = min(chunk, phase.steps - state.step, self._steps_to_checkpoint())
                begun = time.monotonic()
                taken = self._train_steps(phase, batches, count)
                now = time.monotonic()
                seconds, unsaved, told = self.agreement.mean(
                    now - begun, now - self._saved_at, float(notice.received)
                )
                for name, value in taken.sums.items():
                    state.sums[name] = state.sums.get(name, 0.0) + value
                state.step += count
                state.total_steps += count
                state.seconds += seconds
                advance(count, self._progress_text())
                # Grow at most fourfold, as the first call also includes the tracing of the graph.
                chunk = int(np.clip(CHUNK_SECONDS * count / seconds, 1, 4 * chunk))
                if told:
                    self._end_terminated()
                due = (
                    unsaved > self.checkpoint_seconds
                    if self.checkpoint_steps is None
                    else self._steps_to_checkpoint() == 0
                )
                if due and state.step < phase.steps:  # an epoch's end always saves one
                    self.save()
        self._end_epoch(phase, notice)

    def _steps_to_checkpoint(self) -> int:
        """Returns the number of steps until the next checkpoint is due by ``checkpoint_steps``."""
        if self.checkpoint_steps is None:
            return sys.maxsize
        return self.checkpoint_steps - (self.state.total_steps - self._saved_step)

    def _train_steps(self, phase: Phase, batches: Any, count: int) -> Taken:
        """Takes ``count`` steps and translates their failures into errors for the user."""
        state = self.state
        try:
            within = state.epoch * phase.steps + state.step
            taken = self.stepper.train(batches, state.total_steps, count, within)
        except (tf.errors.OutOfRangeError, StopIteration):
            raise WorkError(
                f"the records ended between steps {state.step} and {state.step + count} of epoch "
                f"{state.total_epochs + 1} ({phase.name}), before its {phase.steps} steps: they "
                "have changed since the training began; restore them, or train again with "
                "--overwrite."
            ) from None
        except tf.errors.DataLossError as error:
            raise WorkError(
                f"a record cannot be read ({str(error).splitlines()[0]}): write the records again "
                "and run the same command; training resumes from the last checkpoint."
            ) from error
        if taken.broken:
            step = state.step + taken.steps - 1
            if self.agreement.chief:
                batch = next(iter(phase.batches(state.epoch, step, (1, 0))))
                self.outputs.write_failure(batch)
            raise WorkError(
                f"{' and '.join(taken.broken)} not finite at step {step + 1} of epoch "
                f"{state.total_epochs + 1} ({phase.name}), batch {step + 1} of {phase.steps}: the "
                f"batch and the networks' weights after the step are saved in "
                f"{self.outputs.failure}; try a smaller learning rate or --precision float32."
            )
        return taken

    def _progress_text(self) -> str:
        """Returns the epoch's mean scalars so far, for the progress bar."""
        step = max(self.state.step, 1)
        return "  ".join(f"{name} {value / step:.4g}" for name, value in self.state.sums.items())

    def _end_terminated(self) -> None:
        """Saves a checkpoint and raises :class:`Terminated`."""
        self.save()
        raise Terminated(
            f"terminated after saving step {self.state.total_steps}: the same command resumes it."
        )

    def _end_epoch(self, phase: Phase, notice: TerminationNotice) -> None:
        """Validates, updates learning rates, writes the epoch's outputs, saves a checkpoint."""
        state = self.state
        self.stepper.unite()
        row: dict[str, Any] = {
            "epoch": state.total_epochs + 1,
            "phase": phase.name,
            "step": state.total_steps,
            "seconds": round(state.seconds, 3),
        }
        row |= {name: value / phase.steps for name, value in state.sums.items()}
        last = state.epoch + 1 == phase.epochs
        totals: dict[str, np.ndarray] = {}
        if self.validation is not None and (last or (state.epoch + 1) % phase.validate_every == 0):
            alone = self.agreement.processes == 1
            with self._averaged():
                found = self.stepper.validate(self.validation, lambda: alone and notice.received)
            if found is None:
                # The checkpoint is at the epoch's last step, so a resumed run validates again.
                self._end_terminated()
            scores, totals = found
            row |= {f"val_{name}": value for name, value in scores.items()}
        for name, optimizer in self.objective.optimizers.items():
            row[f"learning_rate_{name}"] = learning_rate_of(optimizer)
        self._reduce_on_plateau(phase, row)
        # Floats only; Keras passes the epoch's number separately.
        logs = {k: v for k, v in row.items() if isinstance(v, float)}
        self.callbacks.on_epoch_end(state.total_epochs, logs)
        stop = self._stops_early(phase, row) or self.agreement.any(self.model.stop_training)
        state.history.append(row)
        state.epoch += 1
        state.total_epochs += 1
        if self.agreement.chief:
            steps = phase.steps / max(row["seconds"], 1e-9)
            with self._writing(), self._averaged():
                self.outputs.write_row(state.history, f"{steps:.2f} steps/s")
                if self.validation is not None:
                    self.outputs.write_panels(self.validation, totals, state.total_epochs)
                if self.keep_epochs:
                    self.outputs.keep_epoch(state.total_epochs)
        state.step, state.seconds, state.sums = 0, 0.0, {}
        if last or stop:
            state.phase, state.epoch = state.phase + 1, 0
            if self.restore_best:
                self._restore_best(phase)
        self.save(best=self.outputs.is_best(state.history))

    def _restore_best(self, phase: Phase) -> None:
        """Restores the variables of the phase's best epoch, which the next checkpoint saves."""
        monitor = self.outputs.run.config["monitor"]
        scored = [
            row for row in self.state.history if row["phase"] == phase.name and monitor in row
        ]
        if not scored:
            return
        best = min(reversed(scored), key=lambda row: row[monitor])
        if best["step"] == self.state.total_steps:
            return
        self.agreement.wait()  # until the chief has written the checkpoint
        self.checkpoints.restore_variables(best["step"])
        progress.say(f"{phase.name}: back to epoch {best['epoch']}, the best by {monitor}.")

    def _reduce_on_plateau(self, phase: Phase, row: Mapping[str, Any]) -> None:
        """Reduces the learning rates whose score is on a plateau after an epoch's ``row``."""
        for name, arguments in phase.plateaus(self.objective.optimizers).items():
            plateau = ReduceOnPlateau(**arguments, **self.state.plateaus.get(name, {}))
            optimizer = self.objective.optimizers[name]
            rate = plateau.lowered(row, learning_rate_of(optimizer))
            if rate is not None:
                optimizer.learning_rate = rate
                progress.say(f"{plateau.monitor} is on a plateau: learning rate now {rate:.3g}.")
            self.state.plateaus[name] = plateau.state()

    def _stops_early(self, phase: Phase, row: Mapping[str, Any]) -> bool:
        """Returns True if early stopping ends the phase after an epoch's ``row``."""
        if phase.stop_early is None:
            return False
        patience = Patience(**phase.stop_early, **self.state.patience)
        ended = patience.after_epoch(row)
        self.state.patience = patience.state()
        if ended:
            progress.say(
                f"{patience.monitor} has not fallen for {patience.patience} epochs: "
                f"{phase.name} ends."
            )
        return ended

    def save(self, best: bool = False) -> None:
        """Saves a checkpoint of the current state.

        Args:
            best: True at the end of the best epoch so far.
        """
        self.stepper.unite()
        self.checkpoints.save(self.state.total_steps, dataclasses.asdict(self.state), best)
        self._saved_at = time.monotonic()
        self._saved_step = self.state.total_steps

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context in which the exported networks have their EMA weights, if any."""
        return contextlib.nullcontext() if self.average is None else self.average.applied()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Translates errors of the file system within the block into a WorkError."""
        try:
            yield
        except OSError as error:
            raise WorkError(
                f"{self.outputs.run.path} could not be written to ({error.strerror or error}): "
                "free disk space and run the same command again; it resumes from the last "
                "checkpoint."
            ) from None

    def finish(self) -> None:
        """Writes the trained networks and marks the run as completed."""
        if self.agreement.chief:
            with self._writing(), self._averaged():
                self.outputs.complete()
            progress.say(f"{self.outputs.run.path}: trained for {self.state.total_epochs} epochs.")
