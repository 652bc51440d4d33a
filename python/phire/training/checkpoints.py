"""Checkpoints of all state that the next step depends on, written atomically."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from phire import files
from phire.errors import WorkError
from phire.training.objective import Objective

STATE = "state.json"
BEST = "best"
"""File that holds the name of the best epoch's checkpoint."""
UNREADABLE = (OSError, ValueError, RuntimeError, LookupError, tf.errors.OpError)
"""Errors that TensorFlow raises on damaged checkpoints; LookupError for truncated tensors."""


class Checkpoints:
    """Checkpoints of a run, each in a directory ``step-NNNNNNNNN``.

    A checkpoint is written under a temporary name and renamed, so a directory with the final name
    is complete. TensorFlow stores a checksum of every tensor, which reveals later damage.

    Args:
        directory: Directory that holds the checkpoints.
        objective: Objective whose networks and optimizers are saved.
        keep: Number of newest checkpoints to keep.
        chief: True in the one process that writes.
        more: Further lists of variables to save, by name.
    """

    def __init__(
        self,
        directory: Path,
        objective: Objective,
        keep: int,
        chief: bool = True,
        more: Mapping[str, Sequence[keras.Variable]] | None = None,
    ) -> None:
        self.directory = directory
        self.keep = keep
        self.chief = chief
        # Variables are listed one by one: TensorFlow's object tracking misses some of Keras's
        # optimizer state, such as the loss scale.
        groups = {
            **{name: network.variables for name, network in objective.networks.items()},
            **{_optimizer_key(n): o.variables for n, o in objective.optimizers.items()},
            **(more or {}),
        }
        self._checkpoint = tf.train.Checkpoint(
            **{
                name.replace(" ", "_"): [variable.value for variable in variables]
                for name, variables in groups.items()
            }
        )

    def saved(self) -> list[Path]:
        """Returns the directories of the saved checkpoints, oldest first."""
        return _saved(self.directory)

    def save(self, step: int, state: dict[str, Any], best: bool = False) -> None:
        """Saves the variables and ``state``, then removes the checkpoints beyond ``keep``.

        Args:
            step: Number of the last step, which names the checkpoint.
            state: Position of the training, as JSON.
            best: True for the best epoch so far; its checkpoint stays until a better one is saved.

        Raises:
            WorkError: The checkpoint cannot be written; earlier checkpoints are untouched.
        """
        if not self.chief:
            return
        path = self.directory / f"step-{step:09d}"
        try:
            with files.replacing(path) as partial:
                partial.mkdir()
                self._checkpoint.write(str(partial / "variables"))
                (partial / STATE).write_text(json.dumps(state), encoding="utf-8")
            if best:
                files.write_text(self.directory / BEST, path.name)
        except (OSError, tf.errors.OpError) as error:
            # The reason alone, without TensorFlow's graph node names around it.
            reason = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error).splitlines()[0]).strip()
            raise WorkError(
                f"the checkpoint of step {step} could not be written to {self.directory} "
                f"({reason}): free disk space and run the same command again; it resumes from the "
                "previous checkpoint."
            ) from None
        marker = self.directory / BEST
        best_name = marker.read_text(encoding="utf-8") if marker.exists() else ""
        for old in self.saved()[: -self.keep]:
            if old.name != best_name:
                files.remove(old)

    def restore_variables(self, step: int) -> None:
        """Restores the variables saved after step ``step``, but not the state.

        Raises:
            WorkError: The checkpoint cannot be read.
        """
        path = self.directory / f"step-{step:09d}"
        try:
            status = self._checkpoint.read(str(path / "variables"))
            status.assert_existing_objects_matched()
        except (*UNREADABLE, AssertionError) as error:
            raise WorkError(
                f"the checkpoint {path} of the best epoch cannot be read "
                f"({str(error).splitlines()[0]}): train again with --overwrite."
            ) from None

    def restore(self) -> dict[str, Any] | None:
        """Restores the newest checkpoint that can be read.

        Returns:
            The checkpoint's state; None if there is no readable checkpoint.
        """
        for path in reversed(self.saved()):
            try:
                state = json.loads((path / STATE).read_text(encoding="utf-8"))
                # Read all tensors before assigning any: a damaged checkpoint must not be restored
                # in part.
                reader = tf.train.load_checkpoint(str(path / "variables"))
                for name in reader.get_variable_to_shape_map():
                    reader.get_tensor(name)
                status = self._checkpoint.read(str(path / "variables"))
                status.assert_existing_objects_matched()
                return state
            except (*UNREADABLE, AssertionError) as error:
                warnings.warn(
                    f"the checkpoint {path} cannot be read ({str(error).splitlines()[0]}): trying "
                    "the previous one.",
                    stacklevel=2,
                )
        return None


def take_over_optimizer(optimizer: keras.optimizers.Optimizer, directory: Path, name: str) -> bool:
    """Copies the moments and the step count of another run's optimizer into ``optimizer``.

    Without them, Adam's first steps move every weight by about the whole learning rate, which can
    undo much of a trained network's fit.

    Args:
        optimizer: Optimizer to change, built for variables of the same shapes.
        directory: Checkpoint directory of the other run.
        name: Name of the optimizer in the other run's objective.

    Returns:
        True if a checkpoint held a state of these shapes; otherwise ``optimizer`` is unchanged.
    """
    for path in reversed(_saved(directory)):
        try:
            reader = tf.train.load_checkpoint(str(path / "variables"))
            values = [
                reader.get_tensor(f"{_optimizer_key(name)}/{i}/.ATTRIBUTES/VARIABLE_VALUE")
                for i in range(len(optimizer.variables))
            ]
        except UNREADABLE:
            continue
        if all(v.shape == tuple(w.shape) for v, w in zip(values, optimizer.variables)):
            for variable, value in zip(optimizer.variables, values):
                variable.assign(value)
            return True
    return False


def _optimizer_key(name: str) -> str:
    """Returns the name under which a checkpoint holds an optimizer's variables."""
    return f"{name.replace(' ', '_')}_optimizer"


def _saved(directory: Path) -> list[Path]:
    """Returns the checkpoints in a directory, oldest first."""
    return sorted(path for path in directory.glob("step-*") if path.is_dir())
