"""Logs and networks that a training writes to its run directory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from phire import files, progress, provenance
from phire.networks.custom_layers import custom_layers
from phire.training.objective import Batch, Objective
from phire.training.run_directory import HISTORY, PROVENANCE, Run


class Outputs:
    """Writer of a run's logs and networks; used by the chief alone.

    Attributes:
        run: Run to write to.
        failure: Directory for the batch and weights of a step whose loss is not finite.
    """

    def __init__(self, run: Run, objective: Objective) -> None:
        self.run = run
        self.failure = run.path / "failure"
        self._networks = run.path / "networks"
        self._objective = objective
        self._writer: Any = None

    def write_architectures(self) -> None:
        """Writes the exported networks' architectures, which the weights of an epoch need."""
        for name in self._objective.exported:
            path = self._networks / f"{name}.json"
            if not path.exists():
                files.write_text(path, self._objective.networks[name].to_json())

    def is_best(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Returns True if the last epoch has the lowest monitored score of its phase."""
        monitor = self.run.config["monitor"]
        scores = [row[monitor] for row in history if row["phase"] == history[-1]["phase"]
                  and monitor in row]  # fmt: skip
        return monitor in history[-1] and scores[-1] <= min(scores)

    def write_row(self, history: Sequence[Mapping[str, Any]], rate: str) -> None:
        """Writes ``training.csv``, and logs and prints the last epoch's scalars.

        Args:
            history: All rows of ``training.csv``.
            rate: Speed of the epoch, appended to the printed line.
        """
        row = history[-1]
        shown = [f"{k} {v:.4g}" for k, v in row.items() if isinstance(v, float) and k != "seconds"]
        progress.say(f"epoch {row['epoch']} ({row['phase']}): {', '.join(shown)}, {rate}")
        with files.replacing(self.run.path / HISTORY) as partial:
            pd.DataFrame(history).to_csv(partial, index=False)
        with self._tensorboard(row["epoch"]):
            for name, value in row.items():
                if isinstance(value, float):
                    tf.summary.scalar(name, value)
        self._writer.flush()

    def write_panels(
        self,
        validation: Callable[[tuple[int, int]], tf.data.Dataset],
        totals: Mapping[str, np.ndarray],
        epoch: int,
    ) -> None:
        """Writes the objective's images to TensorBoard.

        Args:
            validation: See :func:`phire.training.train`.
            totals: Non-scalar results of the validation steps, summed.
            epoch: Number of the epoch.
        """
        batch: Batch = next(iter(validation((1, 0))))
        with self._tensorboard(epoch):
            for name, image in self._objective.panels(batch, totals).items():
                tf.summary.image(name, image, max_outputs=4)
        self._writer.flush()

    def _tensorboard(self, epoch: int) -> Any:
        """Returns a context in which ``tf.summary`` writes to the run's TensorBoard log."""
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.run.path / "tensorboard"))
        return self._writer.as_default(step=epoch)

    def keep_epoch(self, epoch: int) -> None:
        """Saves the exported networks' weights after an epoch."""
        with files.replacing(self._networks / f"epoch-{epoch:04d}") as partial:
            partial.mkdir()
            for name in self._objective.exported:
                _save_weights(self._objective.networks[name], partial / f"{name}.weights.h5")

    def write_failure(self, batch: Batch) -> None:
        """Saves the batch of a failed step and the networks' weights after it, to inspect."""
        with files.replacing(self.failure) as partial:
            partial.mkdir()
            np.savez(partial / "batch.npz", **{k: v.numpy() for k, v in batch.items()})
            for name, network in self._objective.networks.items():
                _save_weights(network, partial / f"{name}.weights.h5")

    def complete(self) -> None:
        """Writes the trained networks and marks the run as completed."""
        for name in self._objective.exported:
            path = self._networks / f"{name}.keras"
            with files.replacing(path) as partial:
                # Keras accepts only names that end in .keras.
                whole = partial.with_name(f"{partial.name}.keras")
                in_float32(self._objective.networks[name]).save(whole)
                os.replace(whole, partial)
        finished = self.run.provenance
        finished["completed"] = provenance.record()["created"]
        files.write_json(Path(self.run.path) / PROVENANCE, finished)


def _save_weights(network: keras.Model, path: Path) -> None:
    """Saves a network's weights to an HDF5 file."""
    # On a full disk HDF5 cannot close its file, and the process may crash at exit. Allocating the
    # file first raises an OSError instead.
    size = 2**16 + sum(4096 + 4 * int(np.prod(weight.shape)) for weight in network.weights)
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, size)
    network.save_weights(path)


def in_float32(network: keras.Model) -> keras.Model:
    """Returns a copy of a network that computes in float32, with the same weights.

    A network that computes in float32 already is returned itself.
    """
    if keras.config.dtype_policy().name == "float32":
        return network

    def plain(config: Any) -> Any:
        if isinstance(config, dict):
            if config.get("class_name") == "DTypePolicy":
                return {**config, "config": {"name": "float32"}}
            return {key: plain(value) for key, value in config.items()}
        return [plain(item) for item in config] if isinstance(config, list) else config

    text = json.dumps(plain(json.loads(network.to_json())))
    copy = keras.models.model_from_json(text, custom_layers())
    copy.set_weights(network.get_weights())
    return copy
