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
"""A file with the name of the checkpoint of the best epoch."""
UNREADABLE = (OSError, ValueError, RuntimeError, LookupError, tf.errors.OpError)
"""Errors that TensorFlow raises on damaged checkpoints; IndexError where a tensor is cut off."""


class Checkpoints:
    """The checkpoints of a run, newest last.

    Each is a directory of its own, made under another name and renamed: what has its name is
    whole. TensorFlow keeps a checksum of every tensor, so that damage is noticed on reading.

    Args:
        directory: Where they lie.
        objective: Its networks and optimizers are kept.
        keep: How many to keep.
        chief: True in the process that writes.
        more: Further variables to keep, by a name for each list.
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
        # By their variables: Keras does not show all of an optimizer (the scale of the loss) to
        # TensorFlow's tracking.
        kept = {
            **{name: network.variables for name, network in objective.networks.items()},
            **{_optimizer_key(n): o.variables for n, o in objective.optimizers.items()},
            **(more or {}),
        }
        self._checkpoint = tf.train.Checkpoint(
            **{
                name.replace(" ", "_"): [variable.value for variable in variables]
                for name, variables in kept.items()
            }
        )

    def saved(self) -> list[Path]:
        """Saved checkpoints, oldest first."""
        return _saved(self.directory)

    def save(self, step: int, state: dict[str, Any], best: bool = False) -> None:
        """Saves the objective and ``state`` (JSON).

        Args:
            step: Its number.
            state: What else goes on.
            best: True for the best epoch so far, whose checkpoint is kept until a better one.

        Raises:
            WorkError: The disk is full or missing; earlier checkpoints are untouched.
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
            # Without TensorFlow's names of nodes before and after it.
            reason = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error).splitlines()[0]).strip()
            raise WorkError(
                f"the checkpoint of step {step} could not be written to {self.directory} "
                f"({reason}): make room and give the same command again; it goes on from the "
                "checkpoint before."
            ) from None
        marker = self.directory / BEST
        spared = marker.read_text(encoding="utf-8") if marker.exists() else ""
        for old in self.saved()[: -self.keep]:
            if old.name != spared:
                files.remove(old)

    def restore_variables(self, step: int) -> None:
        """Restores the variables of the checkpoint of a step, without its state.

        Raises:
            WorkError: It cannot be read.
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
            Its state; None where there is no checkpoint.
        """
        for path in reversed(self.saved()):
            try:
                state = json.loads((path / STATE).read_text(encoding="utf-8"))
                # Checked before a variable is touched: a checkpoint must not be restored by half.
                reader = tf.train.load_checkpoint(str(path / "variables"))
                for name in reader.get_variable_to_shape_map():
                    reader.get_tensor(name)
                status = self._checkpoint.read(str(path / "variables"))
                status.assert_existing_objects_matched()
                return state
            except (*UNREADABLE, AssertionError) as error:
                warnings.warn(
                    f"the checkpoint {path} cannot be read ({str(error).splitlines()[0]}): going "
                    "back to the one before.",
                    stacklevel=2,
                )
        return None


def take_over_optimizer(optimizer: keras.optimizers.Optimizer, directory: Path, name: str) -> bool:
    """Copies the moments and step count of another run's optimizer into an optimizer.

    Adam's first steps from nothing move every weight by the whole learning rate at once, which
    throws a trained deep network far off.

    Args:
        optimizer: Built for variables like those of the other one.
        directory: The other run's checkpoints.
        name: The other one's name in its objective.

    Returns:
        True if there was a checkpoint with such a state; otherwise nothing is changed.
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
    return f"{name.replace(' ', '_')}_optimizer"


def _saved(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("step-*") if path.is_dir())
