"""Checkpoints: everything that the next step depends on, whole or not there."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import tensorflow as tf

from phire import files
from phire.errors import WorkError
from phire.training.objective import Objective

STATE = "state.json"


class Checkpoints:
    """The checkpoints of a run, newest last.

    Each is a directory of its own, made under another name and renamed: what has its name is
    whole. TensorFlow keeps a checksum of every tensor, so that damage is noticed on reading.

    Args:
        directory: Where they lie.
        objective: Its networks and optimizers are kept.
        keep: How many to keep.
        chief: Whether this process writes; the others only take part in reading the variables.
    """

    def __init__(
        self, directory: Path, objective: Objective, keep: int, chief: bool = True
    ) -> None:
        self.directory = directory
        self.keep = keep
        self.chief = chief
        self._checkpoint = tf.train.Checkpoint(
            **{f"network_{name}": network for name, network in objective.networks.items()},
            **{f"optimizer_{name}": one for name, one in objective.optimizers.items()},
        )

    def saved(self) -> list[Path]:
        """The checkpoints there are, oldest first."""
        return sorted(path for path in self.directory.glob("step-*") if path.is_dir())

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Saves the objective and ``state`` (JSON).

        Raises:
            WorkError: The disk is full or gone; the checkpoints before are untouched.
        """
        path = self.directory / f"step-{step:09d}"
        if not self.chief:
            path = path.with_name(f".{path.name}-worker")
        try:
            with files.replacing(path) as partial:
                partial.mkdir()
                self._checkpoint.write(str(partial / "variables"))
                (partial / STATE).write_text(json.dumps(state), encoding="utf-8")
        except (OSError, tf.errors.OpError) as error:
            raise WorkError(
                f"the checkpoint of step {step} could not be written to {self.directory} "
                f"({str(error).splitlines()[0]}): make room and give the same command again; it "
                "goes on from the checkpoint before."
            ) from None
        if not self.chief:
            files.remove(path)
            return
        for old in self.saved()[: -self.keep]:
            files.remove(old)

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
            except (OSError, ValueError, RuntimeError, AssertionError, tf.errors.OpError) as error:
                warnings.warn(
                    f"the checkpoint {path} cannot be read ({str(error).splitlines()[0]}): going "
                    "back to the one before.",
                    stacklevel=2,
                )
        return None
